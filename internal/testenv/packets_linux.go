package testenv

import (
	"testing"

	"golang.org/x/sys/unix"
)

// PacketSocket leaves out a test that captures packets where the process may
// not open a packet socket.
func PacketSocket(t testing.TB) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		LeaveOut(t, "no packet socket ("+err.Error()+"): run with CAP_NET_RAW")
	}
	_ = unix.Close(fd)
}
