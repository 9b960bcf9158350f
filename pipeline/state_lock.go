package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"posefuse/setting"
)

// lockFile is in state_dir; the kernel drops the lock with the process, however
// that ends.
const lockFile = "lock"

// ErrReadOnly says that a state folder takes nothing.
var ErrReadOnly = errors.New("nothing can be written there")

// LockState takes the lock of a state folder, which is made if it is missing:
// two programs that write to one would spoil it. release gives it back. A folder
// that takes nothing is ErrReadOnly.
func LockState(dir string) (release func(), err error) {
	if err = os.MkdirAll(dir, 0o700); err != nil {
		if errors.Is(err, unix.EROFS) {
			err = fmt.Errorf("%w: %w", ErrReadOnly, err)
		}
		return nil, wrongState(fmt.Errorf("%w; create it for this user or set another", err))
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		if errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w: %w", ErrReadOnly, err)
		}
		return nil, wrongState(fmt.Errorf("%w; create it for this user or set another", err))
	}
	if err = holdState(f, dir); err != nil {
		return nil, err
	}
	// Who holds it, for people; a full disk is no reason not to run.
	if err = f.Truncate(0); err == nil {
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	return func() { _ = f.Close() }, nil
}

func wrongState(err error) error { return &setting.Problem{Key: "state_dir", Err: err} }

// holdState locks an open lock file, and closes it if another process holds it.
func holdState(f *os.File, dir string) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return nil
	}
	owner, _ := os.ReadFile(f.Name()) // only for the message
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return wrongState(fmt.Errorf("%s is in use by another posefuse (process %s): stop it, or give each room a folder of its own", dir, strings.TrimSpace(string(owner))))
	}
	return wrongState(fmt.Errorf("lock %s: %w", f.Name(), err))
}
