package session

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"posefuse/sensors"
	"posefuse/skeleton"
)

// Bounds of what waits to be written: about two seconds of a large LiDAR.
const (
	maxQueued      = 1024
	maxQueuedBytes = 64 << 20
)

// maxSegmentBytes ends a segment before its time.
const maxSegmentBytes = 2 << 30

// Reasons why something is not recorded, by name in Dropped.
const (
	dropQueue   = iota // the disk takes less than comes
	dropDisk           // the disk takes nothing
	dropInvalid        // it cannot be written, such as a sweep beyond all bounds
	numDrops
)

var dropNames = [numDrops]string{"queue_full", "disk", "invalid"}

var errFloor = errors.New("less is free than record.free_gib")

// item is one thing to be written.
type item struct {
	kind            int
	atNS, publishNS int64
	sample          *sensors.Sample
	pose            *poseItem
	size            int64
}

// poseItem is the memory of a pose on its way.
type poseItem struct {
	text   []byte
	frame  string
	joints skeleton.Pose
	known  bool
}

// run is one session being recorded: its goroutine writes, others offer.
type run struct {
	r          *Recorder
	held       *os.File // the lock
	dir        string
	started    Info // as it began
	background []byte

	queue  chan item
	queued atomic.Int64   // bytes
	poses  chan *poseItem // memory of poses that are written
	stop   chan struct{}
	done   chan struct{}
	gate   sync.RWMutex // held for reading by who offers
	ended  bool

	messages   atomic.Uint64
	bytes      atomic.Int64
	dropped    [numDrops]atomic.Uint64
	droppedNS  atomic.Int64 // room clock of the newest loss
	busySince  atomic.Int64 // room clock when the disk was last given something that it has not taken; 0: nothing
	problem    atomic.Pointer[error]
	freeBytes  atomic.Int64
	segmentsOK atomic.Int64

	// Of loop's goroutine.
	info     Info
	err      error
	seg      *segment
	segments int
	before   int64 // bytes of the segments that are done
	enc      encoder
	pending  [numKinds]uint64 // messages that are not on the disk yet
	retryNS  int64            // room clock from when on a new segment is tried after a failure
	failures int              // in a row
}

func newRun(r *Recorder, held *os.File, q Request, room Room) *run {
	now := r.cfg.Clock.NowNS()
	wall := r.cfg.Clock.WallAt(now)
	x := &run{r: r, held: held, background: room.Background,
		queue: make(chan item, maxQueued), poses: make(chan *poseItem, 64), stop: make(chan struct{}), done: make(chan struct{})}
	x.info = Info{Schema: Schema, Room: room.Name, State: Recording, Subject: q.Subject, Consent: Consent{Given: true, Noted: wall}, Note: q.Note,
		Started: wall, AnchorNS: r.cfg.Clock.WallAt(0).UnixNano(), Version: room.Version, Model: room.Model, Segments: []Segment{}, Rig: room.Rig, Setup: room.Setup}
	x.enc.anchorNS = x.info.AnchorNS
	return x
}

// offer queues an item, or counts it as lost.
func (x *run) offer(it item) {
	x.gate.RLock()
	defer x.gate.RUnlock()
	if x.ended {
		return // it came after the session
	}
	if x.queued.Add(it.size) <= maxQueuedBytes {
		select {
		case x.queue <- it:
			return
		default:
		}
	}
	x.queued.Add(-it.size)
	x.drop(dropQueue, 1)
}

func (x *run) drop(reason int, n uint64) {
	if n == 0 {
		return
	}
	x.dropped[reason].Add(n)
	x.droppedNS.Store(x.r.cfg.Clock.NowNS())
}

