// Package label reads joints that a reference system measured beside a session,
// and finds when they were measured by how the body moves.
package label

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"posefuse/recording"
)

// Frames that the joints of a file may be in.
const (
	Camera = "camera" // x right, y down, z forward
	Room   = "room"   // as the daemon's poses in the room
	Own    = "own"    // of the reference system, which nobody else knows
)

// maxGapS is the longest time without a pose that is bridged.
const maxGapS = 0.5

// leastRateHz is the fewest poses a second with which a movement can be found.
const leastRateHz = 4

// Track is a body over time.
type Track struct {
	Frame  string // Camera, Room or Own
	TimesS []float64
	Poses  []recording.Pose // metres
}

// check refuses what is no track of a person: times out of order, holes, values
// that are not finite, bodies of another unit.
func (t *Track) check() error {
	if len(t.Poses) < 2 {
		return fmt.Errorf("%d poses: want at least 2", len(t.Poses))
	}
	if t.Frame != Camera && t.Frame != Room && t.Frame != Own {
		return fmt.Errorf("frame %q: want %s, %s or %s", t.Frame, Camera, Room, Own)
	}
	for i, s := range t.TimesS {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return fmt.Errorf("pose %d: its time is not a number", i+1)
		}
		if i > 0 && !(s > t.TimesS[i-1]) {
			return fmt.Errorf("pose %d at %g s does not come after that before it at %g s", i+1, s, t.TimesS[i-1])
		}
		if i > 0 && s-t.TimesS[i-1] > maxGapS {
			return fmt.Errorf("no pose between %.2f and %.2f s: cut the file there, holes up to %g s are bridged", t.TimesS[i-1], s, maxGapS)
		}
		for j, p := range t.Poses[i] {
			for _, v := range p {
				if math.IsNaN(v) || math.IsInf(v, 0) || math.Abs(v) > 1e6 {
					return fmt.Errorf("pose %d, joint %d: %v is no place in metres", i+1, j, p)
				}
			}
		}
	}
	if rate := t.RateHz(); rate < leastRateHz {
		return fmt.Errorf("%.2g poses a second: want at least %d", rate, leastRateHz)
	}
	leg := 0.0
	for i := range t.Poses {
		leg += (distance(&t.Poses[i], 1, 2) + distance(&t.Poses[i], 2, 3)) / float64(len(t.Poses))
	}
	if leg < 0.3 || leg > 1.6 {
		return fmt.Errorf("a leg is %.3g long: want metres, 17 joints in the order h36m17", leg)
	}
	return nil
}

// RateHz is how many poses a second there are on average.
func (t *Track) RateHz() float64 {
	return float64(len(t.TimesS)-1) / (t.TimesS[len(t.TimesS)-1] - t.TimesS[0])
}

// At returns the pose at a time of the track, between its neighbours; false
// outside of it.
func (t *Track) At(s float64) (p recording.Pose, ok bool) {
	n := len(t.TimesS)
	if n == 0 || s < t.TimesS[0] || s > t.TimesS[n-1] {
		return p, false
	}
	i := sort.SearchFloat64s(t.TimesS, s)
	if t.TimesS[i] == s {
		return t.Poses[i], true
	}
	w := (s - t.TimesS[i-1]) / (t.TimesS[i] - t.TimesS[i-1])
	for j := range p {
		for k := range p[j] {
			p[j][k] = (1-w)*t.Poses[i-1][j][k] + w*t.Poses[i][j][k]
		}
	}
	return p, true
}

// New returns a track of poses, metres, at times in seconds, and refuses what is
// none.
func New(frame string, timesS []float64, poses []recording.Pose) (*Track, error) {
	if len(timesS) != len(poses) {
		return nil, errors.New("each pose needs its time")
	}
	t := &Track{frame, timesS, poses}
	return t, t.check()
}

func distance(p *recording.Pose, a, b int) float64 {
	var sum float64
	for k := range p[a] {
		sum += (p[a][k] - p[b][k]) * (p[a][k] - p[b][k])
	}
	return math.Sqrt(sum)
}

// Reference returns a track to align labels with, such as the poses of a session:
// it may have holes, and its poses may be in any frame. Poses that do not come
// after those before them are left out.
func Reference(timesS []float64, poses []recording.Pose) *Track {
	t := &Track{}
	for i, s := range timesS {
		if n := len(t.TimesS); n == 0 || s > t.TimesS[n-1] {
			t.TimesS, t.Poses = append(t.TimesS, s), append(t.Poses, poses[i])
		}
	}
	return t
}
