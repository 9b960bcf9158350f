package replay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// errOverrun means that the driver does not read its port: the bytes are lost,
// as on a real serial port.
var errOverrun = errors.New("serial port overrun: the driver does not read")

// ptyUnread is how many bytes may wait in a terminal before more are lost. The
// kernel's own limit is 4096.
const ptyUnread = 3500

// ptyPort is the device's side of a pseudo-terminal in raw mode, reachable
// under a symbolic link.
type ptyPort struct {
	link string

	mu     sync.Mutex
	master *os.File
	slave  *os.File // kept open, so that the terminal outlives a driver that closes it
}

func (p *ptyPort) open() error {
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("open pseudo-terminal: %w", err)
	}
	fail := func(err error) error {
		_ = master.Close()
		_ = slave.Close()
		return err
	}
	if err := setRaw(slave); err != nil {
		return fail(fmt.Errorf("set raw mode of %s: %w", slave.Name(), err))
	}
	if err := replaceLink(slave.Name(), p.link); err != nil {
		return fail(err)
	}
	p.mu.Lock()
	p.master, p.slave = master, slave
	p.mu.Unlock()
	return nil
}

// replaceLink makes link point to target in one step. It replaces a link, but
// never a real file.
func replaceLink(target, link string) error {
	if info, err := os.Lstat(link); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("serial port link %s: %w and is not a symbolic link: choose another path", link, fs.ErrExist)
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return fmt.Errorf("serial port link: %w", err)
	}
	temporary := fmt.Sprintf("%s.%d", link, os.Getpid())
	_ = os.Remove(temporary)
	if err := os.Symlink(target, temporary); err != nil {
		return fmt.Errorf("serial port link: %w", err)
	}
	if err := os.Rename(temporary, link); err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("serial port link: %w", err)
	}
	return nil
}

// setRaw switches off everything a terminal does to bytes, without taking the
// file out of the runtime's poller.
func setRaw(f *os.File) error {
	return control(f, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON | unix.IXOFF
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD | unix.CLOCAL
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		return unix.IoctlSetTermios(fd, unix.TCSETS, t)
	})
}

func control(f *os.File, do func(fd int) error) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// write hands bytes to the driver, or loses them if it does not read.
func (p *ptyPort) write(data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.master == nil {
		return fs.ErrClosed
	}
	unread := 0
	err := control(p.slave, func(fd int) (err error) {
		unread, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	if err != nil {
		return fmt.Errorf("serial port %s: %w", p.link, err)
	}
	if unread+len(data) > ptyUnread {
		return errOverrun
	}
	// The count above lags behind on a busy machine; the kernel's buffers end
	// in a write that would wait.
	if err := writeInTime(p.master, data); errors.Is(err, os.ErrDeadlineExceeded) {
		return errOverrun
	} else if err != nil {
		return fmt.Errorf("serial port %s: %w", p.link, err)
	}
	return nil
}

// Read reads what the driver wrote, until close.
func (p *ptyPort) Read(b []byte) (int, error) {
	p.mu.Lock()
	master := p.master
	p.mu.Unlock()
	if master == nil {
		return 0, fs.ErrClosed
	}
	return master.Read(b)
}

// close hangs up, as unplugging does, and removes the link if it is still ours.
func (p *ptyPort) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.master == nil {
		return
	}
	if to, err := os.Readlink(p.link); err == nil && to == p.slave.Name() {
		_ = os.Remove(p.link)
	}
	_ = p.master.Close()
	_ = p.slave.Close()
	p.master, p.slave = nil, nil
}
