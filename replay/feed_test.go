package replay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// piece is what a probe sends: counters and clock of the sensor.
type piece struct {
	frame    int
	counter  int64 // since the last restart
	deviceNS int64
	at       time.Duration // arrival, after the first frame
}

// probe is a fake with three units a frame that keeps what is sent.
type probe struct {
	stream   bool
	failSend bool
	counter  int64
	opened   int
	closed   int
	start    *time.Time
	got      []piece
}

func (p *probe) begin(planned) error { return nil }
func (p *probe) restart()            { p.counter = 0 }
func (p *probe) open() error         { p.opened++; return nil }
func (p *probe) close()              { p.closed++ }
func (p *probe) inOrder() bool       { return p.stream }

func (p *probe) units(dst []unit, c recording.Clip, i int, t *frameTime) ([]unit, error) {
	var f recording.Frame
	if err := c.Frame(i, &f); err != nil {
		return dst, err
	}
	if len(f.LiDAR) == 0 {
		return dst, nil
	}
	for k := range int64(3) {
		at := t.scaled(k-1, 4)
		b := binary.LittleEndian.AppendUint64(nil, uint64(i))
		b = binary.LittleEndian.AppendUint64(b, uint64(p.counter))
		b = binary.LittleEndian.AppendUint64(b, uint64(t.deviceNS(at)))
		p.counter++
		dst = append(dst, unit{at: at, data: b})
	}
	return dst, nil
}

func (p *probe) send(b []byte) error {
	if p.failSend {
		return errors.New("cable cut")
	}
	le := binary.LittleEndian
	p.got = append(p.got, piece{int(le.Uint64(b)), int64(le.Uint64(b[8:])), int64(le.Uint64(b[16:])), time.Since(*p.start)})
	return nil
}

// playProbe plays clips on a probe in virtual time; during runs beside it.
func playProbe(t *testing.T, pr *probe, cfg Config, faults Faults, during func(p *Player)) Counts {
	t.Helper()
	var counts Counts
	synctest.Test(t, func(t *testing.T) {
		cfg.Camera = nil
		p := &Player{cfg: cfg, feeds: []*feed{{
			modality: modality.LiDAR, fake: pr, faults: faults, log: slog.New(slog.DiscardHandler), wanted: true,
			wake: make(chan struct{}, 1), passed: -1,
		}}}
		p.cfg.Log = slog.New(slog.DiscardHandler)
		if p.cfg.Speed == 0 {
			p.cfg.Speed = 1
		}
		if p.cfg.Lead == 0 {
			p.cfg.Lead = DefaultLead
		}
		if len(p.cfg.Clips) == 0 {
			p.cfg.Clips = p.cfg.Data.Keys()
		}
		start := time.Now().Add(p.cfg.Lead)
		pr.start = &start
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if during != nil {
			go during(p)
		}
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		counts = p.Counts()[modality.LiDAR]
	})
	if counts.Offered+counts.Duplicated != counts.Sent+counts.Lost+counts.Cut+counts.Unsent {
		t.Errorf("pieces disappear: %+v", counts)
	}
	if pr.opened != pr.closed {
		t.Errorf("opened %d times, closed %d times", pr.opened, pr.closed)
	}
	return counts
}

func TestScheduleIsAbsolute(t *testing.T) {
	pr := &probe{}
	a, b := stored(1, 4), stored(2, 3)
	var ev events
	c := playProbe(t, pr, Config{Data: clipSet{a, b}, Pause: 250 * time.Millisecond, OnFrame: ev.add}, Faults{}, nil)
	if c.Sent != 21 || c.Frames != 7 {
		t.Errorf("counts %+v", c)
	}
	// A pause is rounded up to whole periods: 300 ms.
	var want []piece
	at := func(n int) time.Duration { return time.Duration(n) * 100 * time.Millisecond }
	counter := int64(0)
	for n, frame := range []int{0, 1, 2, 3, -1, -1, -1, 0, 1, 2} {
		for k := range 3 {
			if frame < 0 {
				break
			}
			d := at(n) + time.Duration(k-1)*25*time.Millisecond
			want = append(want, piece{frame, counter, int64(warmTime + d), d})
			counter++
		}
	}
	if diff := cmp.Diff(want, pr.got, cmp.AllowUnexported(piece{})); diff != "" {
		t.Error(diff)
	}
	var times []string
	for _, e := range ev.all() {
		times = append(times, fmt.Sprint(e.Clip.Subject, e.Pass, e.Frame, e.Capture.Sub(*pr.start)))
	}
	if diff := cmp.Diff([]string{"1 0 0 0s", "1 0 1 100ms", "1 0 2 200ms", "1 0 3 300ms", "2 1 0 700ms", "2 1 1 800ms", "2 1 2 900ms"}, times); diff != "" {
		t.Error(diff)
	}
}

