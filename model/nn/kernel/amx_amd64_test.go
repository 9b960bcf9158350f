package kernel

import (
	"errors"
	"testing"

	"golang.org/x/sys/cpu"
)

func TestAMXIsWhatTheCPUHasAndTheSystemPermits(t *testing.T) {
	refusal := errors.New("no")
	for _, c := range []struct {
		name       string
		int8, bf16 bool
		permit     error
		want       amxSupport
		asks       bool
	}{
		{"both", true, true, nil, amxSupport{int8: true, bf16: true}, true},
		{"int8 alone", true, false, nil, amxSupport{int8: true}, true},
		{"bf16 alone", false, true, nil, amxSupport{bf16: true}, true},
		{"forbidden", true, true, refusal, amxSupport{refused: refusal}, true},
		{"none, so nothing is asked", false, false, refusal, amxSupport{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := false
			got := askAMX(c.int8, c.bf16, func() error { asked = true; return c.permit })
			if got != c.want || asked != c.asks {
				t.Errorf("got %+v, asked %t; want %+v, %t", got, asked, c.want, c.asks)
			}
		})
	}
}

func TestTilesMayBeAskedForAgain(t *testing.T) {
	first, second := permitTiles(), permitTiles()
	t.Logf("the CPU has tiles: %t; the system's answer: %v", cpu.X86.HasAMXTile, first)
	if (first == nil) != (second == nil) {
		t.Errorf("asked for tiles: %v, then %v", first, second)
	}
	if got := amx(); cpu.X86.HasAMXTile && (first == nil) != (got.refused == nil) {
		t.Errorf("asked for tiles: %v, at start %v", first, got.refused)
	}
}
