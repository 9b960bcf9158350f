package sensors

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"

	"posefuse/setting"
)

// told is an error whose text says what to do.
type told struct{ error }

// Unwrap returns the error itself.
func (t told) Unwrap() error { return t.error }

// Told marks an error whose own text says what the user can do, so that
// NextStep adds nothing to it.
func Told(err error) error { return told{err} }

// NextStep returns what a user can do about a source's error, or "" if nothing
// better than the error's own text is known: one about a setting says it
// itself.
func NextStep(err error) string {
	if _, ok := errors.AsType[told](err); ok {
		return ""
	}
	if _, ok := errors.AsType[*setting.Problem](err); ok {
		return ""
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, setting.ErrInUse) || errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EBUSY):
		return "stop the other program that uses it, or change the setting"
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EPERM):
		return "give the daemon's user access: devices need the group dialout or video, packet capture needs CAP_NET_RAW (docs/guide.md)"
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO):
		return "check that the device is plugged in and the path is right"
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH):
		return "check the sensor's power, cable and address"
	case isUnknownHost(err):
		return "check the name of the host in the setting, and that this machine is on the sensor's network"
	case errors.Is(err, context.DeadlineExceeded):
		return CheckPower
	}
	return ""
}

func isUnknownHost(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}
