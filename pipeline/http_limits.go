package pipeline

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what clients of the page's port can cause.
const (
	maxHTTPConns      = 256 // open at once; the oldest gives way
	maxHTTPPerAddress = 64  // of one address; all of this machine is one
	maxViewers        = 128 // feeds of the page
	httpWriteLimit    = 10 * time.Second
	httpIdleLimit     = 10 * time.Second
	snapshotEvery     = 100 * time.Millisecond // metrics and status are made at most as often
)

// connLimit bounds the connections of a listener. Beyond the bound the newest
// goes in and the oldest of the same address, or of all, is closed: a request
// takes moments, so what is old is idle, slow or a flood.
type connLimit struct {
	net.Listener
	max, perAddress int
	cut             *atomic.Uint64 // those that were closed

	mu   sync.Mutex
	open []*limitedConn // oldest first
}

type limitedConn struct {
	net.Conn
	address string
	limit   *connLimit
}

// Accept implements net.Listener.
func (l *connLimit) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	in := &limitedConn{Conn: c, address: hostOf(c.RemoteAddr()), limit: l}
	if out := l.enter(in); out != nil {
		l.cut.Add(1)
		_ = out.Close()
	}
	return in, nil
}

// enter adds a connection and returns the one that gives way to it, nil if there
// is room.
func (l *connLimit) enter(in *limitedConn) (out *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := 0
	for _, c := range l.open {
		if c.address == in.address {
			same++
		}
	}
	for i, c := range l.open {
		if same >= l.perAddress && c.address == in.address || same < l.perAddress && len(l.open) >= l.max {
			out = c
			l.open = slices.Delete(l.open, i, i+1)
			break
		}
	}
	l.open = append(l.open, in)
	return out
}

// leave takes a connection out of the count: it is closed, or a viewer's, which
// are counted by themselves.
func (l *connLimit) leave(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = slices.DeleteFunc(l.open, func(o *limitedConn) bool { return o == c })
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.limit.leave(c)
	return c.Conn.Close()
}

// connState is the server's hook: a connection that was taken over by a feed
// leaves the count.
func connState(c net.Conn, s http.ConnState) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if l, ok := c.(*limitedConn); ok && s == http.StateHijacked {
		l.limit.leave(l)
	}
}

// hostOf returns the host of an address; all of loopback is one.
func hostOf(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	switch {
	case !ok:
		return ""
	case t.IP.IsLoopback():
		return "127.0.0.1"
	}
	return t.IP.String()
}

// viewers are the feeds of the page that are open, and those that were too many.
type viewers struct {
	open    atomic.Int64
	refused atomic.Uint64
}

// bound refuses feeds of the page beyond a number.
func (v *viewers) bound(next http.Handler, most int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			defer v.open.Add(-1)
			if v.open.Add(1) > most {
				v.refused.Add(1)
				http.Error(w, "too many viewers; close some pages", http.StatusServiceUnavailable)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// snapshot is a body that many ask for and that takes work: it is made by one of
// them, at most once each snapshotEvery.
type snapshot struct {
	make http.HandlerFunc

	mu     sync.Mutex
	at     time.Time
	header http.Header
	body   []byte
	status int
}

// ServeHTTP implements http.Handler.
func (s *snapshot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header, body, status := s.get(r)
	for k, v := range header {
		w.Header()[k] = v
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // status and metrics hold nothing of the request; a client that left is no error
}

func (s *snapshot) get(r *http.Request) (header http.Header, body []byte, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || time.Since(s.at) >= snapshotEvery {
		plain := r.Clone(r.Context())
		plain.Header = http.Header{} // the same form for everybody
		k := &keeper{header: http.Header{}, status: http.StatusOK}
		s.make(k, plain)
		s.header, s.body, s.status, s.at = k.header, k.body.Bytes(), k.status, time.Now()
	}
	return s.header, s.body, s.status
}

// keeper is a response that is kept.
type keeper struct {
	header http.Header
	body   bytes.Buffer
	status int
}

// Header implements http.ResponseWriter.
func (k *keeper) Header() http.Header { return k.header }

// WriteHeader implements http.ResponseWriter.
func (k *keeper) WriteHeader(status int) { k.status = status }

// Write implements http.ResponseWriter.
func (k *keeper) Write(b []byte) (int, error) { return k.body.Write(b) }
