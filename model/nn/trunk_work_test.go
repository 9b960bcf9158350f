package nn

import (
	"testing"

	"posefuse/internal/testenv"
)

// Buffers that outgrow the memory lent stay what they are: a step allocates
// what the one before it did not need, and nothing else.
func TestTrunkWorkSettles(t *testing.T) {
	w := new(trunkWork[float64])
	w.lend(make([]float64, 30)) // 10 values a buffer
	first := w.take(20)
	small := w.take(8, first)
	if &small[0] != &w.lent[0] {
		t.Error("8 values are not taken from the memory lent")
	}
	step := func() {
		a := w.take(20)
		b := w.take(20, a)
		c := w.take(8, a) // b is free again
		if &a[0] == &b[0] || &a[0] == &c[0] {
			t.Error("a buffer in use is given again")
		}
	}
	step()
	if n := testenv.AllocsPerRun(5, step); n > 0 {
		t.Errorf("%g allocations a step once all buffers are there", n)
	}
	w.lend(nil)
	if own := w.take(8, first); cap(own) == 10 {
		t.Error("memory is still lent after it was taken away")
	}
}
