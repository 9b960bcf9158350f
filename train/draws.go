package train

import "math/rand/v2"

// draws returns the generator of a purpose, such as a method's noise, at its
// n-th use. The seed and these decide every draw, so that training can be
// repeated, and go on from any epoch.
func (s *Session) draws(purpose string, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.opt.Seed^word(purpose), n))
}

// word makes a number of a short word, that of its letters' bytes. Words keep
// the draws of different purposes apart; a new word draws differently.
func word(letters string) uint64 {
	var n uint64
	for _, b := range []byte(letters) {
		n = n<<8 | uint64(b)
	}
	return n
}
