package camera

import (
	"math/rand/v2"
	"testing"
)

func TestThinnerTakesAnEvenRate(t *testing.T) {
	const second = int64(1e9)
	steady := func(hz float64) func(i int) int64 {
		return func(i int) int64 { return second + int64(float64(i)*1e9/hz) }
	}
	for name, c := range map[string]struct {
		maxHz float64
		came  func(i int) int64
		n     int
		every int // of the pictures after the first two seconds
	}{
		"everything":              {0, steady(60), 300, 1},
		"slower than wanted":      {15, steady(10), 100, 1},
		"as wanted":               {15, steady(15), 100, 1},
		"a little faster":         {15, steady(15.2), 100, 1},
		"twice as fast":           {15, steady(30), 200, 2},
		"between":                 {15, steady(25), 200, 2},
		"60 into 15":              {15, steady(60), 400, 4},
		"60 into 10":              {10, steady(60), 400, 6},
		"one a minute":            {15, steady(1. / 60), 10, 1},
		"one a minute is wanted":  {1. / 60, steady(1. / 60), 10, 1},
		"all at the same instant": {15, func(int) int64 { return second }, 10, 11},
		"thirty, with jitter": {15, func(i int) int64 {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			return second + int64(float64(i)*1e9/30+20e6*r.Float64())
		}, 300, 2},
		"thirty, in bursts of ten": {15, func(i int) int64 { return second + int64((i/10)*10+9)*second/30 + int64(i%10)*1000 }, 300, 2},
	} {
		t.Run(name, func(t *testing.T) {
			th := thinner{maxHz: c.maxHz}
			last := -1
			for i := range c.n {
				at := c.came(i)
				took := th.take(at)
				if i == 0 && !took {
					t.Error("the first picture was left out")
				}
				if !took {
					continue
				}
				if last >= 0 && at > 3*second && i-last != c.every {
					t.Errorf("picture %d follows %d, want every %d", i, last, c.every)
				}
				last = i
			}
			if c.n-last > c.every {
				t.Errorf("nothing taken after picture %d of %d", last, c.n)
			}
		})
	}
}

// TestThinnerFollowsTheCamera: one that slows down, pauses or starts over is
// looked at at once.
func TestThinnerFollowsTheCamera(t *testing.T) {
	th := thinner{maxHz: 10}
	at := int64(1e9)
	run := func(n int, step int64) (taken int) {
		for range n {
			at += step
			if th.take(at) {
				taken++
			}
		}
		return taken
	}
	if got := run(120, 16_666_667); got < 20 || got > 21 {
		t.Errorf("60 a second: %d of 120 pictures", got)
	}
	if got := run(10, 2e8); got != 10 {
		t.Errorf("slowed down to 5 a second: %d of 10", got)
	}
	run(200, 16_666_667)
	if got := run(3, 3e9); got != 3 {
		t.Errorf("one in three seconds: %d of 3", got)
	}
	run(200, 16_666_667)
	at = 5
	if !th.take(at) {
		t.Error("the first picture of another clock was left out")
	}
	// After a standstill pictures come in one heap: some are left out, and it
	// goes on at the old rate.
	run(200, 16_666_667)
	at += 1e9
	if got := run(20, 1e5); got > 10 {
		t.Errorf("a heap of 20 pictures: %d taken", got)
	}
	if got := run(120, 16_666_667); got < 10 || got > 40 {
		t.Errorf("after the heap: %d of 120", got)
	}
}
