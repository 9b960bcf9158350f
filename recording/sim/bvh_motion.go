package sim

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// bodyPart lists the names a joint of the 17 has in the usual skeletons
// (CMU and its conversions, Biovision, Mixamo), normalised by bvhName, in
// order of preference. Left and right are added by sideNames.
var (
	bvhPelvis   = []string{"hips", "pelvis", "hip", "root"}
	bvhNeck     = []string{"neck", "neck1", "neckbase"}
	bvhHead     = []string{"head", "skull"}
	bvhHip      = []string{"upleg", "upperleg", "thigh", "femur", "hip"}
	bvhKnee     = []string{"lowleg", "lowerleg", "leg", "shin", "calf", "tibia", "knee"}
	bvhAnkle    = []string{"foot", "ankle"}
	bvhShoulder = []string{"uparm", "upperarm", "arm", "humerus", "shldr", "shoulder"}
	bvhElbow    = []string{"forearm", "lowarm", "lowerarm", "radius", "elbow"}
	bvhWrist    = []string{"hand", "wrist"}
)

// bvhName reduces a joint's name to what programs agree on: no prefix such as
// "mixamorig:", no case, no punctuation.
func bvhName(name string) string {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// sideNames returns the ways to write a part of one side.
func sideNames(side string, parts []string) []string {
	var names []string
	for _, p := range parts {
		names = append(names, side+p, side[:1]+p, p+side, p+side[:1])
	}
	return names
}

// bvhMapping says which joints of a file are which of the 17.
type bvhMapping struct {
	pelvis, neck, head int
	headEnd            int    // -1 if the file has none
	legs               [6]int // right hip, knee, ankle, left hip, knee, ankle
	arms               [6]int // left shoulder, elbow, wrist, right shoulder, elbow, wrist
}

// mapping finds the joints by name. The error lists what is missing.
func (b *BVH) mapping() (bvhMapping, error) {
	byName := map[string]int{}
	for i, j := range b.joints {
		if n := bvhName(j.name); n != "" {
			if _, ok := byName[n]; !ok {
				byName[n] = i
			}
		}
	}
	var missing []string
	find := func(what string, names []string) int {
		for _, n := range names {
			if i, ok := byName[n]; ok {
				return i
			}
		}
		missing = append(missing, what)
		return 0
	}
	m := bvhMapping{
		pelvis: find("pelvis", bvhPelvis), neck: find("neck", bvhNeck), head: find("head", bvhHead), headEnd: -1,
	}
	for i, side := range []string{"right", "left"} {
		m.legs[3*i] = find(side+" hip", sideNames(side, bvhHip))
		m.legs[3*i+1] = find(side+" knee", sideNames(side, bvhKnee))
		m.legs[3*i+2] = find(side+" ankle", sideNames(side, bvhAnkle))
	}
	for i, side := range []string{"left", "right"} {
		m.arms[3*i] = find(side+" shoulder", sideNames(side, bvhShoulder))
		m.arms[3*i+1] = find(side+" elbow", sideNames(side, bvhElbow))
		m.arms[3*i+2] = find(side+" wrist", sideNames(side, bvhWrist))
	}
	if len(missing) > 0 {
		return m, fmt.Errorf("bvh: no joint is named like the %s", strings.Join(missing, ", "))
	}
	for i, j := range b.joints {
		if j.parent == m.head && (j.name == "" || strings.Contains(bvhName(j.name), "head")) {
			m.headEnd = i
		}
	}
	return m, nil
}

// skeleton returns the 17 joints of the joints at the given places, in the
// file's unit and axes.
func (b *BVH) skeleton(at []Vec, m *bvhMapping) Skeleton {
	var sk Skeleton
	sk[0] = at[m.pelvis]
	for k, j := range m.legs {
		sk[1+k] = at[j]
	}
	for k, j := range m.arms {
		sk[11+k] = at[j]
	}
	// The pelvis lies between the hips and the thorax at the base of the neck;
	// the spine joint half way along the chain between them.
	sk[0] = vecLerp(sk[1], sk[4], 0.5)
	sk[8] = at[m.neck]
	chain := []Vec{sk[8]}
	for j := b.joints[m.neck].parent; j >= 0 && j != m.pelvis; j = b.joints[j].parent {
		chain = append(chain, at[j])
	}
	sk[7] = halfWay(append(chain, sk[0]))
	sk[9] = at[m.head]
	if m.headEnd >= 0 {
		sk[10] = at[m.headEnd]
	} else {
		sk[10] = vecAdd(sk[9], vecSub(sk[9], sk[8]))
	}
	return sk
}

// halfWay returns the point in the middle of a line through points.
func halfWay(line []Vec) Vec {
	total := 0.0
	for i := 1; i < len(line); i++ {
		total += vecLength(vecSub(line[i], line[i-1]))
	}
	rest := total / 2
	for i := 1; i < len(line); i++ {
		l := vecLength(vecSub(line[i], line[i-1]))
		if l > 0 && rest <= l {
			return vecLerp(line[i-1], line[i], rest/l)
		}
		rest -= l
	}
	return line[len(line)-1]
}

// bvhUnits are the lengths, metres, of one unit in common files: metre,
// centimetre, millimetre, inch, and the unit of the CMU database.
var bvhUnits = []float64{1, 0.01, 0.001, 0.0254, 0.0254 / 0.45}

// Lengths of thigh and shank together: the usual one and the range that is
// taken for a person.
const (
	usualLegM    = 0.84
	shortestLegM = 0.55
	longestLegM  = 1.15
)

// Height of the ankle joint above the sole: what a recording with toes has at
// least, and what is assumed for one without.
const (
	lowestAnkleM = 0.03
	usualAnkleM  = 0.08
)

// guessUnit guesses the length of a file's unit, metres, from the length of the
// legs. A BVH file does not say. It reports false if no common unit gives a
// person.
func guessUnit(sk Skeleton) (float64, bool) {
	leg := vecLength(vecSub(sk[1], sk[2])) + vecLength(vecSub(sk[2], sk[3]))
	best, bestOff := 0.0, math.Inf(1)
	for _, unit := range bvhUnits {
		if l := leg * unit; l >= shortestLegM && l <= longestLegM {
			if off := math.Abs(math.Log(l / usualLegM)); off < bestOff {
				best, bestOff = unit, off
			}
		}
	}
	return best, best > 0
}

// Take turns the recording into a take of a motion library. Info gives its
// names, label and activity. The person is turned to face the sensors in the
// first frame and stands on the floor with the lowest joint of all frames.
func (b *BVH) Take(info Take) (*Take, error) {
	m, err := b.mapping()
	if err != nil {
		return nil, err
	}
	frames := b.Frames()
	if frames < 2 {
		return nil, fmt.Errorf("bvh: %d frames, at least 2 are needed", frames)
	}
	first := b.skeleton(b.positions(0), &m)
	upright := axesOf(first)
	unitM, ok := guessUnit(first)
	if !ok {
		return nil, errors.New("bvh: no common unit of length gives legs of a person: write it in metres, centimetres, millimetres or inches")
	}

	left := upright(vecSub(first[4], first[1]))
	left[1] = 0
	left = vecUnit(left, Vec{1, 0, 0})
	origin := upright(first[0])
	all := make([]Skeleton, frames)
	floor, ankle := math.Inf(1), math.Inf(1)
	for i := range all {
		places := b.positions(i)
		for _, at := range places {
			floor = min(floor, upright(at)[1])
		}
		sk := b.skeleton(places, &m)
		for j, v := range sk {
			v = upright(v)
			x, z := v[0]-origin[0], v[2]-origin[2]
			sk[j] = Vec{float64(x*left[0]) + float64(z*left[2]), v[1], float64(x*left[2]) - float64(z*left[0])}
		}
		ankle = min(ankle, sk[3][1], sk[6][1])
		all[i] = sk
	}
	if (ankle-floor)*unitM < lowestAnkleM {
		floor = ankle - usualAnkleM/unitM // the file has no toes
	}

	t := info
	t.FPS = 1 / b.FrameTimeS
	t.frames = make([][17][3]float32, frames)
	for i, sk := range all {
		for j, v := range sk {
			for k, x := range [3]float64{v[0] * unitM, (floor - v[1]) * unitM, v[2] * unitM} {
				if !plausiblePosition(x) {
					return nil, fmt.Errorf("bvh: joint %d of frame %d is at %v m, with the file's unit taken as %v m", j, i+1, x, unitM)
				}
				t.frames[i][j][k] = float32(x)
			}
		}
	}
	return &t, nil
}

// axesOf returns a function that turns the file's axes to y up: they are, or z
// is up, by the direction from feet to head.
func axesOf(sk Skeleton) func(Vec) Vec {
	up := vecSub(sk[10], vecLerp(sk[3], sk[6], 0.5))
	if math.Abs(up[2]) > math.Abs(up[1]) {
		return func(v Vec) Vec { return Vec{v[0], v[2], -v[1]} }
	}
	return func(v Vec) Vec { return v }
}
