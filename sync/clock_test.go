package timesync

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"posefuse/sensors"
)

func TestRoomClockFollowsTheWallClock(t *testing.T) {
	c := NewClock()
	if step := c.Follow(); step != 0 {
		t.Errorf("a step of %v at the start", step)
	}
	before := c.NowNS()
	wall := c.WallAt(before)
	for _, step := range []time.Duration{time.Hour, -3 * time.Hour, 20 * time.Millisecond, 56 * 365 * 24 * time.Hour} {
		// A reading of both clocks, the wall clock's set by step.
		now := setWall(time.Now(), c, step)
		want := step
		if step < minStep && step > -minStep {
			want = 0
		}
		start := c.start
		if got := c.follow(now); (got - want).Abs() > time.Millisecond {
			t.Errorf("step of %v followed by %v", step, got)
		}
		if !c.start.Equal(start) {
			t.Error("the room clock was moved")
		}
		wall = wall.Add(want)
		if got := c.WallAt(before); got.Sub(wall).Abs() > 5*time.Millisecond {
			t.Errorf("after a step of %v room time %d is %v, want %v", step, before, got, wall)
		}
		if got := c.follow(setWall(time.Now(), c, 0)); got.Abs() > time.Millisecond {
			t.Errorf("followed twice: %v", got)
		}
	}
}

// setWall returns a reading whose wall clock is ahead of the anchor by step and
// whose monotonic reading is that of now.
func setWall(now time.Time, c *RoomClock, step time.Duration) time.Time {
	// Moving a time moves both its readings; moving the clock's start by as much
	// leaves the monotonic one alone.
	off := time.Duration(c.anchor.Load() + int64(now.Sub(c.start)) - now.UnixNano())
	shift := off + step
	c.start = c.start.Add(shift)
	return now.Add(shift)
}

// clockKind is a sensor's clock as its driver hands it on (reference sensors.md,
// 12): wraps are undone there.
type clockKind struct {
	name       string
	period     time.Duration // of its samples
	resolution int64         // ns
	jitter     float64       // mean of what the transport adds, ns
	noClock    bool
}

var clockKinds = []clockKind{
	{"Ouster, internal oscillator", 100 * time.Millisecond, 10, 0.2e6, false},
	{"Ouster, PTP", 50 * time.Millisecond, 1, 0.2e6, false},
	{"Velodyne, microseconds", 100 * time.Millisecond, 1000, 0.2e6, false},
	{"Livox", 100 * time.Millisecond, 1, 0.2e6, false},
	{"TI, CPU cycles", 100 * time.Millisecond, 5, 2e6, false},
	{"TI, frame number", 55 * time.Millisecond, 55e6, 2e6, false},
	{"Nexmon, none", 10 * time.Millisecond, 1, 0.5e6, true},
	{"Atheros, TSF", 10 * time.Millisecond, 1000, 1e6, false},
	{"Intel 5300, microseconds", 10 * time.Millisecond, 1000, 1e6, false},
	{"ESP32, microseconds", 20 * time.Millisecond, 1000, 3e6, false},
	{"V4L2, microseconds", 33 * time.Millisecond, 1000, 1e6, false},
	{"RTSP, 90 kHz", 40 * time.Millisecond, 11_111, 4e6, false},
	{"keypoints, milliseconds", 100 * time.Millisecond, 1e6, 3e6, false},
}

// Every clock, whatever happens to it, is healthy two seconds later: its samples
// lie within ten milliseconds of their place, and the model does not doubt it.
func TestEveryClockIsHealthySoon(t *testing.T) {
	const (
		event  = 20 * second
		end    = 60 * second
		soon   = 2 * second
		within = int64(10 * time.Millisecond)
		floor  = int64(2 * time.Millisecond)
	)
	type change func(at int64, s *sensors.Sample)
	step := func(by int64) change {
		return func(at int64, s *sensors.Sample) {
			if at >= event {
				s.DeviceNS += by
			}
		}
	}
	events := map[string]change{
		"nothing":     func(int64, *sensors.Sample) {},
		"one hour on": step(3600 * second), "one hour back": step(-3600 * second), "400 ms on": step(4 * second / 10), "400 ms back": step(-4 * second / 10),
		"starts over": func(at int64, s *sensors.Sample) {
			if at >= event {
				s.DeviceNS = at - event + 1000
			}
		},
		"starts over, and says so": func(at int64, s *sensors.Sample) {
			if at >= event {
				s.DeviceNS = at - event + 1000
				s.Restarted = at < event+int64(100*time.Millisecond) // of the first sample or two
			}
		},
		"zero stamps for a while": func(at int64, s *sensors.Sample) {
			if at >= event-3*second && at < event {
				s.DeviceNS = 0
			}
		},
		"no stamps from then on": func(at int64, s *sensors.Sample) {
			if at >= event {
				s.DeviceNS = 0
			}
		},
		"stands still": func(at int64, s *sensors.Sample) {
			if at >= event {
				s.DeviceNS = 77 * second
			}
		},
		"recording in a loop": func(at int64, s *sensors.Sample) {
			if at >= event {
				s.DeviceNS = 500*second + (at-event)%(8*second)
			}
		},
	}
	for _, kind := range clockKinds {
		for _, ppm := range []float64{0, 500, -500} {
			for name, disturb := range events {
				m := NewClockModel(ModelConfig{})
				rng := rand.New(rand.NewPCG(1, 2))
				label := fmt.Sprintf("%s, %+g ppm, %s", kind.name, ppm, name)
				period := int64(kind.period)
				calm := func(at int64) bool {
					if at < soon || at >= event && at < event+soon || at >= event-3*second && at < event {
						return false
					}
					return name != "recording in a loop" || at < event || (at-event)%(8*second) >= soon
				}
				bad, n := 0, 0
				for at := int64(0); at < end; at += period {
					s := &sensors.Sample{Seq: uint64(at / period), HasDevice: !kind.noClock, DeviceNS: int64(float64(at)*(1+ppm*1e-6)) + 1000*second}
					disturb(at, s)
					s.DeviceNS -= s.DeviceNS % kind.resolution
					s.ReceiveNS = at + floor + int64(rng.ExpFloat64()*kind.jitter)
					got := m.Stamp(s)
					if !calm(at) {
						continue
					}
					n++
					// Half a step of the resolution is nobody's to undo.
					limit := within + floor + kind.resolution
					if kind.noClock || s.DeviceNS == 0 || name == "stands still" && at >= event {
						limit += int64(10 * kind.jitter)
					}
					if abs(got-at) > limit || m.Status().State == ModelSuspect {
						bad++
					}
				}
				if bad > n/100 {
					t.Errorf("%s: %d of %d samples are off, or the clock is in doubt; %+v", label, bad, n, m.Status())
				}
			}
		}
	}
}
