package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"posefuse/message"
)

// stateFolder is where a running daemon keeps what it keeps.
type stateFolder struct {
	dir     string // state_dir, or a temporary folder in its place
	problem error  // why state_dir takes nothing; nil: it does
	release func() error
}

// openState locks the state folder. One that takes nothing is no reason not to
// measure: what has to be written while the daemon runs, the files of the embedded
// server, goes to a private temporary folder then, and nothing is kept.
func openState(dir string) (*stateFolder, error) {
	release, err := LockState(dir)
	if err == nil {
		return &stateFolder{dir: dir, release: func() error { release(); return nil }}, nil
	}
	if !errors.Is(err, ErrReadOnly) {
		return nil, err
	}
	// Another daemon may have been there first, and its disk become read-only.
	lock, lockErr := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if lockErr == nil {
		if lockErr = holdState(lock, dir); lockErr != nil {
			return nil, lockErr
		}
	}
	s := &stateFolder{problem: notKept(dir, err)}
	if s.dir, err = temporaryState(); err != nil {
		_ = lock.Close() // of nil, too
		return nil, fmt.Errorf("%w; and no temporary folder for the time being: %w", s.problem, err)
	}
	s.release = func() error {
		_ = lock.Close()
		return os.RemoveAll(s.dir)
	}
	return s, nil
}

// temporaryState makes a folder that only this user may enter, on the disk of
// TMPDIR or in memory.
func temporaryState() (dir string, err error) {
	for _, parent := range []string{os.TempDir(), "/dev/shm"} {
		var made error
		if dir, made = os.MkdirTemp(parent, "posefuse-state-*"); made == nil {
			return dir, nil
		}
		err = errors.Join(err, made)
	}
	return "", err
}

// notKept says why a state folder takes nothing and what helps.
func notKept(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("state_dir %s may not be written by the daemon's user: make it theirs and start the daemon again", dir)
	}
	return fmt.Errorf("state_dir %s is on a read-only disk: see the system's log, for a disk that fails becomes so, mount it writable and start the daemon again", dir)
}

// StateProblem says why the running daemon can keep nothing in its state folder;
// nil if it can.
func (c *Core) StateProblem() error {
	if s := c.state.Load(); s != nil {
		return s.problem
	}
	return nil
}

// keeps reports whether the state folder takes what is to be kept.
func (c *Core) keeps() bool { return c.StateProblem() == nil }

// stateHealth is the part "state", where nothing can be kept.
func (c *Core) stateHealth(parts []message.PartHealth) []message.PartHealth {
	problem := c.StateProblem()
	if problem == nil {
		return parts
	}
	return append(parts, message.PartHealth{Part: "state", Code: "read_only", Severity: severityError,
		Text: "measuring goes on, but nothing is kept: no sets of patients, no sessions, no other model, not who changed something, not what was learned of the room; " + problem.Error()})
}
