package person

import (
	"math"
	"math/rand/v2"

	"posefuse/recording"
	"posefuse/recording/sim"
)

// testRoom is a room as a spinning LiDAR sees it. The simulator's frame is x
// right, y up, z away; the room's x right, y forward, z up.
type testRoom struct {
	rows, columns int
	at            sim.Vec // of the LiDAR, simulator's frame
	lo, hi        sim.Vec // walls, floor and ceiling
	boxes         []testBox
	people        []*walker
	noiseM        float64
	edge, lost    float64 // share of body points between edge and background, of all that are lost
	r             *rand.Rand

	ranges []float64 // of what stands still, made at the first sweep
}

type testBox struct{ lo, hi sim.Vec }

// walker is a person of the simulator at a place of their own.
type walker struct {
	motion  sim.Motion
	placeM  func(tS float64) ([2]float64, bool) // room frame; false is not there
	still   bool                                // always as at the beginning
	joints  sim.Skeleton
	body    sim.Body
	present bool
}

func newTestRoom(seed uint64) *testRoom {
	return &testRoom{
		rows: 32, columns: 1024, at: sim.Vec{0, 0.95, 0},
		lo: sim.Vec{-2.8, 0, -1.5}, hi: sim.Vec{2.9, 2.7, 5.2},
		noiseM: 0.015, edge: 0.02, lost: 0.05, r: rand.New(rand.NewPCG(seed, 11)),
	}
}

// stands is a place for walker.
func stands(x, y float64) func(float64) ([2]float64, bool) {
	return func(float64) ([2]float64, bool) { return [2]float64{x, y}, true }
}

func newWalker(seed uint64, subject, activity int, place func(float64) ([2]float64, bool)) *walker {
	return &walker{motion: sim.NewProcedural(seed, recording.Key{Subject: subject, Activity: activity}, sim.MotionOptions{}), placeM: place}
}

func (w *walker) set(tS float64) {
	at, ok := w.placeM(tS)
	w.present = ok
	if !ok {
		return
	}
	if w.still {
		w.joints = w.motion.At(0)
	} else {
		w.joints = w.motion.At(tS)
	}
	first := w.motion.At(0)
	for j := range w.joints {
		w.joints[j][0] += at[0] - first[0][0]
		w.joints[j][2] += at[1] - first[0][2]
	}
	s := w.motion.Subject()
	var still sim.Skeleton
	w.body.Set(&s, &w.joints, &still)
}

// pelvisM returns where the pelvis is, x and y of the room.
func (w *walker) pelvisM() [2]float64 { return [2]float64{w.joints[0][0], w.joints[0][2]} }

// rays returns what a camera at the origin, 1 m high, sees of the person.
func (w *walker) rays() (origin [3]float64, joints, ankles [][3]float64) {
	origin = [3]float64{0, 0, 1}
	for j, p := range w.joints {
		d := [3]float64{p[0] - origin[0], p[2] - origin[1], p[1] - origin[2]}
		l := math.Sqrt(d[0]*d[0] + d[1]*d[1] + d[2]*d[2])
		for k := range d {
			d[k] /= l
		}
		joints = append(joints, d)
		if j == 3 || j == 6 {
			ankles = append(ankles, d)
		}
	}
	return origin, joints, ankles
}

func (m *testRoom) direction(row, col int) sim.Vec {
	el := (22.5 - 45*float64(row)/float64(m.rows-1)) * math.Pi / 180
	az := 2 * math.Pi * (float64(col) + 0.5) / float64(m.columns)
	return sim.Vec{math.Sin(az) * math.Cos(el), math.Sin(el), -math.Cos(az) * math.Cos(el)}
}

// cast returns the distance to what stands still.
func (m *testRoom) cast(d sim.Vec) float64 {
	t := math.Inf(1)
	for k := range 3 {
		switch {
		case d[k] > 0:
			t = min(t, (m.hi[k]-m.at[k])/d[k])
		case d[k] < 0:
			t = min(t, (m.lo[k]-m.at[k])/d[k])
		}
	}
	for _, b := range m.boxes {
		near, far := 0.0, math.Inf(1)
		for k := range 3 {
			a, c := (b.lo[k]-m.at[k])/d[k], (b.hi[k]-m.at[k])/d[k]
			near, far = max(near, min(a, c)), min(far, max(a, c))
		}
		if near > 0 && near <= far {
			t = min(t, near)
		}
	}
	return t
}

// furnish replaces the boxes.
func (m *testRoom) furnish(boxes ...testBox) { m.boxes, m.ranges = boxes, nil }

