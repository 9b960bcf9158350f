package csi

import (
	"errors"
	"net"
	"os"
	"time"
)

// senderIdle is how long a silent sender keeps the port from the next one. A
// router that lost its power never says that its connection is dead.
const senderIdle = 2 * time.Second

// errReplaced ends the stream of a sender whose place another one took.
var errReplaced = errors.New("another sender took its place")

// senderConn is the connection of the sender that is served. It ends when it
// has been silent for senderIdle and another sender waits at the listener.
type senderConn struct {
	net.Conn
	ln   *net.TCPListener
	next net.Conn // the sender that took the place
}

// Read implements io.Reader.
func (c *senderConn) Read(b []byte) (int, error) {
	for {
		if err := c.SetReadDeadline(time.Now().Add(senderIdle)); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		// A moment, not the past: a deadline that is over would hide a waiting sender.
		if err = c.ln.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
			return 0, err
		}
		next, err := c.ln.Accept()
		if clearErr := c.ln.SetDeadline(time.Time{}); err == nil && clearErr != nil {
			_ = next.Close()
			return 0, clearErr
		}
		switch {
		case err == nil:
			c.next = next
			return 0, errReplaced
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		}
	}
}
