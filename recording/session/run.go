package session

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/skeleton"
)

// Bounds of what waits to be written: about two seconds of a large LiDAR. Raw bytes,
// which come in many pieces, leave the last quarter to the rest, which poses are made
// of.
const (
	maxQueued         = 1024
	maxQueuedWithRaw  = 8192
	maxQueuedBytes    = 64 << 20
	maxRawQueued      = maxQueuedWithRaw / 4 * 3
	maxRawQueuedBytes = maxQueuedBytes / 4 * 3
)

// maxSegmentBytes ends a segment before its time.
const maxSegmentBytes = 2 << 30

// Reasons why something is not recorded, by name in Dropped.
const (
	dropQueue   = iota // the disk takes less than comes
	dropDisk           // the disk takes nothing
	dropInvalid        // it cannot be written, such as a sweep beyond all bounds
	dropRaw            // plus one of these: raw bytes
	numDrops    = 2 * dropRaw
)

var dropNames = [numDrops]string{"queue_full", "disk", "invalid", "raw_queue_full", "raw_disk", "raw_invalid"}

var errFloor = errors.New("less is free than record.free_gib")

// item is one thing to be written.
type item struct {
	kind            int
	atNS, publishNS int64
	sample          *sensors.Sample
	pose            *poseItem
	raw             *rawItem
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
	raw        [modality.Count]bool // whose raw bytes are recorded

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
	most := maxQueued
	if len(q.Raw) > 0 {
		most = maxQueuedWithRaw
	}
	x := &run{r: r, held: held, background: room.Background,
		queue: make(chan item, most), poses: make(chan *poseItem, 64), stop: make(chan struct{}), done: make(chan struct{})}
	x.info = Info{Schema: Schema, Room: room.Name, State: Recording, Subject: q.Subject, Consent: Consent{Given: true, Noted: wall}, Note: q.Note, Raw: q.Raw,
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
	most, full := int64(maxQueuedBytes), false
	if it.raw != nil {
		most, full = maxRawQueuedBytes, len(x.queue) >= maxRawQueued
	}
	if x.queued.Add(it.size) <= most && !full {
		select {
		case x.queue <- it:
			return
		default:
		}
	}
	x.queued.Add(-it.size)
	x.drop(it.kind, dropQueue, 1)
	x.reuse(&it)
}

// drop counts what is not recorded of a kind.
func (x *run) drop(kind, reason int, n uint64) {
	if n == 0 {
		return
	}
	if kind >= kindRaw {
		reason += dropRaw
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
		x.drop(it.kind, dropDisk, 1)
		x.reuse(it)
		return
	}
	var text []byte
	switch {
	case it.sample != nil:
		text = x.enc.sample(it.sample)
	case it.raw != nil:
		text = it.raw.text
	default:
		text = it.pose.text
	}
	err := x.write(it.kind, it.atNS, it.publishNS, text)
	if err == nil && it.kind == kindPose && it.pose.known {
		err = x.write(kindSkeleton, it.atNS, it.publishNS, x.enc.skeleton(&it.pose.joints, it.pose.frame, it.publishNS))
	}
	x.reuse(it)
	if err != nil {
		x.fail(err)
	}
}

// derived are the kinds that nobody offered: they are made of others, or of clocks.
func derived(kind int) bool { return kind == kindSkeleton || kind == kindClock || kind == kindFrames }

// reuse takes back the memory of what is done with.
func (x *run) reuse(it *item) {
	if it.raw != nil {
		rawMemory.Put(it.raw)
	}
	if it.pose == nil {
		return
	}
	select {
	case x.poses <- it.pose:
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
		x.drop(kind, reason, 1)
	}
	return err
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
