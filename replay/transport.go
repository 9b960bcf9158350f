package replay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errNobody means that no driver listens.
var errNobody = errors.New("no driver is connected")

// errIdle means that the driver has not started the sensor.
var errIdle = errors.New("the driver has not started the sensor")

// sendTimeout bounds how long a driver that does not read may hold up a fake.
const sendTimeout = 100 * time.Millisecond

// writeInTime writes all of data, or fails with os.ErrDeadlineExceeded because
// the driver does not read.
func writeInTime(w interface {
	io.Writer
	SetWriteDeadline(t time.Time) error
}, data []byte) (err error) {
	// The timer may have won against a write that had room, when this process
	// was held up: time is up only the second time.
	for range 2 {
		_ = w.SetWriteDeadline(time.Now().Add(sendTimeout))
		var n int
		if n, err = w.Write(data); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		data = data[n:]
	}
	return err
}

// udpOut sends datagrams. Its socket is not connected, so a port nobody
// listens on is no error: a sensor does not notice either, and a driver that
// captures from the interface has no socket there.
type udpOut struct {
	to   netip.AddrPort
	conn *net.UDPConn
}

func newUDPOut(addr string) (*udpOut, error) {
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	to := a.AddrPort()
	if !to.Addr().IsValid() || to.Addr().IsUnspecified() || to.Port() == 0 {
		return nil, fmt.Errorf("address %q: give host and port, such as 127.0.0.1:7502", addr)
	}
	return &udpOut{to: netip.AddrPortFrom(to.Addr().Unmap(), to.Port())}, nil
}

func (u *udpOut) open() error {
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return fmt.Errorf("open UDP socket: %w", err)
	}
	u.conn = conn
	return nil
}

func (u *udpOut) send(data []byte) error {
	if _, err := u.conn.WriteToUDPAddrPort(data, u.to); err != nil {
		return fmt.Errorf("send to %s: %w", u.to, err)
	}
	return nil
}

func (u *udpOut) close() { _ = u.conn.Close() }

// fifoOut writes a stream into a named pipe, which it makes if there is none.
// Each reader that comes gets the preamble first.
type fifoOut struct {
	path     string
	preamble []byte
	wrap     func(data []byte) ([]byte, error) // nil sends pieces as they are

	made bool
	pipe *os.File
}

func newFIFOOut(path string) (*fifoOut, error) {
	if path == "" {
		return nil, errors.New("path of the named pipe is empty")
	}
	return &fifoOut{path: path}, nil
}

func (f *fifoOut) open() error {
	info, err := os.Stat(f.path)
	switch {
	case err == nil && info.Mode()&fs.ModeNamedPipe != 0:
		return nil
	case err == nil:
		return fmt.Errorf("%s: %w and is not a named pipe: choose another path", f.path, fs.ErrExist)
	}
	if err := unix.Mkfifo(f.path, 0o644); err != nil {
		return fmt.Errorf("make named pipe %s: %w", f.path, err)
	}
	f.made = true
	return nil
}

func (f *fifoOut) send(data []byte) error {
	if f.wrap != nil {
		var err error
		if data, err = f.wrap(data); err != nil {
			return err
		}
	}
	if f.pipe == nil {
		// Without waiting: no reader is ENXIO.
		pipe, err := os.OpenFile(f.path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if errors.Is(err, unix.ENXIO) {
			return errNobody
		} else if err != nil {
			return fmt.Errorf("named pipe: %w", err)
		}
		f.pipe = pipe
		if len(f.preamble) > 0 {
			data = append(append([]byte(nil), f.preamble...), data...)
		}
	}
	if err := writeInTime(f.pipe, data); err != nil {
		f.hangUp() // a piece may be cut: the next reader starts afresh
		return fmt.Errorf("%w: %w", errNobody, err)
	}
	return nil
}

func (f *fifoOut) hangUp() {
	if f.pipe != nil {
		_ = f.pipe.Close()
		f.pipe = nil
	}
}

func (f *fifoOut) close() {
	f.hangUp()
	if f.made {
		_ = os.Remove(f.path)
		f.made = false
	}
}

// streamClient connects to a driver that listens, and again when it is gone.
type streamClient struct {
	addr string
	conn net.Conn
	next time.Time // earliest time of the next attempt to connect
}

const reconnectEvery = 200 * time.Millisecond

func newStreamClient(addr string) (*streamClient, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	return &streamClient{addr: addr}, nil
}

func (s *streamClient) open() error {
	s.next = time.Time{}
	return nil
}

func (s *streamClient) send(data []byte) error {
	if s.conn == nil {
		if time.Now().Before(s.next) {
			return errNobody
		}
		s.next = time.Now().Add(reconnectEvery)
		c, err := net.DialTimeout("tcp", s.addr, sendTimeout)
		if err != nil {
			return fmt.Errorf("%w: %w", errNobody, err)
		}
		s.conn = c
	}
	if err := writeInTime(s.conn, data); err != nil {
		s.close()
		return fmt.Errorf("%w: %w", errNobody, err)
	}
	return nil
}

func (s *streamClient) close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}
