package sensors

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// MaxKernelAge bounds how long something received may have waited in the
// kernel; a larger age means that the wall clock was stepped.
const MaxKernelAge = time.Second

// ReceivedNS moves the room time nowNS back by the age of the kernel's stamp.
// now is the wall clock at that moment. A stamp that is missing, lies ahead or
// is older than MaxKernelAge is ignored.
func ReceivedNS(nowNS int64, stamp, now time.Time) int64 {
	if stamp.IsZero() {
		return nowNS
	}
	// Round strips the monotonic reading: both sides are wall-clock time.
	age := now.Round(0).Sub(stamp)
	if age < 0 || age >= MaxKernelAge {
		return nowNS
	}
	return nowNS - age.Nanoseconds()
}

// KernelStamp returns the time of reception that a socket with SO_TIMESTAMPNS
// puts into a control message, and false if the message is another one.
func KernelStamp(m *unix.SocketControlMessage) (time.Time, bool) {
	if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SO_TIMESTAMPNS || len(m.Data) < 16 {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:]))), true
}
