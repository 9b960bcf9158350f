package timesync

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posefuse/sensors"
)

// device is a simulated sensor clock and transport.
type device struct {
	rng     *rand.Rand
	offset  float64 // device minus room, ns
	ppm     float64 // device gains this against the room
	floor   int64   // smallest transport delay, ns
	jitter  float64 // mean of the exponential part, ns
	seq     uint64
	noClock bool
}

// sample returns the sample captured at room time at.
func (d *device) sample(at int64) *sensors.Sample {
	d.seq++
	delay := d.floor + int64(d.rng.ExpFloat64()*d.jitter)
	return &sensors.Sample{
		Seq: d.seq, HasDevice: !d.noClock, DeviceNS: int64(float64(at)*(1+d.ppm*1e-6) + d.offset),
		ReceiveNS: at + delay,
	}
}

// feed stamps one sample per period from..to and returns the largest capture
// error, ns, over the floor delay, of samples captured at or after settle.
func (d *device) feed(t testing.TB, m *ClockModel, from, to, period, settle int64, change func(*sensors.Sample)) (worst int64) {
	t.Helper()
	last := int64(-1 << 62)
	for at := from; at < to; at += period {
		s := d.sample(at)
		if change != nil {
			change(s)
		}
		c := m.Stamp(s)
		if c > s.ReceiveNS {
			t.Fatalf("at %d ns: capture %d after reception %d", at, c, s.ReceiveNS)
		}
		if c < last {
			t.Fatalf("at %d ns: capture goes back from %d to %d", at, last, c)
		}
		last = c
		if at >= settle {
			worst = max(worst, abs(c-at-d.floor))
		}
	}
	return worst
}

const second = int64(time.Second)

func newDevice(seed uint64) *device {
	return &device{rng: rand.New(rand.NewPCG(seed, 1)), offset: -7.3e12, floor: ms, jitter: 2e6}
}

func TestClockModelFromFirstSample(t *testing.T) {
	d := newDevice(1)
	m := NewClockModel(ModelConfig{FixedLatency: 3 * time.Millisecond})
	s := d.sample(5 * second)
	if got, want := m.Stamp(s), s.ReceiveNS-3*ms; got != want || s.CaptureNS != want {
		t.Errorf("first capture %d (sample %d), want %d", got, s.CaptureNS, want)
	}
	if st := m.Status(); st.State != ModelLearning || st.OffsetNS != s.ReceiveNS-s.DeviceNS {
		t.Errorf("status %+v", st)
	}
}

// TestClockModelTracksDrift: jitter is removed and the drift found.
func TestClockModelTracksDrift(t *testing.T) {
	for _, ppm := range []float64{-200, -150, -20, 0, 35, 150, 200} {
		d := newDevice(2)
		d.ppm = ppm
		m := NewClockModel(ModelConfig{})
		if worst := d.feed(t, m, 0, 120*second, 100*ms, 20*second, nil); worst > 3*ms {
			t.Errorf("%v ppm: capture off by %d ns", ppm, worst)
		}
		st := m.Status()
		if st.State != ModelLocked || st.Discontinuities != 0 {
			t.Errorf("%v ppm: %+v", ppm, st)
		}
		// The room loses what the device gains.
		if diff := st.DriftPPM + ppm; diff > 40 || diff < -40 {
			t.Errorf("drift %v ppm found for a device at %v", st.DriftPPM, ppm)
		}
	}
}

// TestClockFaults are the drills of style.md C: healthy again within 2 s.
func TestClockFaults(t *testing.T) {
	const healthy = 12 * ms // jitter of 2 ms mean, 20 samples: the envelope is that good
	at := 30 * second
	for _, tc := range []struct {
		name    string
		fault   func(d *device)
		change  func(first bool, s *sensors.Sample)
		discont uint64
	}{
		{name: "step of an hour forward", fault: func(d *device) { d.offset += 3600e9 }, discont: 1},
		{name: "step of an hour back", fault: func(d *device) { d.offset -= 3600e9 }, discont: 1},
		{name: "step of 300 ms back", fault: func(d *device) { d.offset -= 3e8 }, discont: 1},
		{name: "step of 300 ms forward", fault: func(d *device) { d.offset += 3e8 }, discont: 1},
		{name: "suddenly 500 ppm fast", fault: func(d *device) { d.offset -= 500e-6 * 30e9; d.ppm = 500 }},
		{name: "suddenly 500 ppm slow", fault: func(d *device) { d.offset += 500e-6 * 30e9; d.ppm = -500 }},
		{name: "restart at zero", fault: func(d *device) { d.offset = -30e9 + 1 },
			change: func(first bool, s *sensors.Sample) { s.Restarted = first }, discont: 1},
		{name: "backward loop of a recording", fault: func(d *device) { d.offset -= 20e9 }, discont: 1},
		{name: "zero stamps", change: func(_ bool, s *sensors.Sample) { s.DeviceNS = 0 }},
		{name: "stamps stand still", change: func(_ bool, s *sensors.Sample) { s.DeviceNS = 77 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDevice(3)
			m := NewClockModel(ModelConfig{})
			d.feed(t, m, 0, at, 100*ms, 0, nil)
			if tc.fault != nil {
				tc.fault(d)
			}
			first := true
			worst := d.feed(t, m, at, at+60*second, 100*ms, at+2*second, func(s *sensors.Sample) {
				if tc.change != nil {
					tc.change(first, s)
				}
				first = false
			})
			limit := healthy
			if tc.discont == 0 && tc.fault == nil {
				limit = 30 * ms // nothing but the receive time is left
			}
			if worst > limit {
				t.Errorf("2 s after the fault the capture time is off by %d ns", worst)
			}
			if st := m.Status(); st.Discontinuities != tc.discont {
				t.Errorf("discontinuities %d, want %d (%+v)", st.Discontinuities, tc.discont, st)
			}
		})
	}
}

