// Package timesync brings samples of several sensors onto one time line: the
// room clock, a clock model per sensor that turns device time into room time,
// and the reference-clock aligner that makes one set of samples per tick.
//
// All times are int64 nanoseconds on the room clock unless a name says
// otherwise. The package knows nothing of the network bus or the model.
package timesync

import (
	"sync/atomic"
	"time"
)

// Clock is the room clock: host monotonic nanoseconds since the daemon's start.
type Clock interface {
	// NowNS returns the room time, ns. It never goes back.
	NowNS() int64
	// WallAt returns the wall-clock time of a room time, from the anchor that
	// was taken at start or followed since.
	WallAt(ns int64) time.Time
}

// minStep is the least difference between wall clock and anchor that is a step:
// below it lie the two readings of one instant. A wall clock that is slewed takes
// the monotonic one with it.
const minStep = 100 * time.Millisecond

// RoomClock is the real room clock. Its zero is the moment NewClock was called.
type RoomClock struct {
	start  time.Time    // with the monotonic reading
	anchor atomic.Int64 // wall clock at room time zero, Unix time, ns
}

// NewClock starts a room clock at zero, anchored to the wall clock's time now.
func NewClock() *RoomClock {
	c := &RoomClock{start: time.Now()}
	c.anchor.Store(c.start.UnixNano())
	return c
}

// NowNS returns the nanoseconds since NewClock, from the monotonic clock.
func (c *RoomClock) NowNS() int64 { return int64(time.Since(c.start)) }

// WallAt returns the UTC wall time of room time ns.
func (c *RoomClock) WallAt(ns int64) time.Time { return time.Unix(0, c.anchor.Load()+ns).UTC() }

// Follow moves the anchor to the wall clock if that was set, as by NTP after the
// boot of a machine without a battery, and returns by how much, 0 if it was not.
// The room clock itself does not move. Call it now and then from one goroutine.
func (c *RoomClock) Follow() time.Duration { return c.follow(time.Now()) }

func (c *RoomClock) follow(now time.Time) time.Duration {
	step := time.Duration(now.UnixNano() - int64(now.Sub(c.start)) - c.anchor.Load())
	if step.Abs() < minStep {
		return 0
	}
	c.anchor.Add(int64(step))
	return step
}
