package pipeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"posefuse/setting"
)

func TestStateIsLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	release, err := LockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = LockState(dir)
	if p, ok := errors.AsType[*setting.Problem](err); !ok || p.Key != "state_dir" || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second holder: %v", err)
	}
	release()
	if release, err = LockState(dir); err != nil {
		t.Errorf("after it was given back: %v", err)
	} else {
		release()
	}
	file := filepath.Join(t.TempDir(), "file")
	if err = os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = LockState(file); err == nil || !strings.HasPrefix(err.Error(), "state_dir: ") {
		t.Errorf("a file: %v", err)
	}
}

// TestWhyNothingIsKept: who may not write there is told something else than who has
// a read-only disk. The disk itself is mounted in TestStateOnAReadOnlyDisk.
func TestWhyNothingIsKept(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&os.PathError{Op: "open", Path: "/s/lock", Err: unix.EROFS}, "mount it writable"},
		{&os.PathError{Op: "open", Path: "/s/lock", Err: unix.EACCES}, "by the daemon's user: make it theirs"},
		{&os.PathError{Op: "open", Path: "/s/lock", Err: unix.EPERM}, "by the daemon's user: make it theirs"},
	} {
		if got := notKept("/s", fmt.Errorf("%w: %w", ErrReadOnly, c.err)).Error(); !strings.HasPrefix(got, "state_dir /s ") || !strings.Contains(got, c.want) {
			t.Errorf("%v: %q; want %q in it", c.err, got, c.want)
		}
	}
}
