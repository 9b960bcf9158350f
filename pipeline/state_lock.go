package pipeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"posefuse/setting"
)

// lockFile is in state_dir; the kernel drops the lock with the process, however
// that ends.
const lockFile = "lock"

// LockState takes the lock of a state folder, which is made if it is missing:
// two programs that write to one would spoil it. release gives it back.
func LockState(dir string) (release func(), err error) {
	wrong := func(err error) error { return &setting.Problem{Key: "state_dir", Err: err} }
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return nil, wrong(fmt.Errorf("%w; create it for this user or set another", err))
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, wrong(fmt.Errorf("%w; create it for this user or set another", err))
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(path) // only for the message
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, wrong(fmt.Errorf("%s is in use by another posefuse (process %s): stop it, or give each room a folder of its own", dir, strings.TrimSpace(string(owner))))
		}
		return nil, wrong(fmt.Errorf("lock %s: %w", path, err))
	}
	// Who holds it, for people; a full disk is no reason not to run.
	if err = f.Truncate(0); err == nil {
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	return func() { _ = f.Close() }, nil
}
