package skeleton

import (
	"math"

	"posefuse/sensors/modality"
)

// Options say what a Stage does.
type Options struct {
	Filter bool // smooths what does not move
	Bones  bool // keeps the lengths of bones once they are known
}

// Stage is what becomes of a network's poses of one person, the same live and in
// evaluation. It allocates nothing after New and is not safe for concurrent use.
type Stage struct {
	do     Options
	body   Body
	filter Filter
	atNS   int64 // of the newest pose
}

// awayS is how long somebody must be gone for the next one to be somebody else.
const awayS = 5

// NewStage returns a stage that knows nobody.
func NewStage(do Options) *Stage { return &Stage{do: do} }

// NewPerson forgets the person.
func (s *Stage) NewPerson() {
	s.body.Forget()
	s.filter.Begin()
}

// NewNetwork forgets the movement and the noise: the poses come from elsewhere.
func (s *Stage) NewNetwork() { s.filter = Filter{} }

// Next takes the pose that a network made of the sensors of an instant, and replaces
// it by what is known of the person. A pose that is not finite is left as it is and
// ends the movement. It reports whether the bones have the person's lengths.
func (s *Stage) Next(atNS int64, of modality.Set, p *Pose) (calibrated bool) {
	if !finite(p) {
		s.filter.Begin()
		return false
	}
	if away := float64(atNS-s.atNS) / 1e9; s.atNS != 0 && (away > awayS || away < -awayS) {
		s.NewPerson()
	}
	s.atNS = atNS
	if s.do.Bones {
		s.body.Learn(atNS, p)
	}
	if s.do.Filter {
		s.filter.Next(atNS, of, p)
	}
	l, known := s.body.Lengths()
	if known {
		Project(p, &l)
	}
	return known
}

// Lengths returns the lengths of the person's bones, and false while they are not
// known.
func (s *Stage) Lengths() (Lengths, bool) { return s.body.Lengths() }

// DelayS is by how much the filter has made movement late over the last seconds.
func (s *Stage) DelayS() float64 { return s.filter.DelayS() }

func finite(p *Pose) bool {
	var sum float64
	for _, v := range p {
		sum += v[0] + v[1] + v[2]
	}
	return !math.IsNaN(sum) && !math.IsInf(sum, 0)
}
