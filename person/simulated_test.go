package person_test

import (
	"fmt"
	"math"
	"testing"

	"posefuse/frame"
	"posefuse/internal/testenv"
	"posefuse/person"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors"
)

// TestSimulatedRooms is the measure on the simulator's whole sweeps, whose points
// are labelled: of the person's points in the region at least 95 % are kept, and
// at most 10 % of what is kept is not theirs, from the first sweep on.
func TestSimulatedRooms(t *testing.T) {
	testenv.SlowRace(t)
	kinds := map[string]func(w *sim.World){
		"open":         func(*sim.World) {},
		"chair behind": func(w *sim.World) { w.Room.Furniture = furniture("chair", w, 0, 0.5) },
		"chair aside":  func(w *sim.World) { w.Room.Furniture = furniture("chair", w, 0.8, 0.1) },
		"bed aside":    func(w *sim.World) { w.Room.Furniture = furniture("bed", w, 1.1, 0) },
		"bed touched":  func(w *sim.World) { w.Room.Furniture = furniture("bed", w, 0.85, 0) },
		"wall behind":  func(w *sim.World) { w.Room.AheadM = 3.1 + w.Person.FartherM + 0.7 },
		"128 beams, chair": func(w *sim.World) {
			w.LiDAR.Beams = 128
			w.Room.Furniture = furniture("chair", w, 0, 0.5)
		},
		"clinic": func(w *sim.World) {
			w.Camera.RoomFromCamera = frame.CameraPose{PositionM: [3]float64{0, 0, 1.25}, TiltDeg: -4}
			w.LiDAR.RoomFromLiDAR = frame.SensorPose{PositionM: [3]float64{0.2, 0, 1.4}, PanDeg: 90}
		},
	}
	for name, change := range kinds {
		for _, camera := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s camera=%v", name, camera), func(t *testing.T) {
				var all measure
				for i, c := range []struct {
					subject, activity int
					right, farther    float64
				}{{1, 12, 0, 0}, {7, 12, 0.4, -1.1}, {12, 13, -0.3, -0.5}, {20, 16, 0, 1.4}, {33, 1, 0.5, 0.7}, {5, 20, -0.7, 0.2}} {
					w := sim.DefaultWorld()
					w.LiDAR.WholeSweep = true
					w.Person.RightM, w.Person.FartherM = c.right, c.farther
					w.Room.AheadM = 5.4
					change(&w)
					cfg := sim.Config{Seed: uint64(100 + i), Preset: "mmfi", FramesPerClip: 40, World: &w}
					m := watch(t, cfg, recording.Key{Subject: c.subject, Activity: c.activity}, camera)
					t.Logf("S%02d/A%02d %+.1f %+.1f: %v", c.subject, c.activity, c.right, c.farther, m)
					all.add(m)
				}
				t.Logf("all: %v", all)
				if all.recall() < 0.95 || all.others() > 0.1 || all.offM > 0.15*float64(all.sweeps) {
					t.Errorf("%v; want 95 and 10 %%, 150 mm", all)
				}
			})
		}
	}
}

// TestTableBeforeTheLegs: what hides the legs, or one half of the body, is not
// taken for the person, and does not pull them nearer.
func TestTableBeforeTheLegs(t *testing.T) {
	testenv.SlowRace(t)
	for _, whole := range []bool{false, true} {
		for severity, most := range map[int]float64{1: 0.02, 2: 0.02, 3: 0.1} { // hides the knees, the hips, one side
			t.Run(fmt.Sprintf("whole sweep=%v severity %d", whole, severity), func(t *testing.T) {
				var all measure
				for i, key := range []recording.Key{{Subject: 5, Activity: 1}, {Subject: 10, Activity: 13}, {Subject: 15, Activity: 17}, {Subject: 7, Activity: 12}} {
					w := sim.DefaultWorld()
					w.LiDAR.WholeSweep = whole
					cfg := sim.Config{Seed: uint64(1 + i), Preset: "mmfi", FramesPerClip: 40, World: &w, Degradations: []sim.Degradation{{Kind: sim.Occluder, Severity: severity}}}
					m := watch(t, cfg, key, true)
					t.Logf("%s: %v", key, m)
					all.add(m)
				}
				if all.recall() < 0.9 || all.others() > most || all.offM > 0.15*float64(all.sweeps) {
					t.Errorf("%v; want 90 and %.0f %%, 150 mm", all, 100*most)
				}
			})
		}
	}
}

