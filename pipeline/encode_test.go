package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// stagedModel's pose tells which inputs it was made of: joint m's x is a
// checksum of modality m's input. It fails the test if one encoder is entered
// twice at a time, or used after it was closed.
type stagedModel struct {
	fakeModel
	mu      sync.Mutex
	sum     [modality.Count]float32
	encoded [modality.Count]bool
	busy    [modality.Count]atomic.Bool
	work    func(m modality.Kind)
	closed  atomic.Int64
	misuse  atomic.Pointer[string]
}

func newStagedModel(name string) *stagedModel {
	return &stagedModel{fakeModel: fakeModel{card: newFakeModel(name).card}, work: func(modality.Kind) {}}
}

func (s *stagedModel) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.misuse.CompareAndSwap(nil, &text)
}

func (s *stagedModel) check(t interface {
	Helper()
	Errorf(string, ...any)
}) {
	t.Helper()
	if p := s.misuse.Load(); p != nil {
		t.Errorf("model %s: %s", s.card.Name, *p)
	}
}

func (s *stagedModel) Begin() { s.encoded = [modality.Count]bool{} }

func (s *stagedModel) Encode(m modality.Kind, x []float32) error {
	if s.busy[m].Swap(true) {
		s.wrong("encoder %d is entered twice", m)
	}
	defer s.busy[m].Store(false)
	if s.closed.Load() != 0 {
		s.wrong("encoder %d runs after close", m)
	}
	s.work(m)
	var sum float32
	for i, v := range x {
		sum += v * float32(i%13+1)
	}
	s.mu.Lock()
	s.sum[m], s.encoded[m] = sum, true
	s.mu.Unlock()
	return s.err
}

func (s *stagedModel) Finish(present modality.Set, out *model.Output) error {
	for m := range modality.Count {
		if s.busy[m].Load() {
			s.wrong("the head runs while encoder %d does", m)
		}
		if present.Has(m) && !s.encoded[m] {
			s.wrong("the head runs on %s without encoder %d", present, m)
		}
	}
	if s.closed.Load() != 0 {
		s.wrong("the head runs after close")
	}
	*out = model.Output{Coalition: present}
	for m := range modality.Count {
		if present.Has(m) {
			out.Pose[3*m] = s.sum[m]
		}
	}
	return nil
}

func (s *stagedModel) Close() error {
	if s.closed.Add(1) > 1 {
		s.wrong("closed twice")
	}
	return nil
}

// starts returns how often the modality's encoder was started at that point.
func starts(t interface{ Fatal(...any) }, c *Core, m modality.Kind, when int) float64 {
	families, err := c.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "posefuse_encoder_starts_total" {
			continue
		}
		for _, x := range f.GetMetric() {
			if x.GetLabel()[0].GetValue() == startNames[when] && x.GetLabel()[1].GetValue() == m.String() {
				return x.GetCounter().GetValue()
			}
		}
	}
	t.Fatal("no such metric")
	return 0
}

// variant returns a slot of fullTick with another content.
func variant(m modality.Kind, n int) timesync.Slot {
	t := fullTick()
	s := t.Slots[m]
	sample := *s.Sample
	switch {
	case sample.Keypoints != nil:
		k := *sample.Keypoints
		k.XY[3] = [2]float64{float64(10 * n), 5}
		sample.Keypoints = &k
	case sample.Cloud != nil:
		sample.Cloud = &sensors.PointCloud{XYZ: []float32{float32(n), 2, 3}}
	case sample.Radar != nil:
		sample.Radar = &sensors.RadarFrame{Points: []sensors.RadarPoint{{X: float32(n), Y: 1}}}
	case sample.CSI != nil:
		h := slices.Clone(sample.CSI.H)
		h[n] = complex(float32(n+2), 0)
		sample.CSI = &sensors.CSIPacket{Antennas: 3, Subcarriers: 114, H: h}
	}
	s.Sample = &sample
	for i := range s.Window {
		s.Window[i] = &sample
	}
	return s
}

// TestEarlyStartsChangeNoPose: whatever is announced before a tick - nothing,
// the right slot, outdated ones, modalities that then take no part - and
// however many workers there are, the pose is that of the tick's own inputs.
func TestEarlyStartsChangeNoPose(t *testing.T) {
	arrival := 0.0
	rapid.Check(t, func(t *rapid.T) {
		inf := newStagedModel("staged")
		c, err := New(Options{Config: unsearched(), Model: inf})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := newEngine(newStagedModel("whole"), true)
		if err != nil {
			t.Fatal(err)
		}
		l := c.ticks
		if workers := rapid.IntRange(0, 3).Draw(t, "workers"); workers > 0 {
			l.pool = newEncoderPool(workers)
			defer l.pool.close()
		}
		var got [model.NumJoints][3]float64
		var coalition string
		l.publish = func(buf []byte, p *message.Pose) ([]byte, error) {
			got, coalition = [model.NumJoints][3]float64{}, p.Coalition
			if p.JointsM != nil {
				got = *p.JointsM
			}
			return buf, nil
		}
		for i := range rapid.IntRange(1, 8).Draw(t, "ticks") {
			tick := fullTick()
			tick.Seq = uint64(i + 1)
			for m := range modality.Count {
				tick.Slots[m] = variant(m, rapid.IntRange(0, 3).Draw(t, "content"))
				if !rapid.Bool().Draw(t, "fused") {
					tick.Slots[m] = timesync.Slot{State: timesync.Late}
				}
			}
			for range rapid.IntRange(0, 10).Draw(t, "announcements") {
				m := modality.Kind(rapid.IntRange(0, int(modality.Count)-1).Draw(t, "modality"))
				s := tick.Slots[m]
				if s.State != timesync.Fused || rapid.Bool().Draw(t, "outdated") {
					s = variant(m, rapid.IntRange(4, 7).Draw(t, "old content"))
				}
				l.settled(m, tick.TimeNS, &s)
			}
			l.tick(tick)
			var want result
			if _, err := whole.run(tick, nil, nil, &want); err != nil {
				t.Fatal(err)
			}
			if coalition != want.present.String() {
				t.Fatalf("tick %d: coalition %s, want %s", i, coalition, want.present)
			}
			for j := range got {
				if want.present != 0 && got[j][0] != roundTo(want.joints[j][0], 1e6) {
					t.Fatalf("tick %d: joint %d is %v, want %v", i, j, got[j], want.joints[j])
				}
			}
		}
		inf.check(t)
		for m := range modality.Count {
			arrival += starts(t, c, m, onArrival)
		}
	})
	if arrival == 0 {
		t.Error("no encoder was started on arrival")
	}
}

