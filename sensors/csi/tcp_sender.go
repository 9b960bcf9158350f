package csi

import (
	"errors"
	"net"
	"os"
	"time"
)

// How long a sender keeps the port while another one waits.
const (
	senderIdle  = 2 * time.Second        // without a sample, though there were some: a router that lost its power never says so
	senderProof = 500 * time.Millisecond // until the first sample
	senderPoll  = 100 * time.Millisecond // how often it is looked whether one waits
)

// maxWaiting is how many senders may wait; the oldest give way, so that whoever
// fills the port with connections does not keep it from a later one for long.
const maxWaiting = 4

// errReplaced ends the stream of a sender whose place another one took.
var errReplaced = errors.New("another sender took its place")

// senderConn is the connection of the sender that is served. It ends when it has
// given no sample for a while and another sender waits at the listener. Bytes
// that make no sample hold nothing.
type senderConn struct {
	net.Conn
	door    *senderDoor
	proof   func() uint64 // samples of the source so far
	samples uint64
	proven  bool
	since   time.Time // of the newest sample, or the begin
}

// Read implements io.Reader.
func (c *senderConn) Read(b []byte) (int, error) {
	for {
		now := time.Now()
		if n := c.proof(); n != c.samples {
			c.samples, c.since, c.proven = n, now, true
		}
		patience := senderProof
		if c.proven {
			patience = senderIdle
		}
		until := c.since.Add(patience)
		if !now.Before(until) {
			if err := c.door.look(); err != nil {
				return 0, err
			}
			if len(c.door.waiting) > 0 {
				return 0, errReplaced
			}
			until = now.Add(senderPoll)
		}
		if err := c.SetReadDeadline(until); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// senderDoor is the listener and who waits there.
type senderDoor struct {
	*net.TCPListener
	waiting []net.Conn // oldest first
	refuse  func(n uint64)
}

// look takes in who waits, without waiting itself.
func (d *senderDoor) look() error {
	for {
		// A moment, not the past: a deadline that is over would hide a waiting sender.
		if err := d.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
			return err
		}
		next, err := d.TCPListener.Accept()
		if clearErr := d.SetDeadline(time.Time{}); err == nil && clearErr != nil {
			_ = next.Close()
			return clearErr
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
		if len(d.waiting) == maxWaiting {
			d.refuse(1)
			_ = d.waiting[0].Close()
			d.waiting = append(d.waiting[:0], d.waiting[1:]...)
		}
		d.waiting = append(d.waiting, next)
	}
}

// next returns the newest that waits, or waits for one.
func (d *senderDoor) next() (net.Conn, error) {
	if n := len(d.waiting); n > 0 {
		c := d.waiting[n-1]
		d.waiting = d.waiting[:n-1]
		return c, nil
	}
	return d.Accept()
}

// close ends those that wait.
func (d *senderDoor) close() {
	for _, c := range d.waiting {
		_ = c.Close()
	}
}
