package testenv

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must come. A machine with other
// work makes things late, not wrong, so it is far longer than they take.
const Patience = 2 * time.Minute

// Wait returns once ok does, and ends the test when Patience is over; what says
// what was waited for.
func Wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(Patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: not seen within %s", what, Patience)
		}
	}
}

// Receive returns the next value of a channel, and ends the test when Patience
// is over; what says what was waited for.
func Receive[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(Patience):
		t.Fatalf("%s: did not come within %s", what, Patience)
		panic("unreachable")
	}
}