// furniture stands beside and behind the person.
func furniture(kind string, w *sim.World, right, behind float64) []sim.Furniture {
	return []sim.Furniture{{Kind: kind, AtM: [2]float64{w.Person.RightM + right, 3.1 + w.Person.FartherM + behind}}}
}

// measure counts points.
type measure struct {
	person, kept, right, sweeps, without int
	offM                                 float64 // sum of the track's distances from the pelvis
}

func (m *measure) recall() float64 { return float64(m.right) / float64(max(m.person, 1)) }
func (m *measure) others() float64 { return 1 - float64(m.right)/float64(max(m.kept, 1)) }
func (m *measure) add(o measure) {
	m.person, m.kept, m.right = m.person+o.person, m.kept+o.kept, m.right+o.right
	m.offM += o.offM
	m.sweeps, m.without = m.sweeps+o.sweeps, m.without+o.without
}

func (m measure) String() string {
	return fmt.Sprintf("kept %.1f %% of %d, %.1f %% of what is kept is not theirs, nobody in %d of %d sweeps, %.0f mm off", 100*m.recall(), m.person, 100*m.others(), m.without, m.sweeps, 1000*m.offM/float64(m.sweeps))
}

// watch lets a finder see a clip.
func watch(t *testing.T, cfg sim.Config, key recording.Key, camera bool) (m measure) {
	t.Helper()
	data, err := sim.NewDataset(cfg)
	if err != nil {
		t.Fatal(err)
	}
	clip, err := data.Clip(key)
	if err != nil {
		t.Fatal(err)
	}
	rig, ok := frame.RigOf(clip)
	if !ok {
		t.Fatal("the clip has no arrangement")
	}
	f := person.NewFinder(person.Config{LiDARAtM: rig.RoomFromLiDAR.T})
	var scan sim.LabelledScan
	var xyz, dst []float32
	for i := range clip.Len() {
		atNS := int64(i)*1e8 + 1e9
		if err := clip.LabelledScan(i, &scan); err != nil {
			t.Fatal(err)
		}
		if camera {
			var k sensors.Keypoints
			if seen, err := clip.Keypoints(i, &k); err != nil {
				t.Fatal(err)
			} else if seen {
				joints, ankles := rays(&k, &rig)
				f.Rays(atNS, rig.RoomFromCamera.T, joints, ankles)
			}
		}
		xyz = xyz[:0]
		for p := scan.PointsM; len(p) > 0; p = p[3:] {
			at := rig.RoomFromLiDAR.Apply([3]float64{p[0], p[1], p[2]})
			xyz = append(xyz, float32(at[0]), float32(at[1]), float32(at[2]))
		}
		dst = f.Cloud(atNS, xyz, dst[:0])
		m.sweeps++
		if len(dst) == 0 {
			m.without++
		}
		truth, err := clip.CleanTruth(i)
		if err != nil {
			t.Fatal(err)
		}
		if track, ok := f.Track(atNS); ok {
			pelvis := rig.RoomFromCamera.Apply(truth[0])
			m.offM += math.Hypot(track.PlaceM[0]-pelvis[0], track.PlaceM[1]-pelvis[1])
		}
		for k, l := range f.Labels() {
			mine := scan.Surfaces[k] == sim.SurfacePerson
			if mine && l != person.Outside {
				m.person++
			}
			if l == person.Person {
				m.kept++
				if mine {
					m.right++
				}
			}
		}
	}
	return m
}

// rays turns keypoints into directions of the room frame.
func rays(k *sensors.Keypoints, rig *frame.Rig) (joints, ankles [][3]float64) {
	for j, p := range k.XY {
		if k.Score[j] < 0.3 {
			continue
		}
		x, y := rig.Camera.Ray(p[0], p[1], float64(k.Width), float64(k.Height))
		d := [3]float64{x, y, 1}
		turn := frame.Transform{R: rig.RoomFromCamera.R}
		d = turn.Apply(d)
		l := math.Sqrt(d[0]*d[0] + d[1]*d[1] + d[2]*d[2])
		for i := range d {
			d[i] /= l
		}
		joints = append(joints, d)
		if j >= 15 {
			ankles = append(ankles, d)
		}
	}
	return joints, ankles
}
