package radar

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"

	"posefuse/sensors"
)

// portReadTimeout is how long a Read waits before it returns with nothing.
const portReadTimeout = 20 * time.Millisecond

// port is an open serial port, 8N1, raw. Read returns 0 bytes and no error if
// nothing came within portReadTimeout, and an error once the device is gone.
type port = io.ReadWriteCloser

// openPort opens a serial port or pseudo-terminal.
func openPort(path string, baud int) (port, error) {
	p, err := serial.Open(path, &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err == nil {
		if err = p.SetReadTimeout(portReadTimeout); err == nil {
			return p, nil
		}
		_ = p.Close()
	}
	var pe *serial.PortError
	if errors.As(err, &pe) && pe.Code() != serial.PermissionDenied && pe.Code() != serial.PortBusy && pe.Code() != serial.PortNotFound {
		// Some pseudo-terminals and odd drivers refuse one of the settings:
		// raw mode is all that is needed there.
		if raw, rawErr := openRawPort(path); rawErr == nil {
			return raw, nil
		}
	}
	return nil, portError(path, err)
}

// portError adds the next step to the reason a port does not open.
func portError(path string, err error) error {
	var pe *serial.PortError
	code := serial.PortErrorCode(-1)
	if errors.As(err, &pe) {
		code = pe.Code()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || code == serial.PortNotFound || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV):
		return sensors.Told(fmt.Errorf("radar port %s does not exist: plug in the radar and look under /dev/serial/by-id: %w", path, err))
	case errors.Is(err, fs.ErrPermission) || code == serial.PermissionDenied:
		return sensors.Told(fmt.Errorf("radar port %s: permission denied: add the user to group dialout or install the udev rule: %w", path, err))
	case errors.Is(err, unix.EBUSY) || code == serial.PortBusy:
		return sensors.Told(fmt.Errorf("radar port %s is in use: stop the other program; ModemManager must be told to ignore it (udev ID_MM_DEVICE_IGNORE=1): %w", path, err))
	}
	return sensors.Told(fmt.Errorf("radar port %s cannot be opened as a serial port: look under /dev/serial/by-id for the right name: %w", path, err))
}

// rawPort is a terminal in raw mode, without modem lines or a speed.
type rawPort struct{ f *os.File }

func openRawPort(path string) (port, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	rc, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	var ioErr error
	err = rc.Control(func(fd uintptr) {
		t, getErr := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		if getErr != nil {
			ioErr = fmt.Errorf("not a terminal: %w", getErr)
			return
		}
		t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON | unix.IXOFF
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD | unix.CLOCAL
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		ioErr = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
	})
	if err = errors.Join(err, ioErr); err != nil {
		_ = f.Close()
		return nil, err
	}
	return rawPort{f}, nil
}

// Read implements the contract of port.
func (p rawPort) Read(b []byte) (int, error) {
	if err := p.f.SetReadDeadline(time.Now().Add(portReadTimeout)); err != nil {
		return 0, err
	}
	n, err := p.f.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return n, err
}

func (p rawPort) Write(b []byte) (int, error) { return p.f.Write(b) }

func (p rawPort) Close() error { return p.f.Close() }
