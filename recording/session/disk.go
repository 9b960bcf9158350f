package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// disk is what a recorder needs of a file system.
type disk interface {
	// create makes a file that was not there.
	create(path string) (file, error)
	// free returns the bytes that are left where dir is.
	free(dir string) (int64, error)
}

type file interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// osDisk is the real one.
type osDisk struct{}

func (osDisk) create(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func (osDisk) free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// syncDir makes what happened to the names in a folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockFile is held by who records into a folder of sessions; it holds the name of
// the session.
const lockFile = ".lock"

// How long lock waits for who only looks whether it is held.
const (
	lockTries = 5
	lockWait  = 2 * time.Millisecond
)

// lock takes the folder for one recorder. The error wraps ErrBusy if there is one.
func lock(root string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(root, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	for try := 0; ; try++ {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || try == lockTries {
			break
		}
		time.Sleep(lockWait) // somebody may just be looking, see Live
	}
	if err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another recorder writes into %s: stop it, or give this daemon a state_dir of its own: %w", root, ErrBusy)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// Live returns the name of the session below root that is being recorded, by this
// process or another one, "" if there is none.
func Live(root string) string {
	f, err := lock(root)
	if err == nil {
		_ = f.Close()
		return ""
	}
	if !errors.Is(err, ErrBusy) {
		return ""
	}
	b, err := os.ReadFile(filepath.Join(root, lockFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// refuseLive is the error of a session that is being recorded.
func refuseLive(dir string) error {
	if Live(filepath.Dir(dir)) == filepath.Base(dir) {
		return fmt.Errorf("session %s: %w; posefuse record stop ends it", filepath.Base(dir), ErrBusy)
	}
	return nil
}

// trouble names what is wrong with the disk: a code and what to do.
func trouble(err error) (code, todo string) {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, errFloor):
		return "disk_full", "delete sessions (posefuse sessions delete) or lower record.keep_gib; recording goes on by itself in a new segment"
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "read_only", "make state_dir writable for the daemon; recording goes on by itself in a new segment"
	}
	return "unwritable", "see what is wrong with the disk under state_dir; recording goes on by itself in a new segment"
}
