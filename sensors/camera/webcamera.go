package camera

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"posefuse/setting"
)

// webCamera asks one camera over HTTP, as somebody or as nobody.
type webCamera struct {
	at        *url.URL // without user and password
	shown     string   // at, as errors may show it
	who       credentials
	transport *http.Transport
	trust     *trust

	login *challenge // that the camera took last
	uses  uint32     // of its nonce
}

func problem(key string, err error) error { return &setting.Problem{Key: key, Err: err} }

func newWebCamera(u *url.URL, who credentials, caFile string) (*webCamera, error) {
	trust, err := newTrust(caFile)
	if err != nil {
		return nil, err
	}
	at := *u
	at.User, at.Fragment, at.RawFragment = nil, "", ""
	c := &webCamera{at: &at, shown: redacted(u.String()), who: who, trust: trust}
	dialer := &net.Dialer{Timeout: cameraConnect}
	c.transport = &http.Transport{
		// A camera is near: no proxy sees its pictures.
		DialContext: dialer.DialContext,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return trust.dial(ctx, dialer, network, addr)
		},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    1,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return c, nil
}

// close ends all connections.
func (c *webCamera) close() { c.transport.CloseIdleConnections() }

// maxRequests bounds what one picture may take: redirections, and a login.
const maxRequests = 8

// errRefused is in errors about a user and password that the camera does not
// take.
var errRefused = errors.New("the camera refuses this user and password; correct them (some cameras lock a user out after a few wrong ones)")

// get asks for the pictures. It follows redirections and logs in where that is
// asked for. The answer is of any status but these two.
func (c *webCamera) get(ctx context.Context) (*http.Response, error) {
	at, asked := c.at, false
	for range maxRequests {
		own := sameCamera(c.at, at)
		resp, err := c.request(ctx, at, own)
		if err != nil {
			return nil, err
		}
		switch resp.StatusCode {
		case http.StatusUnauthorized:
			leave(resp)
			if err := c.answerChallenge(resp, own, asked); err != nil {
				return nil, err
			}
			asked = true
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			leave(resp)
			next, err := at.Parse(resp.Header.Get("Location"))
			if err != nil || next.Scheme != "http" && next.Scheme != "https" || next.Host == "" {
				return nil, problem("url", fmt.Errorf("%s: redirected to what is no web address", c.shown))
			}
			next.User, next.Fragment = nil, ""
			at = next
		default:
			return resp, nil
		}
	}
	return nil, problem("url", fmt.Errorf("%s: redirected, or asked to log in, again and again", c.shown))
}

// request asks once; with a login if that is known and the address the camera's.
func (c *webCamera) request(ctx context.Context, at *url.URL, own bool) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, problem("url", errNoURL) // whose text would show the query
	}
	req.Header.Set("User-Agent", "posefuse")
	req.Header.Set("Accept", "multipart/x-mixed-replace, image/jpeg, */*")
	if own && c.login != nil {
		c.uses++
		req.Header.Set("Authorization", c.login.authorization(c.who, at.RequestURI(), rand.Text(), c.uses))
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, c.explain(err)
	}
	return resp, nil
}

// answerChallenge takes up how the camera wants a user to log in. It was asked
// before in this get if asked.
func (c *webCamera) answerChallenge(resp *http.Response, own, asked bool) error {
	next := strongest(resp.Header.Values("WWW-Authenticate"))
	switch {
	case !own:
		return problem("url", fmt.Errorf("%s: redirected to another host that asks for a password, which is not given away; write that host's address", c.shown))
	case c.who.user == "":
		return problem("user", fmt.Errorf("%s: the camera asks for a user and a password; set user and password_file", c.shown))
	case next == nil:
		return problem("url", fmt.Errorf("%s: the camera asks for a login other than Basic or Digest; choose one of these in the camera's settings", c.shown))
	case asked && !next.stale():
		return problem("user", fmt.Errorf("%s: %w", c.shown, errRefused))
	}
	c.login, c.uses = next, 0
	return nil
}

// sameCamera reports whether credentials for one address may go to another: the
// same server, or its encrypted side.
func sameCamera(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Host == b.Host || b.Scheme == "https" && a.Hostname() == b.Hostname()
}

// leave is done with an answer whose content is of no interest.
func leave(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}

// refusal says what an answer without pictures means.
func (c *webCamera) refusal(status int) error {
	switch {
	case status == http.StatusForbidden:
		return problem("user", fmt.Errorf("%s: the camera forbids this (403); allow its user to see live pictures, in the camera's settings", c.shown))
	case status == http.StatusNotFound:
		return problem("url", fmt.Errorf("%s: the camera has nothing at this path (404); its manual names the path of its motion JPEG or snapshot", c.shown))
	case status >= 500:
		return fmt.Errorf("%s: the camera has trouble of its own (%d); restart it if that does not pass", c.shown, status)
	}
	return problem("url", fmt.Errorf("%s: the camera answers %d instead of pictures; open the address in a browser to see what it wants", c.shown, status))
}

// explain says why there is no answer. What net/http says is left out where it
// quotes the camera.
func (c *webCamera) explain(err error) error {
	if p, ok := errors.AsType[*setting.Problem](err); ok {
		return p
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case isType[tls.RecordHeaderError](err):
		return problem("url", fmt.Errorf("%s: this port does not speak TLS; write http://, or the port of https", c.shown))
	case isType[*net.OpError](err):
		op, _ := errors.AsType[*net.OpError](err)
		return fmt.Errorf("%s: %w", c.shown, op)
	case timedOut(err):
		return fmt.Errorf("%s: no answer: %w", c.shown, context.DeadlineExceeded)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: the camera closed the connection without an answer", c.shown)
	}
	return problem("url", fmt.Errorf("%s: the answer is not HTTP; check port, and http or https", c.shown))
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func timedOut(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}
