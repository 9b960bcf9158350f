package radar

import (
	"testing"
	"time"
)

// feed sends frames with the given numbers through a mapper.
func mapFrames(m *frameMapper, frames ...Frame) *collector {
	c := newCollector()
	m.sink = c
	for i := range frames {
		m.frame(&frames[i])
	}
	return c
}

func TestFrameNumbers(t *testing.T) {
	c := mapFrames(&frameMapper{name: "r", cpuHz: 200e6, periodNS: 1e8},
		Frame{FrameNumber: 0xFFFFFFFE}, Frame{FrameNumber: 0xFFFFFFFF}, Frame{FrameNumber: 0}, // the counter wraps
		Frame{FrameNumber: 3}, Frame{FrameNumber: 3}, // two lost, one twice
		Frame{FrameNumber: 3, Subframe: 1},           // advanced frame: same number, next subframe
		Frame{FrameNumber: 1}, Frame{FrameNumber: 2}, // restarted
	)
	type row struct {
		seq     uint64
		restart bool
	}
	want := []row{{0xFFFFFFFE, false}, {0xFFFFFFFF, false}, {1 << 32, false}, {1<<32 + 3, false}, {1<<32 + 3, false}, {1, true}, {2, false}}
	if len(c.samples) != len(want) {
		t.Fatalf("%d samples, want %d", len(c.samples), len(want))
	}
	for i, s := range c.samples {
		if s.Seq != want[i].seq || s.Restarted != want[i].restart || !s.HasDevice || s.DeviceNS != int64(s.Seq)*1e8 {
			t.Errorf("sample %d: %+v, want %+v", i, s, want[i])
		}
	}
	if c.counts["lost"] != 2 || c.counts["duplicate"] != 1 {
		t.Errorf("counts %v", c.counts)
	}
}

func TestCycleCounterUnwraps(t *testing.T) {
	const hz = 200e6
	m := &frameMapper{name: "r", cpuHz: hz}
	// True times of the frames: one gap is longer than two turns of 21.5 s.
	times := []time.Duration{0, 100 * time.Millisecond, 21 * time.Second, 22 * time.Second, 70 * time.Second, 70*time.Second + 100*time.Millisecond}
	var frames []Frame
	for i, at := range times {
		cycles := uint64(at.Seconds()*hz) + 4_000_000_000
		frames = append(frames, Frame{FrameNumber: uint32(i + 1), HasCycles: true, CPUCycles: uint32(cycles), MagicNS: at.Nanoseconds() + int64(i%2)*30e6})
	}
	c := mapFrames(m, frames...)
	for i, s := range c.samples {
		if got := s.DeviceNS - c.samples[0].DeviceNS; got < times[i].Nanoseconds()-10 || got > times[i].Nanoseconds()+10 {
			t.Errorf("frame %d: device time %v, want %v", i, time.Duration(got), times[i])
		}
	}
}

func TestNoClockWithoutCyclesOrPeriod(t *testing.T) {
	c := mapFrames(&frameMapper{name: "r", cpuHz: 1}, Frame{FrameNumber: 5, MagicNS: 9})
	if s := c.samples[0]; s.HasDevice || s.ReceiveNS != 9 || s.Radar == nil || len(s.Radar.Points) != 0 {
		t.Errorf("%+v", s)
	}
}
