package sim

// Bounds of draws that a person must not exceed, in standard deviations.
const drawLimit = 2.5

// femaleSubjects of the 40 people of MM-Fi are women.
const (
	numSubjects    = 40
	femaleSubjects = 11
)

// segmentShares holds the segment lengths as shares of the height and their
// relative spread between people (simulator.md 2.1).
var segmentShares = [...]struct{ share, spread float64 }{
	{0.245, 0.030}, // thigh
	{0.246, 0.030}, // shank
	{0.288, 0.030}, // trunk
	{0.129, 0.050}, // half shoulder width
	{0.173, 0.035}, // upper arm
	{0.147, 0.040}, // forearm
	{0.100, 0.060}, // neck
	{0.116, 0.060}, // hip spacing
}

// NewSubject returns the simulated person with the given id under a seed. Of
// the persons 1 to 40, 11 are women.
func NewSubject(seed uint64, id int) Subject {
	s := NewStream(seed, "subject", id)
	sub := Subject{ID: id, Female: isFemale(seed, id)}
	if sub.Female {
		sub.HeightM = 1.62 + float64(0.06*boundedNorm(&s))
	} else {
		sub.HeightM = 1.73 + float64(0.065*boundedNorm(&s))
	}
	sub.Girth = 1 + float64(0.12*boundedNorm(&s))
	var length [len(segmentShares)]float64
	for i, seg := range segmentShares {
		length[i] = seg.share * sub.HeightM * (1 + float64(seg.spread*boundedNorm(&s)))
	}
	sub.Segments = Segments{
		Thigh: length[0], Shank: length[1], Trunk: length[2], HalfShoulder: length[3],
		UpperArm: length[4], Forearm: length[5], Neck: length[6], HipSpacing: length[7],
	}
	return sub
}

// isFemale deals the women over the subjects by a shuffle that depends on the
// seed only.
func isFemale(seed uint64, id int) bool {
	s := NewStream(seed, "sex")
	var order [numSubjects]int
	for i := range order {
		order[i] = i + 1
	}
	for i := numSubjects - 1; i > 0; i-- {
		j := s.Intn(i + 1)
		order[i], order[j] = order[j], order[i]
	}
	for _, woman := range order[:femaleSubjects] {
		if woman == id {
			return true
		}
	}
	return false
}

// boundedNorm returns a standard normal number within drawLimit.
func boundedNorm(s *Stream) float64 {
	for {
		if x := s.Norm(); x >= -drawLimit && x <= drawLimit {
			return x
		}
	}
}

// standingDepthM is the usual distance of the person from the sensors.
const standingDepthM = 3.1

// stance is where a person stands and which way they face.
type stance struct {
	xM, zM float64 // room frame
	yawDeg float64 // to the person's left
}

// habits is what stays the same whenever a subject moves.
type habits struct {
	stance
	amplitude float64 // how far towards the drawn key pose the person goes
	tempo     float64 // factor on the duration of a repetition, before its root is taken
	style     pose    // fixed offset on every pose parameter
}

// maxFeetInwardM keeps a person's feet from crossing.
const maxFeetInwardM = 0.02

func newHabits(seed uint64, id int) habits {
	s := NewStream(seed, "habits", id)
	h := habits{stance: stance{
		xM:     0.05 * boundedNorm(&s),
		zM:     standingDepthM + float64(0.07*boundedNorm(&s)),
		yawDeg: 4 * boundedNorm(&s),
	}}
	h.amplitude = 0.76 + float64(0.10*boundedNorm(&s))
	h.tempo = portableExp(0.12 * boundedNorm(&s))
	for i := range h.style {
		h.style[i] = styleScale[i] * boundedNorm(&s)
	}
	h.style[footL] = max(h.style[footL], -maxFeetInwardM)
	h.style[footR] = min(h.style[footR], maxFeetInwardM)
	return h
}

// sequenceStance returns where the subject stands in one sequence: nobody
// returns to exactly the same spot.
func (h *habits) sequenceStance(s *Stream) stance {
	return stance{
		xM:     h.xM + float64(0.03*boundedNorm(s)),
		zM:     h.zM + float64(0.04*boundedNorm(s)),
		yawDeg: h.yawDeg + float64(2*boundedNorm(s)),
	}
}
