package testenv_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

func TestLeaveOutNotesTheTestAndFailsUnderCI(t *testing.T) {
	file := filepath.Join(t.TempDir(), "left")
	t.Setenv("TESTENV_LEFT_OUT", file)
	t.Setenv("CI", "")
	t.Run("first", func(t *testing.T) { testenv.LeaveOut(t, "no broker\nhere") })
	t.Run("second", func(t *testing.T) { testenv.LeaveOut(t, "no browser") })
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const test = "internal/testenv TestLeaveOutNotesTheTestAndFailsUnderCI/"
	if want := test + "first: no broker here\n" + test + "second: no browser\n"; string(got) != want {
		t.Errorf("noted\n%swant\n%s", got, want)
	}
	t.Setenv("CI", "true")
	var failed fatal
	func() {
		defer func() { _ = recover() }()
		testenv.LeaveOut(&failed, "no broker")
	}()
	if !strings.Contains(string(failed.said), "no broker") {
		t.Errorf("CI=true: said %q, want a failure that names what is missing", failed.said)
	}
}

// fatal is a test that notes that it has failed, and ends by a panic.
type fatal struct {
	testing.TB
	said []byte
}

func (f *fatal) Helper() {}

func (f *fatal) Fatalf(format string, args ...any) {
	f.said = append(f.said, format...)
	for _, a := range args {
		f.said = append(f.said, a.(string)...)
	}
	panic("failed")
}

var kept, noise *[64]byte

func TestAllocsPerRunCountsOnlyItsOwn(t *testing.T) {
	if n := testenv.AllocsPerRun(20, func() { kept = new([64]byte) }); n != 1 {
		t.Errorf("%v allocations a run, want 1", n)
	}
	busy, done := make(chan struct{}), make(chan struct{})
	defer func() { close(busy); <-done }()
	go func() { // allocates much at times, as other goroutines of a process do
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-busy:
				return
			default:
			}
			for range i % 100 / 99 * 60 {
				noise = new([64]byte)
			}
			runtime.Gosched()
		}
	}()
	if n := testenv.AllocsPerRun(20, func() { runtime.Gosched() }); n != 0 {
		t.Errorf("%v allocations a run beside another goroutine, want 0", n)
	}
}
