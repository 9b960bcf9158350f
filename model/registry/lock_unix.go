//go:build unix

package registry

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock waits until no other process changes the registry. The system lets go
// of it when the process dies. The file may be another user's: reading it is
// enough.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	switch {
	case err == nil, errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.ENOLCK):
		return func() { _ = f.Close() }, nil // a network file system may have no locks
	default:
		return nil, fmt.Errorf("lock %s: %w", path, errors.Join(err, f.Close()))
	}
}
