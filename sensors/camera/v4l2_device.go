package camera

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
)

// videoDevice is an open video device. Its errors are the kernel's own.
type videoDevice interface {
	// ioctl hands the kernel a structure, which it may change.
	ioctl(request uint32, arg []byte) error
	mmap(offset int64, length int) ([]byte, error)
	munmap(b []byte) error
	// wait returns true once there is a picture or a failure to fetch, false
	// after d or when ctx ends.
	wait(ctx context.Context, d time.Duration) (bool, error)
	close() error
}

// kernelVideo is a video device of the kernel.
type kernelVideo struct{ fd int }

func openVideo(path string) (videoDevice, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, err
		default:
			return kernelVideo{fd}, nil
		}
	}
}

func (v kernelVideo) ioctl(request uint32, arg []byte) error {
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(v.fd), uintptr(request), uintptr(unsafe.Pointer(unsafe.SliceData(arg)))) //nolint:gosec // how a structure is handed to the kernel
	if e != 0 {
		return e
	}
	return nil
}

func (v kernelVideo) mmap(offset int64, length int) ([]byte, error) {
	return unix.Mmap(v.fd, offset, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func (kernelVideo) munmap(b []byte) error { return unix.Munmap(b) }

func (v kernelVideo) close() error { return unix.Close(v.fd) }

// wait looks up now and then, so that the end of ctx needs no descriptor of its
// own.
func (v kernelVideo) wait(ctx context.Context, d time.Duration) (bool, error) {
	const look = 100 * time.Millisecond
	for until := time.Now().Add(d); ctx.Err() == nil; {
		left := time.Until(until)
		if left <= 0 {
			return false, nil
		}
		fds := []unix.PollFd{{Fd: int32(v.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(min(left, look)/time.Millisecond)+1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, err
		case n > 0:
			return true, nil // a failure shows when the picture is fetched
		}
	}
	return false, nil
}

// request is an ioctl that is repeated when a signal interrupts it.
func request(dev videoDevice, number uint32, arg []byte) error {
	for {
		if err := dev.ioctl(number, arg); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// videoError says what to do about a failure of a video device.
func videoError(path, doing string, err error) error {
	text := fmt.Sprintf("%s fails: look for the camera with v4l2-ctl --list-devices (Debian package v4l-utils)", doing)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		text = "does not exist: plug in the camera and look under /dev/v4l/by-id for its name"
	case errors.Is(err, fs.ErrPermission):
		text = "permission denied: add the user to the group video"
	case errors.Is(err, unix.EBUSY):
		text = fmt.Sprintf("is in use: stop the other program (fuser -v %s shows which)", path)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EIO):
		text = "is gone: check the camera's plug and cable"
	case errors.Is(err, unix.ENOTTY):
		text = "is no video device: look under /dev/v4l/by-id for the camera's name"
	case errors.Is(err, unix.ENOSPC):
		text = "gets no bandwidth on its USB: choose format mjpeg, a smaller picture or another socket"
	}
	return sensors.Told(fmt.Errorf("camera %s %s: %w", path, text, err))
}
