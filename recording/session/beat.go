package session

import (
	"fmt"
	"time"
)

// beat is what is done once per ChunkInterval.
func (x *run) beat() {
	now := x.r.cfg.Clock.NowNS()
	free, err := x.r.cfg.disk.free(x.dir)
	x.freeBytes.Store(free)
	if err == nil && free < x.r.rules.Load().FreeBytes {
		err = fmt.Errorf("%w: %d MiB are left", errFloor, free>>20)
	}
	if x.seg == nil {
		x.retry(now, free, err)
		return
	}
	if err != nil {
		x.rotate()
		x.report(err)
		return
	}
	if err := x.flush(now); err != nil {
		x.fail(err)
		return
	}
	if now-x.seg.since >= int64(x.r.rules.Load().Segment) || x.seg.good >= maxSegmentBytes {
		x.rotate()
		if x.seg == nil {
			if err := x.open(now); err != nil {
				x.fail(err)
			}
		}
	}
}

// Margins of a recording that goes on after a failure: free space beyond the floor,
// so that it does not fail again at once, and the longest wait between two tries.
const (
	resumeBytes = 64 << 20
	longestWait = 16 * time.Second
)

// retry tries a new segment after a failure. What was wrong is told until something
// is on the disk again.
func (x *run) retry(now, free int64, err error) {
	switch {
	case err != nil:
	case now < x.retryNS:
		return
	case x.problem.Load() != nil && free < x.r.rules.Load().FreeBytes+resumeBytes:
		return // as full as it was
	default:
		err = x.open(now)
	}
	if err != nil {
		x.report(err)
	}
}

// flush notes the clocks and brings the chunk to the disk.
func (x *run) flush(now int64) error {
	if err := x.write(kindClock, now, now, x.enc.clock(now, x.r.cfg.Clock.WallAt(now).UnixNano())); err != nil {
		return err
	}
	x.busySince.Store(max(x.r.cfg.Clock.NowNS(), 1))
	err := x.seg.sync()
	x.busySince.Store(0)
	x.bytes.Store(x.before + x.seg.good)
	if err == nil {
		x.kept()
	}
	return err
}

// open begins the next segment.
func (x *run) open(now int64) error {
	x.busySince.Store(max(x.r.cfg.Clock.NowNS(), 1))
	defer x.busySince.Store(0)
	seg, err := openSegment(x.r.cfg.disk, x.dir, x.segments+1, &x.info, x.background, now)
	if err != nil {
		return err
	}
	x.segments++
	x.seg, x.background = seg, nil
	if x.info.Rig != nil {
		return x.write(kindFrames, now, now, x.enc.frames(x.info.Rig, now))
	}
	return nil
}

// rotate ends the segment.
func (x *run) rotate() {
	x.busySince.Store(max(x.r.cfg.Clock.NowNS(), 1))
	seg := x.seg
	x.seg = nil
	entry, err := seg.finish()
	x.busySince.Store(0)
	if err != nil {
		x.before += seg.good
		x.lose(err)
		return
	}
	x.kept()
	x.segmentsOK.Add(1)
	x.before += entry.Bytes
	x.bytes.Store(x.before)
	x.info.Segments = append(x.info.Segments, entry)
	x.info.Dropped = x.drops()
	if err := x.info.write(x.dir); err != nil {
		x.r.cfg.Log.Warn("session.json is not up to date", "session", x.info.ID, "error", err)
	}
}

// fail gives a segment up that the disk does not take. What is on the disk of it
// stays, and the next beat tries a new one.
func (x *run) fail(err error) {
	if x.seg != nil {
		x.before += x.seg.good
		x.seg.abandon()
		x.seg = nil
	}
	x.lose(err)
}

// kept notes that all that was written is on the disk.
func (x *run) kept() {
	x.pending, x.failures, x.retryNS = [numKinds]uint64{}, 0, 0
	x.report(nil)
}

// lose notes that what was written since is not.
func (x *run) lose(err error) {
	for kind, n := range x.pending {
		x.messages.Add(-n)
		if !derived(kind) {
			x.drop(kind, dropDisk, n)
		}
	}
	x.pending = [numKinds]uint64{}
	x.retryNS = x.r.cfg.Clock.NowNS() + int64(min(ChunkInterval<<min(x.failures, 10)/2, longestWait))
	x.failures++
	x.report(err)
}

// report keeps what is wrong, and logs changes.
func (x *run) report(err error) {
	old := x.problem.Load()
	if err == nil {
		if old != nil {
			x.r.cfg.Log.Info("recording goes on", "session", x.info.ID)
		}
		x.problem.Store(nil)
		return
	}
	if old == nil {
		_, todo := trouble(err)
		x.r.cfg.Log.Error("recording pauses", "session", x.info.ID, "error", err, "do", todo)
	}
	x.problem.Store(&err)
}