// chair returns a chair whose seat's middle is at a place of the room.
func chair(x, y float64) []testBox {
	return []testBox{
		{sim.Vec{x - .22, 0.42, y - .22}, sim.Vec{x + .22, 0.47, y + .22}},
		{sim.Vec{x - .22, 0.47, y + .18}, sim.Vec{x + .22, 0.92, y + .22}},
		{sim.Vec{x - .22, 0, y - .22}, sim.Vec{x - .18, 0.42, y - .18}},
		{sim.Vec{x + .18, 0, y - .22}, sim.Vec{x + .22, 0.42, y - .18}},
		{sim.Vec{x - .22, 0, y + .18}, sim.Vec{x - .18, 0.42, y + .22}},
		{sim.Vec{x + .18, 0, y + .18}, sim.Vec{x + .22, 0.42, y + .22}},
	}
}

// sweep returns the points at an instant, room frame, and whose they are: 0 is
// nobody's, k the k-th person's.
func (m *testRoom) sweep(tS float64) (xyz []float32, owner []int) {
	if m.ranges == nil {
		for row := range m.rows {
			for col := range m.columns {
				m.ranges = append(m.ranges, m.cast(m.direction(row, col)))
			}
		}
	}
	for _, w := range m.people {
		w.set(tS)
	}
	for i, behind := range m.ranges {
		t, who := behind, 0
		d := m.direction(i/m.columns, i%m.columns)
		for k, w := range m.people {
			if !w.present || !meetsBody(w, m.at, d) {
				continue
			}
			for c := range w.body.Capsules {
				if hit, ok := w.body.Capsules[c].Intersect(m.at, d); ok && hit < t {
					t, who = hit, k+1
				}
			}
		}
		if m.r.Float64() < m.lost {
			continue
		}
		if who > 0 && m.r.Float64() < m.edge {
			t = min(t+0.05+0.25*m.r.Float64(), behind)
		}
		t += m.noiseM * m.r.NormFloat64()
		xyz = append(xyz, float32(m.at[0]+t*d[0]), float32(m.at[2]+t*d[2]), float32(m.at[1]+t*d[1]))
		owner = append(owner, who)
	}
	return xyz, owner
}

// meetsBody is false for nearly every ray that misses.
func meetsBody(w *walker, o, d sim.Vec) bool {
	var along, off float64
	p := w.joints[0]
	for k := range 3 {
		along += (p[k] - o[k]) * d[k]
	}
	for k := range 3 {
		e := p[k] - o[k] - along*d[k]
		off += e * e
	}
	return along > 0 && off < 1.3*1.3
}

// share is what a run kept.
type share struct {
	person, kept, keptPerson int
	sweeps, without          int // sweeps with somebody there, those in which nobody was found
	offM                     float64
}

func (s *share) recall() float64     { return float64(s.keptPerson) / float64(max(s.person, 1)) }
func (s *share) background() float64 { return 1 - float64(s.keptPerson)/float64(max(s.kept, 1)) }

func (s *share) add(o share) {
	s.person += o.person
	s.kept += o.kept
	s.keptPerson += o.keptPerson
	s.sweeps += o.sweeps
	s.without += o.without
	s.offM += o.offM
}

// run lets the finder see the room from one instant to another at 10 Hz and
// counts the points of the first person inside the region.
func (m *testRoom) run(f *Finder, fromS, toS float64, camera bool) (s share) {
	var dst []float32
	for k := math.Round(fromS * 10); k < math.Round(toS*10); k++ {
		tS := k / 10
		atNS := int64(tS*1e9) + 1e9
		xyz, owner := m.sweep(tS)
		if camera && m.people[0].present {
			f.Rays(sightOf(m.people[0], atNS))
		}
		dst = f.Cloud(atNS, xyz, dst[:0])
		if !m.people[0].present {
			s.kept += len(dst) / 3
			continue
		}
		s.sweeps++
		if len(dst) == 0 {
			s.without++
		}
		for i, l := range f.Labels() {
			mine := owner[i] == 1
			if mine && l != Outside {
				s.person++
			}
			if l == Person {
				s.kept++
				if mine {
					s.keptPerson++
				}
			}
		}
		if t, ok := f.Track(atNS); ok {
			s.offM += math.Sqrt(distance2(t.PlaceM, m.people[0].pelvisM()))
		}
	}
	return s
}

func sightOf(w *walker, atNS int64) (int64, [3]float64, [][3]float64, [][3]float64) {
	o, j, a := w.rays()
	return atNS, o, j, a
}