// TestBacklogIsNoStep: a stalled transport delivers a burst of old samples;
// they keep their true capture times and the map is not reset.
func TestBacklogIsNoStep(t *testing.T) {
	d := newDevice(4)
	d.jitter = 1
	m := NewClockModel(ModelConfig{})
	d.feed(t, m, 0, 20*second, 100*ms, 0, nil)
	for i := range int64(9) { // all arrive at 20.95 s
		at := 20*second + i*100*ms
		s := d.sample(at)
		s.ReceiveNS = 20*second + 950*ms
		if c := m.Stamp(s); abs(c-at-d.floor) > ms {
			t.Errorf("sample %d of the backlog: capture off by %d ns", i, c-at-d.floor)
		}
	}
	if worst := d.feed(t, m, 21*second, 25*second, 100*ms, 0, nil); worst > ms {
		t.Errorf("off by %d ns after the backlog", worst)
	}
	if st := m.Status(); st.Discontinuities != 0 {
		t.Errorf("%+v", st)
	}
}

func TestOneWrongStampChangesNothing(t *testing.T) {
	d := newDevice(5)
	d.jitter = 1
	m := NewClockModel(ModelConfig{})
	d.feed(t, m, 0, 20*second, 100*ms, 0, nil)
	s := d.sample(20 * second)
	s.DeviceNS += 86400 * second
	if c := m.Stamp(s); c != s.ReceiveNS {
		t.Errorf("capture %d of a wrong stamp, want the receive time %d", c, s.ReceiveNS)
	}
	if worst := d.feed(t, m, 20*second+100*ms, 25*second, 100*ms, 0, nil); worst > ms {
		t.Errorf("off by %d ns after one wrong stamp", worst)
	}
}

func TestWithoutDeviceTime(t *testing.T) {
	d := newDevice(6)
	d.noClock = true
	m := NewClockModel(ModelConfig{FixedLatency: 4 * time.Millisecond})
	s := d.sample(3 * second)
	if c := m.Stamp(s); c != s.ReceiveNS-4*ms {
		t.Errorf("capture %d, want %d", c, s.ReceiveNS-4*ms)
	}
	if st := m.Status(); st.State != ModelReceiveOnly {
		t.Errorf("state %s", st.State)
	}

	// With a nominal period frame numbers take the jitter out, gaps included.
	m = NewClockModel(ModelConfig{NominalPeriod: 100 * time.Millisecond})
	lost := 0
	worst := int64(0)
	for i := range int64(400) {
		at := i * 100 * ms
		s := d.sample(at)
		s.Seq = uint64(i)
		if i%7 == 3 {
			lost++
			continue
		}
		c := m.Stamp(s)
		if i > 100 {
			worst = max(worst, abs(c-at-d.floor))
		}
	}
	if worst > 2*ms || lost == 0 {
		t.Errorf("capture off by %d ns with frame numbers", worst)
	}
}

// TestReorderedKeepsItsPlace: capture order is device order, not arrival order.
func TestReorderedKeepsItsPlace(t *testing.T) {
	d := newDevice(7)
	d.jitter = 1
	m := NewClockModel(ModelConfig{})
	d.feed(t, m, 0, 5*second, 10*ms, 0, nil)
	a, b := d.sample(5*second), d.sample(5*second+10*ms)
	a.ReceiveNS, b.ReceiveNS = 5*second+13*ms, 5*second+12*ms
	cb, ca := m.Stamp(b), m.Stamp(a)
	if cb-ca < 9*ms || cb-ca > 11*ms {
		t.Errorf("captures of reordered samples are %d ns apart, want 10 ms", cb-ca)
	}
}

// TestClockModelProperties: for any device, capture times are never after
// reception and never decrease, and the offset never exceeds the true one by
// more than the delay allows.
func TestClockModelProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewClockModel(ModelConfig{})
		var recv, dev, last int64 = second, rapid.Int64Range(1, 1<<50).Draw(t, "device"), 0
		for i := range rapid.IntRange(1, 120).Draw(t, "n") {
			step := rapid.Int64Range(ms, 300*ms).Draw(t, "step")
			recv, dev = recv+step, dev+step
			if rapid.IntRange(0, 9).Draw(t, "fault") == 0 {
				dev += rapid.Int64Range(0, 4000*second).Draw(t, "jump")
			}
			s := &sensors.Sample{Seq: uint64(i), HasDevice: true, DeviceNS: dev, ReceiveNS: recv}
			c := m.Stamp(s)
			if c > recv || c < last || c < recv-second-300*ms {
				t.Fatalf("sample %d: capture %d after %d, received %d", i, c, last, recv)
			}
			last = c
		}
	})
}