func TestSpeedScalesTheSchedule(t *testing.T) {
	pr := &probe{}
	playProbe(t, pr, Config{Data: clipSet{stored(1, 3)}, Speed: 4}, Faults{}, nil)
	last := pr.got[len(pr.got)-1]
	if want := 50*time.Millisecond + 6250*time.Microsecond; last.at != want || last.deviceNS != int64(warmTime+want) {
		t.Errorf("last piece at %v, device clock %v, want %v", last.at, time.Duration(last.deviceNS), want)
	}
}

func TestLossAndDuplicates(t *testing.T) {
	pr := &probe{}
	f := Faults{Seed: 1, Loss: 0.3, Duplicate: 0.3}
	c := playProbe(t, pr, Config{Data: clipSet{stored(1, 100)}}, f, nil)
	if c.Offered != 300 || c.Lost == 0 || c.Duplicated == 0 || int(c.Sent) != len(pr.got) {
		t.Errorf("counts %+v, %d received", c, len(pr.got))
	}
	seen := map[int64]int{}
	for _, p := range pr.got {
		seen[p.counter]++
	}
	if lost := 300 - len(seen); lost != int(c.Lost) || len(pr.got)-len(seen) != int(c.Duplicated) {
		t.Errorf("lost %d, twice %d, counts %+v", lost, len(pr.got)-len(seen), c)
	}
	again := &probe{}
	playProbe(t, again, Config{Data: clipSet{stored(1, 100)}}, f, nil)
	if diff := cmp.Diff(pr.got, again.got, cmp.AllowUnexported(piece{})); diff != "" {
		t.Error("the same play has other faults", diff)
	}
}

func TestReorderSwapsNeighbours(t *testing.T) {
	for _, stream := range []bool{false, true} {
		pr := &probe{stream: stream}
		c := playProbe(t, pr, Config{Data: clipSet{stored(1, 60)}}, Faults{Seed: 2, Reorder: 0.2}, nil)
		swaps := uint64(0)
		for i, p := range pr.got {
			switch p.counter - int64(i) {
			case 0:
			case 1:
				swaps++
			case -1:
			default:
				t.Fatalf("piece %d came at place %d", p.counter, i)
			}
		}
		// The last piece may be held for good.
		if swaps == 0 || c.Reordered-swaps > 1 {
			t.Errorf("%d swaps, counts %+v", swaps, c)
		}
	}
}

func TestJitter(t *testing.T) {
	for _, stream := range []bool{false, true} {
		pr := &probe{stream: stream}
		const jitter = 80 * time.Millisecond // more than the 25 ms between pieces
		playProbe(t, pr, Config{Data: clipSet{stored(1, 60)}}, Faults{Seed: 2, Jitter: jitter}, nil)
		if len(pr.got) != 180 {
			t.Fatalf("%d pieces", len(pr.got))
		}
		late := 0
		for _, p := range pr.got {
			d := p.at - time.Duration(p.deviceNS-int64(warmTime))
			if d < 0 || !stream && d > jitter || d > 2*jitter {
				t.Fatalf("piece %d is late by %v", p.counter, d)
			}
			if d > jitter/4 {
				late++
			}
		}
		if late < 60 {
			t.Errorf("only %d of 180 pieces are late by more than a quarter of the jitter", late)
		}
		if sorted := slices.IsSortedFunc(pr.got, func(a, b piece) int { return int(a.counter - b.counter) }); sorted != stream {
			t.Errorf("stream %v: in order %v", stream, sorted)
		}
	}
}

func TestCutRestartAndStep(t *testing.T) {
	pr := &probe{}
	c := playProbe(t, pr, Config{Data: clipSet{stored(1, 50)}}, Faults{
		Cuts:     []Cut{{time.Second, 500 * time.Millisecond}},
		Restarts: []time.Duration{2 * time.Second},
		Steps:    []ClockStep{{3 * time.Second, 2 * time.Second}, {4 * time.Second, -5 * time.Second}},
	}, nil)
	if c.Cut != 15 || c.Restarts != 1 || c.Steps != 2 || c.Sent != 135 {
		t.Errorf("counts %+v", c)
	}
	for _, p := range pr.got {
		if p.at >= time.Second && p.at < 1500*time.Millisecond {
			t.Errorf("a piece came during the cut, at %v", p.at)
		}
		offset, first := warmTime, 0
		if p.frame >= 20 {
			offset, first = bootTime-2*time.Second, 20
		}
		if p.frame >= 30 {
			offset += 2 * time.Second
		}
		if p.frame >= 40 {
			offset -= 5 * time.Second
		}
		if got := time.Duration(p.deviceNS) - p.at; got != offset {
			t.Errorf("frame %d: device clock is %v ahead of the play, want %v", p.frame, got, offset)
		}
		if got := int(p.counter) / 3; got != p.frame-first {
			t.Errorf("frame %d: counter %d", p.frame, p.counter)
		}
	}
}

