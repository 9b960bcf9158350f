package person

import (
	"math"

	"posefuse/sensors/modality"
)

// Radar points are few and inexact: cells of a metre's tenth, but everything
// near one counts.
const (
	radarReachM  = 0.75 // points of the person, from the body's axis
	radarSlackM  = 0.5  // above and below the region: elevation is a radar's weakest measure
	movingMPS    = 0.25 // static scenes show Doppler of a bin or two
	maxRecent    = 256
	recentNS     = 1e9
	clutterFrom  = 80
	clutterStep  = 16 // a second: clutter after five
	clutterDecay = 2
	minMoving    = 4
	minRecent    = 8
)

type radarPoint struct {
	atNS   int64
	at     [2]float64
	moving bool
}

// radarState is the static clutter and what was detected within a second.
type radarState struct {
	clutter []uint8 // per column
	seen    []bool  // since the last step
	nextNS  int64
	recent  []radarPoint // a ring
	next    int
}

func newRadarState(columns int) radarState {
	return radarState{clutter: make([]uint8, columns), seen: make([]bool, columns), recent: make([]radarPoint, 0, maxRecent)}
}

// Radar takes a frame's detections, n x 3 metres in the room frame with their
// Doppler in m/s, and appends the indices of the person's to dst. Cells that
// hold detections all the time are clutter unless the person stands there.
func (f *Finder) Radar(atNS int64, xyz, dopplerMPS []float32, dst []int) []int {
	f.expire(atNS)
	s, r := &f.state, &f.radar
	var sum [2]float64
	near, moving := 0, 0
	n := min(len(xyz)/3, len(dopplerMPS))
	for i := range n {
		c, at, ok := f.radarColumn(xyz[3*i : 3*i+3])
		if !ok {
			continue
		}
		moves := math.Abs(float64(dopplerMPS[i])) > movingMPS
		own := s.alive && distance2(at, s.placeM) <= radarReachM*radarReachM
		if !own {
			r.seen[c] = true
		}
		if r.isClutter(c, moves) {
			continue
		}
		if !own {
			r.remember(radarPoint{atNS, at, moves})
			continue
		}
		dst = append(dst, i)
		sum[0] += at[0]
		sum[1] += at[1]
		near++
		if moves {
			moving++
		}
	}
	if near >= 2 {
		f.radarSaw(atNS, [2]float64{sum[0] / float64(near), sum[1] / float64(near)}, moving)
	}
	if !s.alive && (s.sweepNS == 0 || atNS-s.sweepNS > 1e9) {
		f.radarBirth(atNS)
	}
	r.learn(atNS, &f.grid)
	return dst
}

// radarNear appends the indices of the detections near a place to dst, as Radar
// would for a person there, and learns nothing.
func (f *Finder) radarNear(placeM [2]float64, xyz, dopplerMPS []float32, dst []int) []int {
	for i := range min(len(xyz)/3, len(dopplerMPS)) {
		c, at, ok := f.radarColumn(xyz[3*i : 3*i+3])
		if ok && distance2(at, placeM) <= radarReachM*radarReachM && !f.radar.isClutter(c, math.Abs(float64(dopplerMPS[i])) > movingMPS) {
			dst = append(dst, i)
		}
	}
	return dst
}

// isClutter reports a detection that is always there.
func (r *radarState) isClutter(column int, moves bool) bool {
	return r.clutter[column] >= clutterFrom && !moves
}

// radarColumn returns the column of a detection, if it is in the region.
func (f *Finder) radarColumn(p []float32) (c int, at [2]float64, ok bool) {
	x, y, z := float64(p[0]), float64(p[1]), float64(p[2])
	if b := &f.grid.box; !(z >= b.MinM[2]-radarSlackM && z < b.MaxM[2]+radarSlackM) {
		return 0, at, false
	}
	c = f.grid.column(x, y)
	return c, [2]float64{x, y}, c >= 0
}

// radarSaw updates the track from its own detections.
func (f *Finder) radarSaw(atNS int64, at [2]float64, moving int) {
	s := &f.state
	follow := followed(0.25, stepS(s.seenNS[modality.Radar], atNS))
	s.seenNS[modality.Radar] = atNS
	if moving >= 2 {
		s.stir(atNS)
	}
	if s.seen(modality.LiDAR, atNS, lidarHoldNS) || s.seen(modality.Camera, atNS, cameraHoldNS) {
		return
	}
	for k := range 2 {
		s.placeM[k] += follow * (at[k] - s.placeM[k])
	}
	s.slowM = s.placeM
}

func (r *radarState) remember(p radarPoint) {
	if len(r.recent) < maxRecent {
		r.recent = append(r.recent, p)
		return
	}
	r.recent[r.next] = p
	r.next = (r.next + 1) % maxRecent
}

// radarBirth starts a track where most detections of the last second are, if
// some of them move.
func (f *Finder) radarBirth(atNS int64) {
	r := &f.radar
	most, at := minRecent-1, [2]float64{}
	for _, p := range r.recent {
		if atNS-p.atNS > recentNS || !p.moving {
			continue
		}
		n, moving := 0, 0
		var sum [2]float64
		for _, q := range r.recent {
			if atNS-q.atNS > recentNS || distance2(p.at, q.at) > 0.5*0.5 {
				continue
			}
			n++
			if q.moving {
				moving++
			}
			sum[0] += q.at[0]
			sum[1] += q.at[1]
		}
		if moving >= minMoving && n > most {
			most, at = n, [2]float64{sum[0] / float64(n), sum[1] / float64(n)}
		}
	}
	if most >= minRecent {
		f.state.born(atNS, at)
		f.state.seenNS[modality.Radar] = atNS
		f.state.stir(atNS)
		r.recent, r.next = r.recent[:0], 0
	}
}

// learn updates the clutter once a second.
func (r *radarState) learn(atNS int64, g *grid) {
	if r.nextNS == 0 || atNS < r.nextNS-2e9 {
		r.nextNS = atNS + 1e9
	}
	if atNS < r.nextNS {
		return
	}
	r.nextNS = atNS + 1e9
	for c := range r.clutter {
		if r.near(g, c) {
			r.clutter[c] = uint8(min(int(r.clutter[c])+clutterStep, 255))
		} else {
			r.clutter[c] -= min(r.clutter[c], clutterDecay)
		}
	}
	clear(r.seen)
}

// near reports whether a cell or a neighbour held a detection.
func (r *radarState) near(g *grid, c int) bool {
	x0, x1, y0, y1 := g.square(c, 1)
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			if r.seen[y*g.nx+x] {
				return true
			}
		}
	}
	return false
}
