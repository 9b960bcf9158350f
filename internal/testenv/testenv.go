// Package testenv tells tests where they run: the repository, the recordings
// beside it, the race detector, CI, the run that leaves out nothing. What a
// test leaves out goes through it, so that no test passes by doing nothing.
package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The variables that the Makefile sets. They do not begin with POSEFUSE_, as the
// daemon that tests start takes such for its own.
const (
	// envLeftOut names the file that collects what was left out. A name that is
	// new in each run also keeps a test that left something out from being
	// answered from the test cache: go test notes which variables a test reads.
	envLeftOut = "TESTENV_LEFT_OUT"
	envTests   = "TESTENV_TESTS" // "full" runs slow tests too
)

// Root returns the repository's folder. It is found from the folder a test runs
// in, which is its package's.
func Root() string { return root() }

var root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic("testenv: " + err.Error())
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	panic("testenv: not below the repository's go.mod")
})

// CI reports a run that must leave out nothing.
func CI() bool { return os.Getenv("CI") == "true" }

// Shared returns a path in the folder "shared" beside the repository, which
// holds captures and recordings that are not ours to pass on. Where the folder
// is missing the test is skipped, and fails under CI=true.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	shared := filepath.Join(filepath.Dir(Root()), "shared")
	if _, err := os.Stat(shared); err != nil {
		LeaveOut(t, "the folder "+shared+" with captures and recordings is missing")
	}
	path := filepath.Join(append([]string{shared}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: the folder shared is there, but not this part of it", err)
	}
	return path
}

// ReadShared returns the content of a file of the folder Shared looks in.
func ReadShared(t testing.TB, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(Shared(t, elem...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// LeaveOut ends a test that cannot run here. It says what is missing, in the
// words that `make test` collects for its last lines, and fails under CI=true.
func LeaveOut(t testing.TB, why string) {
	t.Helper()
	if CI() {
		t.Fatalf("left out under CI=true: %s", why)
	}
	if file := os.Getenv(envLeftOut); file != "" {
		if err := note(file, t.Name(), why); err != nil {
			t.Fatalf("note that this test is left out: %v", err)
		}
	}
	t.Skipf("LEFT OUT: %s", why)
}

// note appends a line in one write, as other packages' tests do at the same
// time.
func note(file, test, why string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if rel, relErr := filepath.Rel(Root(), dir); relErr == nil {
		dir = rel
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %s: %s\n", dir, test, strings.ReplaceAll(why, "\n", " "))
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// Full reports the run of `make test-full`, which has time.
func Full() bool { return os.Getenv(envTests) == "full" }

// Slow leaves a test to `make test-full`: one that takes long and rarely
// breaks. The Makefile finds these calls, by this name, for the list of what
// `make test` leaves to it.
func Slow(t testing.TB) {
	t.Helper()
	if !Full() {
		LeaveTo(t, "make test-full", "slow")
	}
}

// SlowRace is Slow under the race detector only.
func SlowRace(t testing.TB) {
	t.Helper()
	if Race {
		Slow(t)
	}
}

// NoRace leaves a test to the runs without the race detector; the Makefile runs
// the packages that hold this name both ways.
func NoRace(t testing.TB, why string) {
	t.Helper()
	if Race {
		LeaveTo(t, "the run without the race detector", why)
	}
}

// LeaveTo ends a test that another run of the tests, or one on another machine,
// does not skip.
func LeaveTo(t testing.TB, run, why string) {
	t.Helper()
	t.Skipf("left to %s: %s", run, why)
}