func TestStopAndStart(t *testing.T) {
	pr := &probe{}
	c := playProbe(t, pr, Config{Data: clipSet{stored(1, 40)}}, Faults{}, func(p *Player) {
		time.Sleep(DefaultLead + 980*time.Millisecond)
		p.Stop(modality.LiDAR)
		time.Sleep(time.Second)
		p.Start(modality.LiDAR)
	})
	if pr.opened != 2 {
		t.Errorf("transport opened %d times, want 2", pr.opened)
	}
	for _, p := range pr.got {
		if p.at > 980*time.Millisecond && p.at < 1980*time.Millisecond {
			t.Errorf("a piece came at %v, while the sensor was stopped", p.at)
		}
		if p.at >= 1980*time.Millisecond && p.counter > int64(3*(p.frame-20)+2) {
			t.Errorf("frame %d: counter %d did not start over", p.frame, p.counter)
		}
	}
	if c.Off == 0 || c.Frames+c.Off != 40 {
		t.Errorf("counts %+v", c)
	}
}

func TestAbsentBrokenAndUnsent(t *testing.T) {
	clip := stored(1, 10)
	clip.empty, clip.broken = 4, 6
	if c := playProbe(t, &probe{}, Config{Data: clipSet{clip}}, Faults{}, nil); c.Absent != 1 || c.Unreadable != 1 || c.Frames != 8 || c.Sent != 24 {
		t.Errorf("counts %+v", c)
	}
	if c := playProbe(t, &probe{failSend: true}, Config{Data: clipSet{clip}}, Faults{}, nil); c.Unsent != 24 || c.Sent != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestMissingClipIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pr := &probe{}
		start := time.Now()
		pr.start = &start
		p := &Player{
			cfg: Config{
				Data: clipSet{stored(1, 3)}, Clips: []recording.Key{{Subject: 9, Activity: 9}, {Subject: 1, Activity: 12}},
				Speed: 1, Lead: DefaultLead, Log: slog.New(slog.DiscardHandler),
			},
			feeds: []*feed{{modality: modality.LiDAR, fake: pr, log: slog.New(slog.DiscardHandler), wanted: true, wake: make(chan struct{}, 1), passed: -1}},
		}
		if err := p.Run(context.Background()); err == nil {
			t.Error("no error for a missing clip")
		}
		if len(pr.got) != 9 {
			t.Errorf("%d pieces, want the other clip's 9", len(pr.got))
		}
	})
}

func TestNewPlayerErrors(t *testing.T) {
	data := clipSet{stored(1, 1)}
	for name, cfg := range map[string]Config{
		"no data":       {CSI: &CSIConfig{Addr: "127.0.0.1:0"}},
		"no clips":      {Data: clipSet{}, CSI: &CSIConfig{Addr: "127.0.0.1:0"}},
		"no sensors":    {Data: data},
		"speed":         {Data: data, Speed: -1, CSI: &CSIConfig{Addr: "127.0.0.1:0"}},
		"csi format":    {Data: data, CSI: &CSIConfig{Format: "intel", Addr: "127.0.0.1:0"}},
		"csi twice":     {Data: data, CSI: &CSIConfig{Path: "pipe", Addr: "127.0.0.1:0"}},
		"csi nowhere":   {Data: data, CSI: &CSIConfig{}},
		"csi address":   {Data: data, CSI: &CSIConfig{Addr: "nowhere"}},
		"nexmon port":   {Data: data, CSI: &CSIConfig{Format: CSINexmon, Addr: "127.0.0.1:0"}},
		"radar paths":   {Data: data, Radar: &RadarConfig{CommandPath: "a", DataPath: "a"}},
		"radar baud":    {Data: data, Radar: &RadarConfig{CommandPath: "a", DataPath: "b", Baud: -1}},
		"lidar address": {Data: data, LiDAR: &LiDARConfig{}},
		"camera addr":   {Data: data, Camera: &CameraConfig{}},
	} {
		if _, err := NewPlayer(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
