package intake

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// input is what a network would take of a tick.
type input struct {
	lidar, radar, camera, csi []float32
	place                     Place
}

func newInput() *input {
	return &input{lidar: make([]float32, 384*3), radar: make([]float32, 64*5), camera: make([]float32, model.KeypointsValues), csi: make([]float32, model.CSIValues)}
}

func (in *input) equal(o *input) bool {
	bits := func(a, b []float32) bool {
		return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
	}
	return bits(in.lidar, o.lidar) && bits(in.radar, o.radar) && bits(in.camera, o.camera) && bits(in.csi, o.csi) && in.place == o.place
}

// take gives a tick's samples in an order.
func (r *testRoom) take(p *Intake, tick int, order []modality.Kind, in *input) {
	t := &r.ticks[tick]
	for _, m := range order {
		switch m {
		case modality.Camera:
			p.Camera(in.camera, r.window(tick))
		case modality.LiDAR:
			p.LiDAR(in.lidar, t.lidar)
		case modality.Radar:
			p.Radar(in.radar, t.radar)
		case modality.CSI:
			p.CSI(in.csi, slices.Repeat([]*sensors.Sample{t.csi}, model.CSIPackets))
		}
	}
	in.place = p.End(modality.All)
}

var usual = []modality.Kind{modality.LiDAR, modality.Radar, modality.Camera, modality.CSI}

// TestOrderWithinATickChangesNothing: once somebody is found, the sensors may come
// in any order, and be looked at once too often, as they are live; the input and
// the place are the same, bit for bit.
func TestOrderWithinATickChangesNothing(t *testing.T) {
	r := newRoom(t, 40, 100e6)
	var want []*input
	p := r.newIntake()
	found := 0
	for i := range r.ticks {
		in := newInput()
		r.take(p, i, usual, in)
		want = append(want, in)
		if in.place.Found {
			found++
		}
	}
	if found < 34 { // who they are is settled only by half a second of pictures
		t.Fatalf("somebody in %d of %d ticks", found, len(r.ticks))
	}
	rapid.Check(t, func(t *rapid.T) {
		p := r.newIntake()
		got := newInput()
		for i := range r.ticks {
			order := usual
			if !p.Ordered() {
				order = rapid.Permutation(usual).Draw(t, "order")
				if rapid.IntRange(0, 3).Draw(t, "again") == 0 { // started on a sample that another one replaced
					other := r.ticks[(i+7)%len(r.ticks)]
					p.LiDAR(got.lidar, other.lidar)
					p.Radar(got.radar, other.radar)
				}
			}
			r.take(p, i, order, got)
			if !got.equal(want[i]) {
				t.Fatalf("tick %d in the order %v: another input", i+1, order)
			}
		}
	})
}

// TestWhatATickDidNotTakeIsForgotten: samples that were looked at for a tick that
// then went without them leave no trace.
func TestWhatATickDidNotTakeIsForgotten(t *testing.T) {
	r := newRoom(t, 30, 100e6)
	inputs := func(early bool) (all []*input) {
		p := r.newIntake()
		for i := range r.ticks {
			in := newInput()
			if i%7 != 5 {
				r.take(p, i, usual, in)
			} else {
				if other := r.ticks[(i+5)%len(r.ticks)]; early {
					p.LiDAR(in.lidar, other.lidar)
					p.Radar(in.radar, other.radar)
					clear(in.lidar)
					clear(in.radar)
				}
				p.Camera(in.camera, r.window(i))
				in.place = p.End(modality.Of(modality.Camera))
			}
			all = append(all, in)
		}
		return all
	}
	want := inputs(false)
	for i, in := range inputs(true) {
		if !in.equal(want[i]) {
			t.Fatalf("tick %d: another input", i+1)
		}
	}
}

// TestPlaceDoesNotDependOnTheRate: with half and twice the ticks a second the
// person is found alike and followed as fast.
func TestPlaceDoesNotDependOnTheRate(t *testing.T) {
	at := map[int64][]float64{}
	for _, periodNS := range []int64{200e6, 100e6, 50e6} {
		r := newRoom(t, int(8e9/periodNS), periodNS)
		p := r.newIntake()
		in := newInput()
		for i := range r.ticks {
			r.take(p, i, usual, in)
			if now := int64(i+1) * periodNS; now%2e9 == 0 {
				if !in.place.Found {
					t.Fatalf("%d ms a tick: nobody after %d s", periodNS/1e6, now/1e9)
				}
				at[periodNS] = append(at[periodNS], in.place.CameraFromPose.T[2])
			}
		}
	}
	for periodNS, got := range at {
		for i, z := range got {
			// The person's squats are slower and faster, too: their track is not quite the same.
			if d := math.Abs(z - at[100e6][i]); d > 0.06 {
				t.Errorf("%d ms a tick, after %d s: the person stands %.2f m from where they stand at 100 ms", periodNS/1e6, 2*(i+1), d)
			}
		}
	}
}

