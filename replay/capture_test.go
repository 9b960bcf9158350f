package replay

import "golang.org/x/sys/unix"

// mayCapture reports whether the process may open packet sockets.
func mayCapture() bool {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}
