package pipeline

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"posefuse/internal/schematest"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

func TestSight(t *testing.T) {
	const second = int64(time.Second)
	person := func(others bool) *sensors.Sample {
		return &sensors.Sample{Keypoints: &sensors.Keypoints{Width: 640, Height: 480, Others: others}}
	}
	for name, c := range map[string]struct {
		tell func(f *keypointFeed)
		at   int64
		want sight
	}{
		"nothing seen yet":             {func(*keypointFeed) {}, second, sightPerson},
		"nobody from the start":        {func(f *keypointFeed) { f.nobody(1) }, 2, sightNobody},
		"a person":                     {func(f *keypointFeed) { f.person(person(false), second) }, second + 1, sightPerson},
		"a picture missed the person":  {func(f *keypointFeed) { f.person(person(false), second); f.nobody(second + second/10) }, second + second/5, sightPerson},
		"the person has left":          {func(f *keypointFeed) { f.person(person(false), second); f.nobody(3 * second) }, 3*second + 1, sightNobody},
		"a person came back":           {func(f *keypointFeed) { f.nobody(second); f.person(person(false), 9*second) }, 9*second + 1, sightPerson},
		"another person":               {func(f *keypointFeed) { f.person(person(true), second) }, second + 1, sightOthers},
		"another person for a picture": {func(f *keypointFeed) { f.person(person(true), second); f.person(person(false), 2*second) }, 2*second + 1, sightOthers},
		"the other person has left":    {func(f *keypointFeed) { f.person(person(true), second); f.person(person(false), 4*second) }, 4 * second, sightPerson},
	} {
		t.Run(name, func(t *testing.T) {
			f := newKeypointFeed("room1")
			c.tell(f)
			if got := f.sight(c.at); got != c.want {
				t.Errorf("sight %d, want %d", got, c.want)
			}
		})
	}
}

// TestKeypointFeed: viewers get the newest picture's joints, at most ten a
// second, in the words of the schema.
func TestKeypointFeed(t *testing.T) {
	f := newKeypointFeed("room1")
	s := &sensors.Sample{CaptureNS: 7, Keypoints: &sensors.Keypoints{Width: 640, Height: 480, Others: true}}
	s.Keypoints.XY[9], s.Keypoints.Score[9] = [2]float64{320.449, 99.96}, 0.876
	took := func() *message.ImageKeypoints {
		select {
		case m := <-f.pending:
			return &m
		default:
			return nil
		}
	}
	check := func(m *message.ImageKeypoints) {
		t.Helper()
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := schematest.Validate(t, message.ImageKeypointsSchema, b); err != nil {
			t.Error(err)
		}
	}
	f.nobody(1)
	m := took()
	check(m)
	if m.Keypoints != nil || m.Width != 0 {
		t.Errorf("nobody yet: %+v", m)
	}
	f.person(s, 1+viewerMinNS)
	f.person(s, 2+viewerMinNS) // too soon for another
	m = took()
	check(m)
	if m.CaptureNS != 7 || m.Width != 640 || m.Height != 480 || !m.Others || m.Keypoints[9] != [3]float64{320.4, 100, 0.88} {
		t.Errorf("person: %+v", m)
	}
	if took() != nil {
		t.Error("two messages within 90 ms")
	}
	f.person(s, 1+2*viewerMinNS)
	f.nobody(1 + 3*viewerMinNS) // before the viewers' publisher looked
	m = took()
	check(m)
	if m.Keypoints != nil || m.Others || m.Width != 640 || m.CaptureNS != 1+3*viewerMinNS {
		t.Errorf("nobody any more: %+v", m)
	}
}

// emptyRoom is a camera that sees nobody, and one person with another when
// told to.
type emptyRoom struct{ people chan bool }

func (e *emptyRoom) Run(ctx context.Context, sink sensors.Sink) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	people := false
	for seq := uint64(1); ; seq++ {
		select {
		case <-ctx.Done():
			return nil
		case people = <-e.people:
			continue
		case <-tick.C:
		}
		if !people {
			sink.Count(sensors.OutcomeNobody, 1)
			continue
		}
		sink.Emit(&sensors.Sample{Sensor: "camera", Modality: modality.Camera, Seq: seq, ReceiveNS: sink.NowNS(),
			Keypoints: &sensors.Keypoints{Width: 640, Height: 480, Others: true}})
	}
}

// TestStatusSaysWhoIsInView: nobody and another person are words of the status,
// and so is a simulated sensor.
func TestStatusSaysWhoIsInView(t *testing.T) {
	cfg := testConfig(t)
	cfg.Sensors.LiDAR.Enabled, cfg.Sensors.CSI.Enabled = false, false
	room := &emptyRoom{people: make(chan bool)}
	opt := Options{Config: cfg, Version: "0.1.0", Model: newFakeModel("fake"), Notify: func(string) error { return nil }, Simulated: modality.Of(modality.Radar)}
	opt.Sources[modality.Camera] = room
	opt.Sources[modality.Radar] = &fakeSource{modality: modality.Radar, period: cfg.Sync.TickPeriod()}
	core, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- core.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	testenv.Receive(t, "a running daemon", core.Ready())
	d := &daemonUnderTest{Core: core}
	statuses, views, states := d.subscribe(t, "status"), d.subscribe(t, "image_keypoints"), d.subscribe(t, "sensor.*")
	part := func(s *message.Status, name string) message.PartHealth {
		for _, h := range s.Parts {
			if h.Part == name {
				return h
			}
		}
		return message.PartHealth{}
	}
	next(t, views, func(k *message.ImageKeypoints) bool { return k.Keypoints == nil && !k.Others })
	s := next(t, statuses, func(s *message.Status) bool {
		return code(s, "sensor.camera") == "nobody" && code(s, "sensor.radar") == "ok"
	})
	if h := part(s, "sensor.camera"); h.Severity != "ok" || !strings.Contains(h.Text, "nobody in view") {
		t.Errorf("%+v", h)
	}
	if h := part(s, "sensor.radar"); !strings.HasPrefix(h.Text, "simulated: live") {
		t.Errorf("%+v", h)
	}
	next(t, states, func(s *message.Sensor) bool { return s.Name == "radar" && s.Simulated })
	next(t, states, func(s *message.Sensor) bool {
		return s.Name == "camera" && !s.Simulated && s.State == "live" && s.Counters["nobody"] > 0
	})
	room.people <- true
	next(t, views, func(k *message.ImageKeypoints) bool { return k.Keypoints != nil && k.Others && k.Width == 640 })
	s = next(t, statuses, func(s *message.Status) bool { return code(s, "sensor.camera") == "others" })
	if h := part(s, "sensor.camera"); h.Severity != "warning" || !strings.Contains(h.Text, "another person in view") {
		t.Errorf("%+v", h)
	}
	room.people <- false
	next(t, statuses, func(s *message.Status) bool { return code(s, "sensor.camera") == "nobody" })
}