// TestKeypointsWithoutTrunkAreHeldForASecond: sets without hips and shoulders are
// taken for the one before, but not for ever.
func TestKeypointsWithoutTrunkAreHeldForASecond(t *testing.T) {
	for _, periodNS := range []int64{200e6, 100e6, 50e6} {
		r := newRoom(t, int(5e9/periodNS), periodNS)
		lostAt := int(2e9 / periodNS)
		for i := lostAt; i < len(r.ticks); i++ {
			k := *r.ticks[i].camera.Keypoints
			for _, j := range []int{5, 6, 11, 12} {
				k.XY[j], k.Score[j] = [2]float64{}, 0
			}
			s := *r.ticks[i].camera
			s.Keypoints = &k
			r.ticks[i].camera = &s
		}
		p := r.newIntake()
		in := newInput()
		tookPart := 0
		for i := range r.ticks {
			p.LiDAR(in.lidar, r.ticks[i].lidar)
			ok := p.Camera(in.camera, r.window(i))
			p.End(modality.All)
			switch heldNS := int64(i-lostAt+1) * periodNS; {
			case i < lostAt && i > 1 && !ok:
				t.Errorf("%d ms a tick, tick %d: the whole person is no input", periodNS/1e6, i+1)
			case i >= lostAt && ok:
				tookPart++
				if heldNS > 2.1e9 {
					t.Fatalf("%d ms a tick: still held after %d ms", periodNS/1e6, heldNS/1e6)
				}
			}
		}
		// A second for the joints, another one for the set.
		if s := float64(tookPart) * float64(periodNS) / 1e9; s < 0.8 {
			t.Errorf("%d ms a tick: held for %.1f s only", periodNS/1e6, s)
		}
	}
}

// TestKeypointsAreThoseOfTheWindow: whoever prepares set by set, as training does,
// has what the daemon has, which prepares windows.
func TestKeypointsAreThoseOfTheWindow(t *testing.T) {
	r := newRoom(t, 100, 100e6)
	whole, single := r.newIntake(), r.newIntake()
	in := newInput()
	rows := make([]float32, len(r.ticks)*model.KeypointValues)
	first := -1
	for i := range r.ticks {
		whole.LiDAR(in.lidar, r.ticks[i].lidar)
		ok := whole.Camera(in.camera, r.window(i))
		whole.End(modality.All)
		single.LiDAR(in.lidar, r.ticks[i].lidar)
		row := rows[i*model.KeypointValues : (i+1)*model.KeypointValues]
		usable, takesPart := single.Keypoints(row, r.ticks[i].camera)
		single.End(modality.All)
		if ok != takesPart || !usable && i > 5 {
			t.Fatalf("tick %d: usable %t, takes part %t, in a window %t", i+1, usable, takesPart, ok)
		}
		if first < 0 && usable {
			first = i
		}
		for k := range model.CameraWindow {
			at := max(i-model.CameraWindow+1+k, first)
			if got, want := in.camera[k*model.KeypointValues:(k+1)*model.KeypointValues], rows[at*model.KeypointValues:(at+1)*model.KeypointValues]; ok && !slices.Equal(got, want) {
				t.Fatalf("tick %d, place %d of the window differs", i+1, k)
			}
		}
	}
}

// TestLabelsAreOfTheSweep: viewers get the labels of the sweep they show, or none.
func TestLabelsAreOfTheSweep(t *testing.T) {
	r := newRoom(t, 3, 100e6)
	p := r.newIntake()
	in := newInput()
	for i := range r.ticks {
		r.take(p, i, usual, in)
	}
	labels, ok := p.Labels(r.ticks[2].lidar, nil)
	points, usable := len(labels), 0
	for _, l := range labels {
		if l.String() == "person" {
			usable++
		}
	}
	if !ok || points != len(r.ticks[2].lidar.Cloud.XYZ)/3 || usable < 100 {
		t.Errorf("%d labels, %d of the person (%t)", points, usable, ok)
	}
	if _, ok = p.Labels(r.ticks[1].lidar, nil); ok {
		t.Error("labels of a sweep that is over")
	}
	near, ok := p.RadarPerson(r.ticks[2].radar, nil)
	if !ok || len(near) < 5 || len(near) > len(r.ticks[2].radar.Radar.Points)/2 {
		t.Errorf("%d of %d detections are the person's (%t)", len(near), len(r.ticks[2].radar.Radar.Points), ok)
	}
	if _, ok = New().Labels(r.ticks[2].lidar, nil); ok {
		t.Error("labels of nobody's search")
	}
}

func TestTickAllocatesNothing(t *testing.T) {
	r := newRoom(t, 90, 100e6)
	p := r.newIntake()
	in := newInput()
	for i := range r.ticks {
		r.take(p, i, usual, in)
	}
	w := r.window(len(r.ticks) - 1)
	csi := slices.Repeat([]*sensors.Sample{r.ticks[0].csi}, model.CSIPackets)
	n := testenv.AllocsPerRun(20, func() {
		t := &r.ticks[len(r.ticks)-1]
		p.LiDAR(in.lidar, t.lidar)
		p.Radar(in.radar, t.radar)
		p.Camera(in.camera, w)
		p.CSI(in.csi, csi)
		p.End(modality.All)
	})
	if n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}
