// Package testenv tells tests where they run: the repository, the recordings
// beside it, the race detector, CI.
package testenv

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
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

// LeaveOut ends a test that cannot run here. It says what is missing, in the
// words that `make test` collects for its last lines, and fails under CI=true.
func LeaveOut(t testing.TB, why string) {
	t.Helper()
	if CI() {
		t.Fatalf("left out under CI=true: %s", why)
	}
	t.Skipf("LEFT OUT: %s", why)
}
