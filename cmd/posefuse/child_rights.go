package main

import (
	"bytes"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// withholdCapabilities keeps the capabilities of the service, such as that to
// capture packets, from programs that it starts: ffmpeg reads what a network
// sends. The program itself keeps them.
func withholdCapabilities() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil || bytes.Contains(status, []byte("\nCapAmb:\t0000000000000000\n")) || !bytes.Contains(status, []byte("\nCapAmb:")) {
		return err
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("ffmpeg gets the capabilities of this service: %w; start it without AmbientCapabilities", errno)
	}
	return nil
}
