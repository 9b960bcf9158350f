package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"posefuse/internal/testenv"

	"golang.org/x/sys/unix"
)

// envPrivacyHelper makes this test binary the process that the test looks at.
const envPrivacyHelper = "POSEFUSE_TEST_PRIVACY_HELPER"

// TestMemoryAndCapabilitiesStayInside: a process that takes pictures leaves
// nothing of its memory in core dumps, those of its children included, and its
// children have none of its capabilities.
func TestMemoryAndCapabilitiesStayInside(t *testing.T) {
	if os.Getenv(envPrivacyHelper) != "" {
		if err := errors.Join(keepMemoryOutOfDumps(), withholdCapabilities()); err != nil {
			t.Fatal(err)
		}
		threads, err := filepath.Glob("/proc/self/task/*/status")
		if err != nil || len(threads) < 2 {
			t.Fatalf("%d threads, %v", len(threads), err)
		}
		for _, file := range threads {
			status, readErr := os.ReadFile(file)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if !strings.Contains(string(status), "\nCapAmb:\t0000000000000000\n") {
				t.Errorf("%s has ambient capabilities", file)
			}
		}
		own, err := os.ReadFile(dumpFilter)
		child, childErr := exec.Command("cat", dumpFilter).Output()
		if string(own) != "00000000\n" || string(child) != "00000000\n" || err != nil || childErr != nil {
			t.Errorf("dumps %q, a child %q; %v, %v", own, child, err, childErr)
		}
		return
	}
	for name, ambient := range map[string][]uintptr{"plain": nil, "with a capability": {unix.CAP_NET_RAW}} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryAndCapabilitiesStayInside$", "-test.v")
			cmd.Env = append(os.Environ(), envPrivacyHelper+"=1")
			cmd.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: ambient}
			out, err := cmd.CombinedOutput()
			if errors.Is(err, unix.EPERM) && ambient != nil {
				testenv.LeaveOut(t, "this user has no capability to give away: run the test as root")
			}
			// A program linked with C cannot change all its threads; the real one is not.
			if ambient != nil && strings.Contains(string(out), "operation not supported") {
				testenv.LeaveTo(t, "a run with CGO_ENABLED=0", "the test binary is linked with C")
			}
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
