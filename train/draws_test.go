package train

import (
	"math/rand/v2"
	"testing"
)

// Trainings that were started before go on with the same draws.
func TestDrawsStay(t *testing.T) {
	s := &Session{opt: Options{Seed: 7}}
	for purpose, number := range map[string]uint64{"gbl": 0x67626c, "ml": 0x6d6c, "ogm": 0x6f676d, "phi": 0x706869, "trial": 0x747269616c} {
		want := rand.New(rand.NewPCG(7^number, 3)).Uint64()
		if got := s.draws(purpose, 3).Uint64(); got != want {
			t.Errorf("%s draws %d, want %d", purpose, got, want)
		}
	}
	if got := word("rain"); got != 0x7261696e {
		t.Errorf("the order's word is %#x", got)
	}
}
