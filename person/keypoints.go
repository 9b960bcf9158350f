package person

import (
	"math"

	"posefuse/frame"
	"posefuse/sensors"
)

// NumKeypoints is the number of keypoints of a person, COCO-17.
const NumKeypoints = 17

// MinScore is the score below which a keypoint counts as missing. Detectors
// give 0 to what they did not find, and 0.1 to what they guess.
const MinScore = 0.15

// COCO-17 indices.
const (
	leftShoulder, rightShoulder = 5, 6
	leftHip, rightHip           = 11, 12
	leftKnee                    = 13
	leftAnkle, rightAnkle       = 15, 16
)

// trunk holds the keypoints that arms and legs hang on.
var trunk = [...]int{leftShoulder, rightShoulder, leftHip, rightHip}

// seen tells whether a keypoint was found: sure enough, inside the picture or
// close to it, and not in the corner where detectors put what they do not find.
func seen(k *sensors.Keypoints, j int) bool {
	x, y := k.XY[j][0], k.XY[j][1]
	w, h := float64(k.Width), float64(k.Height)
	inside := x >= -0.1*w && x <= 1.1*w && y >= -0.1*h && y <= 1.1*h // NaN fails
	return inside && k.Score[j] >= MinScore && (x != 0 || y != 0)
}

// rays returns the directions of the keypoints that were seen, room frame, not
// of unit length, and which they are.
func rays(r *frame.Rig, k *sensors.Keypoints, dirs *[NumKeypoints][3]float64) (have [NumKeypoints]bool) {
	for j := range have {
		if have[j] = seen(k, j); have[j] {
			sx, sy := r.Camera.Ray(k.XY[j][0], k.XY[j][1], float64(k.Width), float64(k.Height))
			dirs[j] = turn(&r.RoomFromCamera, [3]float64{sx, sy, 1})
		}
	}
	return have
}

// turn rotates a direction.
func turn(t *frame.Transform, d [3]float64) (out [3]float64) {
	for i := range out {
		out[i] = t.R[i][0]*d[0] + t.R[i][1]*d[1] + t.R[i][2]*d[2]
	}
	return out
}

// HoldNS is how long a keypoint that is missing stays where it was.
const HoldNS = 1_000_000_000

// skeleton remembers where a person's keypoints were, in the network's units,
// and fills in what is missing.
type skeleton struct {
	at   [NumKeypoints][2]float64
	when [NumKeypoints]int64
	ever [NumKeypoints]bool
	legs legs
}

// standing is a person who stands, from the middle between the hips, in lengths
// of the trunk (hips to shoulders), x to the picture's right, y down: means of
// the simulator's people. The left side is on the right.
var standing = [NumKeypoints][2]float64{
	{0, -1.47}, {0.06, -1.54}, {-0.06, -1.54}, {0.14, -1.50}, {-0.14, -1.50},
	{0.33, -1}, {-0.33, -1}, {0.42, -0.43}, {-0.42, -0.43}, {0.46, 0.06}, {-0.46, 0.06},
	{0.24, 0}, {-0.24, 0}, {0.26, 0.88}, {-0.26, 0.88}, {0.26, 1.74}, {-0.26, 1.74},
}

// fill replaces what is missing in at: for a second by where it was, then by a
// guess from the trunk and, for legs, the floor. It reports false if there is not
// even a trunk.
func (s *skeleton) fill(atNS int64, g *ground, at *[NumKeypoints][2]float64, have *[NumKeypoints]bool) bool {
	known := *have
	for j := range at {
		if have[j] {
			s.at[j], s.when[j], s.ever[j] = at[j], atNS, true
			continue
		}
		if age := atNS - s.when[j]; s.ever[j] && age >= 0 && age <= HoldNS {
			at[j], known[j] = s.at[j], true
		}
	}
	if !known[leftHip] && !known[rightHip] || !known[leftShoulder] && !known[rightShoulder] {
		return allOf(&known)
	}
	middle := func(a, b int) [2]float64 {
		switch {
		case !known[a]:
			return at[b]
		case !known[b]:
			return at[a]
		}
		return [2]float64{(at[a][0] + at[b][0]) / 2, (at[a][1] + at[b][1]) / 2}
	}
	hips, shoulders := middle(leftHip, rightHip), middle(leftShoulder, rightShoulder)
	trunk := math.Hypot(hips[0]-shoulders[0], hips[1]-shoulders[1])
	s.legs.measure(atNS, g, hips, shoulders)
	for j := range at {
		if known[j] {
			continue
		}
		at[j] = [2]float64{hips[0] + trunk*standing[j][0], hips[1] + trunk*standing[j][1]}
		if g := &guesses[j]; g.from >= 0 && known[g.from] && (g.past < 0 || known[g.past]) {
			// Along the limb, or at the usual distance.
			from := at[g.from]
			if g.past >= 0 {
				at[j] = [2]float64{from[0] + g.share*(from[0]-at[g.past][0]), from[1] + g.share*(from[1]-at[g.past][1])}
			} else {
				at[j] = [2]float64{from[0] + trunk*(standing[j][0]-standing[g.from][0]), from[1] + trunk*(standing[j][1]-standing[g.from][1])}
			}
		}
	}
	for side := range 2 {
		hip, knee, ankle := leftHip+side, leftKnee+side, leftAnkle+side
		switch {
		case known[ankle]:
		case known[knee]:
			at[ankle] = s.legs.ankle(g, at[knee])
		default:
			at[knee], at[ankle] = s.legs.whole(g, at[hip])
		}
	}
	return true
}

// guess says how a missing joint follows from one that is known: from a
// neighbour at the usual distance, or past it on the line from another one.
type guess struct {
	from, past int // -1: none
	share      float64
}

// guesses are those of arms, legs and face: a wrist lies on the line of the
// upper arm, an elbow or a knee half way along its limb.
var guesses = func() (g [NumKeypoints]guess) {
	for j := range g {
		g[j] = guess{from: -1, past: -1}
	}
	const nose = 0
	for side := range 2 {
		shoulder, elbow, wrist := leftShoulder+side, 7+side, 9+side
		hip, knee, ankle := leftHip+side, leftKnee+side, leftAnkle+side
		g[wrist] = guess{elbow, shoulder, 0.87}
		g[elbow] = guess{wrist, shoulder, -0.5}
		g[knee] = guess{ankle, hip, -0.5}
		g[1+side] = guess{from: nose, past: -1}
		g[3+side] = guess{from: nose, past: -1}
	}
	g[nose] = guess{from: 1, past: -1}
	return g
}()

func allOf(have *[NumKeypoints]bool) bool {
	for _, h := range have {
		if !h {
			return false
		}
	}
	return true
}
