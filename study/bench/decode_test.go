package bench

import (
	"testing"

	"posefuse/internal/testenv"
)

// Every row decodes what its encoder made, and allocates nothing.
func TestDecodeCases(t *testing.T) {
	cases, err := decodeCases()
	if err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		c := &cases[i]
		k := 0
		next := func() (points int) {
			c.stamp(k, c.frame)
			for _, b := range c.frame {
				points += c.decode(k, b)
			}
			k++
			return points
		}
		for range warmFrames {
			next()
		}
		if points := next(); points == 0 && c.name != "Livox type 0" && c.name != "Velodyne position" {
			t.Errorf("%s: no points", c.name)
		}
		if testenv.Race {
			continue
		}
		if n := testenv.AllocsPerRun(3, func() { next() }); n != 0 {
			t.Errorf("%s: %g allocations a frame", c.name, n)
		}
	}
}
