// Package timesync brings samples of several sensors onto one time line: the
// room clock, a clock model per sensor that turns device time into room time,
// and the reference-clock aligner that makes one set of samples per tick.
//
// All times are int64 nanoseconds on the room clock unless a name says
// otherwise. The package knows nothing of the network bus or the model.
package timesync

import "time"

// Clock is the room clock: host monotonic nanoseconds since the daemon's start.
type Clock interface {
	// NowNS returns the room time, ns. It never goes back.
	NowNS() int64
	// WallAt returns the wall-clock time of a room time, from the one anchor
	// taken at start; later steps of the wall clock do not move it.
	WallAt(ns int64) time.Time
}

// RoomClock is the real room clock. Its zero is the moment NewClock was called.
type RoomClock struct {
	start  time.Time // with the monotonic reading
	anchor time.Time // the same instant, wall clock, UTC
}

// NewClock starts a room clock at zero, anchored to the wall clock's time now.
func NewClock() *RoomClock {
	now := time.Now()
	return &RoomClock{start: now, anchor: now.Round(0).UTC()}
}

// NowNS returns the nanoseconds since NewClock, from the monotonic clock.
func (c *RoomClock) NowNS() int64 { return int64(time.Since(c.start)) }

// WallAt returns the UTC wall time of room time ns.
func (c *RoomClock) WallAt(ns int64) time.Time { return c.anchor.Add(time.Duration(ns)) }
