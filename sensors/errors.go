package sensors

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
)

// ErrInUse is wrapped by sources whose address or device another program
// holds. The wrapping error names the address and the setting.
var ErrInUse = errors.New("already in use")

// NextStep returns what a user can do about a source's error, or "" if nothing
// better than the error's own text is known.
func NextStep(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrInUse) || errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EBUSY):
		return "stop the other program that uses it, or change the setting"
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EPERM):
		return "give the daemon's user access: devices need the group dialout or video, packet capture needs CAP_NET_RAW (docs/guide.md)"
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO):
		return "check that the device is plugged in and the path is right"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "use an address of this machine"
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH):
		return "check the sensor's power, cable and address"
	case errors.Is(err, context.DeadlineExceeded):
		return "check the sensor's power and cable"
	}
	return ""
}