// loop writes until the session is stopped.
func (x *run) loop() {
	defer close(x.done)
	tick := time.NewTicker(ChunkInterval)
	defer tick.Stop()
	for {
		select {
		case it := <-x.queue:
			x.take(&it)
		case <-tick.C:
			x.beat()
		case <-x.stop:
			for {
				select {
				case it := <-x.queue:
					x.take(&it)
					continue
				default:
				}
				x.end()
				return
			}
		}
	}
}

// take writes one item.
func (x *run) take(it *item) {
	x.queued.Add(-it.size)
	if x.seg == nil {
		x.drop(dropDisk, 1)
		x.reuse(it.pose)
		return
	}
	var text []byte
	switch {
	case it.sample != nil:
		text = x.enc.sample(it.sample)
	default:
		text = it.pose.text
	}
	err := x.write(it.kind, it.atNS, it.publishNS, text)
	if err == nil && it.kind == kindPose && it.pose.known {
		err = x.write(kindSkeleton, it.atNS, it.publishNS, x.enc.skeleton(&it.pose.joints, it.pose.frame, it.publishNS))
	}
	x.reuse(it.pose)
	if err != nil {
		x.fail(err)
	}
}

// derived are the kinds that nobody offered: they are made of others, or of clocks.
func derived(kind int) bool { return kind == kindSkeleton || kind == kindClock || kind == kindFrames }

func (x *run) reuse(p *poseItem) {
	if p == nil {
		return
	}
	select {
	case x.poses <- p:
	default:
	}
}

// write gives a message to the segment. An error is the disk's.
func (x *run) write(kind int, atNS, publishNS int64, text []byte) error {
	if x.seg == nil {
		return nil
	}
	x.busySince.Store(max(x.r.cfg.Clock.NowNS(), 1))
	before := x.seg.w.Offset()
	err := x.seg.write(kind, x.info.AnchorNS, atNS, publishNS, text)
	x.busySince.Store(0)
	if err == nil {
		x.messages.Add(1)
		x.pending[kind]++
		return nil
	}
	reason := dropDisk
	if x.seg.w.Offset() == before && x.seg.w.Flush() == nil {
		reason, err = dropInvalid, nil // the message, not the disk
	}
	if !derived(kind) {
		x.drop(reason, 1)
	}
	return err
}

// beat is what is done once per ChunkInterval.
func (x *run) beat() {
	now := x.r.cfg.Clock.NowNS()
	free, err := x.r.cfg.disk.free(x.dir)
	x.freeBytes.Store(free)
	if err == nil && free < x.r.cfg.FreeBytes {
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
	if now-x.seg.since >= int64(x.r.cfg.Segment) || x.seg.good >= maxSegmentBytes {
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
	case x.problem.Load() != nil && free < x.r.cfg.FreeBytes+resumeBytes:
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
			x.drop(dropDisk, n)
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

// end finishes the session, and makes whole what failures left of it.
func (x *run) end() {
	if x.seg != nil {
		if err := x.flush(x.r.cfg.Clock.NowNS()); err != nil {
			x.fail(err)
		} else {
			x.rotate()
		}
	}
	x.info.Dropped = x.drops()
	stopped := x.r.cfg.Clock.WallAt(x.r.cfg.Clock.NowNS())
	x.info.Stopped, x.info.State = &stopped, Complete
	if x.problem.Load() != nil || int64(x.segments) != x.segmentsOK.Load() {
		if _, err := recoverParts(x.dir, &x.info); err != nil {
			x.err = fmt.Errorf("session %s: %w; posefuse sessions recover does it once the disk takes it", x.info.ID, err)
			x.info.State = Recording
		}
	}
	if err := x.info.write(x.dir); err != nil {
		x.err = errors.Join(x.err, err)
	}
	if err := x.held.Close(); err != nil {
		x.err = errors.Join(x.err, err)
	}
}

func (x *run) drops() map[string]uint64 {
	out := map[string]uint64{}
	for i := range x.dropped {
		if n := x.dropped[i].Load(); n > 0 {
			out[dropNames[i]] = n
		}
	}
	return out
}