// TestEncodersStartOnArrival: in a running daemon every sensor but the one
// that comes last is encoded before the tick is complete.
func TestEncodersStartOnArrival(t *testing.T) {
	inf := newStagedModel("staged")
	d := startDaemon(t, testConfig(t), inf)
	poses := d.subscribe(t, "pose")
	next(t, poses, func(p *message.Pose) bool { return p.Coalition == "RLMW" })
	for m := range modality.CSI { // which comes last
		testenv.Wait(t, fmt.Sprintf("five encoders of %s started on arrival", m), func() bool { return starts(t, d.Core, m, onArrival) >= 5 })
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	inf.check(t)
	if n := inf.closed.Load(); n != 1 {
		t.Errorf("the model was closed %d times at the daemon's end", n)
	}
}

// lost reports whether a pose lacks joints although a sensor came in time.
func lost(p *message.Pose) bool {
	for _, m := range p.Modalities {
		if m.State == string(timesync.Fused) && p.JointsM == nil {
			return true
		}
	}
	return false
}

// TestOverload: inference that takes longer than a tick and burns every core
// costs ticks, which are counted, told once and shown as a warning; sensors
// lose nothing.
func TestOverload(t *testing.T) {
	inf := newStagedModel("slow")
	inf.work = func(m modality.Kind) {
		if m != modality.LiDAR {
			return
		}
		var wg sync.WaitGroup
		for range runtime.NumCPU() {
			wg.Go(func() {
				for end := time.Now().Add(70 * time.Millisecond); time.Now().Before(end); {
				}
			})
		}
		wg.Wait()
	}
	var log lockedBuffer
	cfg := testConfig(t) // 20 Hz
	d := startDaemonLogging(t, cfg, inf, slog.New(slog.NewTextHandler(&log, nil)))
	status := d.subscribe(t, "status")
	s := next(t, status, func(s *message.Status) bool {
		return slices.ContainsFunc(s.Parts, func(p message.PartHealth) bool { return p.Part == "pipeline" && p.Code == "overloaded" })
	})
	for _, p := range s.Parts {
		if p.Part == "pipeline" && (p.Severity != severityWarning || !strings.Contains(p.Text, "edge") || !strings.Contains(p.Text, "sync.rate_hz")) {
			t.Errorf("%+v", p)
		}
	}
	time.Sleep(time.Second)
	for _, m := range d.sensorMessages() {
		lost := m.Counters["dropped_overflow"] + m.Counters["stale"] + m.Counters["early"]
		if lost != 0 || m.State != stateLive {
			t.Errorf("%s is %s and lost samples: %v", m.Name, m.State, m.Counters)
		}
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	st := d.aligner.Stats()
	if st.Skipped == 0 || st.Ticks != d.ticks.progress.poses.Load() || st.Resyncs != 0 {
		t.Errorf("%d ticks, %d skipped, %d poses, %d resyncs", st.Ticks, st.Skipped, d.ticks.progress.poses.Load(), st.Resyncs)
	}
	if n := strings.Count(log.String(), "ticks are skipped"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
	inf.check(t)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// An encoder's error costs the tick's pose, not the next one's.
func TestEncoderErrors(t *testing.T) {
	inf := newStagedModel("staged")
	e, err := newEngine(inf, true)
	if err != nil {
		t.Fatal(err)
	}
	var r result
	inf.err = errors.New("no kernel")
	if _, err := e.run(fullTick(), nil, nil, &r); err == nil || !strings.Contains(err.Error(), "no kernel") {
		t.Errorf("error %v", err)
	}
	inf.err = nil
	if _, err := e.run(fullTick(), nil, nil, &r); err != nil || r.present != modality.All {
		t.Errorf("after the error: %v, %s", err, r.present)
	}
}

func TestStagedTickAllocatesNothing(t *testing.T) {
	e, err := newEngine(newStagedModel("staged"), true)
	if err != nil {
		t.Fatal(err)
	}
	pool := newEncoderPool(2)
	defer pool.close()
	tick := fullTick()
	var r result
	run := func() {
		for m := range modality.Count {
			e.settled(m, &tick.Slots[m], pool)
		}
		if _, err := e.run(tick, pool, nil, &r); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testenv.AllocsPerRun(50, run); n != 0 {
		t.Errorf("%v allocations per tick", n)
	}
}
