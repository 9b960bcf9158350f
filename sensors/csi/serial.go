package csi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
)

// openSerial opens a serial port or pseudo-terminal for reading, raw, 8N1, at
// any rate.
func openSerial(path string, baud int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, serialError(path, err)
	}
	rc, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	var ioErr error
	if err = rc.Control(func(fd uintptr) { ioErr = setRaw(int(fd), baud) }); err == nil {
		err = ioErr
	}
	if err != nil {
		_ = f.Close()
		return nil, serialError(path, err)
	}
	return f, nil
}

// setRaw sets a terminal up. Without HUPCL an ESP32 is not reset when the port
// is closed.
func setRaw(fd, baud int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return fmt.Errorf("not a serial port: %w", err)
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON | unix.IXOFF
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB|unix.CSTOPB|unix.HUPCL|unix.CRTSCTS|unix.CBAUD) | unix.CS8 | unix.CREAD | unix.CLOCAL | unix.BOTHER
	t.Ispeed, t.Ospeed = uint32(baud), uint32(baud)
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS2, t)
}

// serialError adds the next step to the reason a port does not open.
func serialError(path string, err error) error {
	step := "look under /dev/serial/by-id for the right name"
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		step = "plug in the ESP32 and look under /dev/serial/by-id"
	case errors.Is(err, fs.ErrPermission):
		step = "add the user to group dialout or install the udev rule"
	case errors.Is(err, unix.EBUSY):
		step = "stop the other program that uses it, such as idf.py monitor"
	}
	return sensors.Told(fmt.Errorf("serial port %s: %w: %s", path, err, step))
}
