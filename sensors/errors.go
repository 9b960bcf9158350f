package sensors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ErrInUse is wrapped by sources whose address or device another program
// holds. The wrapping error names the address and the setting.
var ErrInUse = errors.New("already in use")

// told is an error whose text says what to do.
type told struct{ error }

// Unwrap returns the error itself.
func (t told) Unwrap() error { return t.error }

// Told marks an error whose own text says what the user can do, so that
// NextStep adds nothing to it.
func Told(err error) error { return told{err} }

// ListenError explains why a source cannot listen on the address of a setting,
// such as sensors.camera.keypoints_tcp.listen, and what to do. It wraps ErrInUse
// if another program listens there.
func ListenError(network, address, setting string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return Told(fmt.Errorf("%s %s is %w: set %s to a free address or stop the other program (ss -tulpn shows which)", network, address, ErrInUse, setting))
	case errors.Is(err, fs.ErrPermission):
		return Told(fmt.Errorf("%s %s: this user may not open the port: set %s to one above 1023: %w", network, address, setting, err))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return Told(fmt.Errorf("%s %s is no address of this machine (ip address shows them): correct %s: %w", network, address, setting, err))
	}
	return fmt.Errorf("listen on %s %s (%s): %w", network, address, setting, err)
}

// NextStep returns what a user can do about a source's error, or "" if nothing
// better than the error's own text is known.
func NextStep(err error) string {
	if _, ok := errors.AsType[told](err); ok {
		return ""
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrInUse) || errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EBUSY):
		return "stop the other program that uses it, or change the setting"
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EPERM):
		return "give the daemon's user access: devices need the group dialout or video, packet capture needs CAP_NET_RAW (docs/guide.md)"
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO):
		return "check that the device is plugged in and the path is right"
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH):
		return "check the sensor's power, cable and address"
	case errors.Is(err, context.DeadlineExceeded):
		return "check the sensor's power and cable"
	}
	return ""
}
