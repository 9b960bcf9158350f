//go:build unix

package train

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lockFile is what a process that writes to a checkpoint folder holds locked.
const lockFile = "lock"

func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	switch err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		return f, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = errors.New("another process trains into this folder: stop it first or use another folder")
	case errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOLCK):
		return f, nil // a network file system without locks
	}
	return nil, errors.Join(err, f.Close())
}
