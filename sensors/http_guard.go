package sensors

import (
	"errors"
	"io"
)

// OutcomeHTTP counts connections to a sensor's port that spoke HTTP. Any web
// page that is open on this machine can make its browser send one, with a body
// that looks like a sensor's data.
const OutcomeHTTP = "http_request"

// HTTPRefused says what such connections are.
var HTTPRefused = Outcome{Unit: "connections", Refused: "a web page or an HTTP client sends to this port: close the page, or check what address the client uses"}

// ErrHTTP ends the reading of a connection that begins as an HTTP request does.
var ErrHTTP = errors.New("an HTTP request, not a sensor")

// methodBytes is longer than any method that a browser sends by itself.
const methodBytes = 16

// httpGuard reads a connection until it turns out to be an HTTP request.
type httpGuard struct {
	io.ReadCloser
	seen int // capital letters that the connection began with; -1: it is no request
}

// GuardHTTP returns a reader of c that fails with ErrHTTP as soon as what came
// first is a word of capital letters and a blank, as the method of an HTTP
// request is, however it was split.
func GuardHTTP(c io.ReadCloser) io.ReadCloser { return &httpGuard{ReadCloser: c} }

// Read implements io.Reader.
func (g *httpGuard) Read(b []byte) (int, error) {
	n, err := g.ReadCloser.Read(b)
	for i := 0; i < n && g.seen >= 0; i++ {
		switch c := b[i]; {
		case c >= 'A' && c <= 'Z' && g.seen < methodBytes:
			g.seen++
		case c == ' ' && g.seen > 0:
			return 0, ErrHTTP
		default:
			g.seen = -1
		}
	}
	return n, err
}
