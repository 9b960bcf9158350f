package replay

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// unit is one piece of wire data that is sent, lost or repeated as a whole: a
// datagram, a CSI record, a radar frame, a line of key points.
type unit struct {
	at   time.Duration // when it leaves the sensor, after the frame's capture time
	data []byte
}

// frameTime says when a frame is captured, on the host and on the sensor.
type frameTime struct {
	capture time.Time     // host clock
	period  time.Duration // between frames
	index   int64         // number of the frame since the sensor was switched on, pauses counted
	clock   deviceClock
}

// deviceNS returns the sensor's clock at the capture time plus d.
func (t *frameTime) deviceNS(d time.Duration) int64 { return t.clock.ns(t.capture.Add(d)) }

// scaled returns the share num/den of the frame period, the time scale of
// everything inside a frame.
func (t *frameTime) scaled(num, den int64) time.Duration {
	return time.Duration(int64(t.period) * num / den)
}

// deviceClock is the free-running clock of a sensor: nanoseconds since it was
// switched on, plus the steps that were injected.
type deviceClock struct {
	on      time.Time
	stepped time.Duration
}

func (c deviceClock) ns(t time.Time) int64 { return int64(t.Sub(c.on) + c.stepped) }

// What a sensor's clock shows at the first frame of a play, when it has been on
// for a while, and after it was switched on during the play.
const (
	warmTime = time.Hour
	bootTime = time.Second
)

// linger is how long a sensor stays plugged in after the last frame, so that
// the driver can read what is still in its buffers.
const linger = 300 * time.Millisecond

// fake is one fake sensor: an encoder of clips and the near end of the
// transport that the driver reads.
type fake interface {
	// begin prepares for a clip.
	begin(p planned) error
	// units appends the wire data of frame i. None means the clip has no data
	// of this sensor in that frame; errIdle that the driver has not started it.
	units(dst []unit, c recording.Clip, i int, t *frameTime) ([]unit, error)
	// restart sets the counters in the wire data back to their start.
	restart()
	// open connects the transport, as plugging the sensor in does.
	open() error
	// send hands over one unit. errNobody says that no driver is there.
	send(data []byte) error
	// close disconnects the transport and waits for what serves it.
	close()
	// inOrder reports whether the transport is a stream, which cannot reorder
	// by delay.
	inOrder() bool
}

// Counts says what became of the wire data of one fake sensor. Always
// Offered + Duplicated = Sent + Lost + Cut + Unsent + what is still on its way.
type Counts struct {
	Frames     uint64 `json:"frames"`     // frames encoded
	Absent     uint64 `json:"absent"`     // frames in which the clip has no data of this sensor
	Idle       uint64 `json:"idle"`       // frames before the driver started the sensor
	Unreadable uint64 `json:"unreadable"` // frames whose file is missing or broken
	Off        uint64 `json:"off"`        // frames during which the sensor was stopped or had no transport

	Offered    uint64 `json:"offered"`    // pieces of wire data encoded
	Sent       uint64 `json:"sent"`       // handed to the transport
	Unsent     uint64 `json:"unsent"`     // no driver there, the transport failed, or the sensor was stopped meanwhile
	Lost       uint64 `json:"lost"`       // fault: loss
	Duplicated uint64 `json:"duplicated"` // fault: pieces sent a second time
	Reordered  uint64 `json:"reordered"`  // fault: pieces sent after their successor
	Cut        uint64 `json:"cut"`        // fault: pieces not sent during a cut
	Restarts   uint64 `json:"restarts"`   // fault: restarts
	Steps      uint64 `json:"steps"`      // fault: clock steps
}

// feed plays the plan on one fake sensor.
type feed struct {
	modality modality.Kind
	fake     fake
	faults   Faults
	play     *schedule
	log      *slog.Logger

	wake chan struct{} // a change of wanted

	mu     sync.Mutex
	wanted bool // the sensor is to be on
	counts Counts

	// Owned by run.
	on      bool
	clock   deviceClock
	onIndex int64         // frame index at which the sensor was switched on
	due     time.Time     // of the frame at hand
	passed  time.Duration // faults up to here are applied
	pieces  uint64
	lastAt  time.Time // of the last delivery, to keep a stream in order
	held    *delivery
	pending deliveries
	broken  error // last send error logged
}

// delivery is a unit on its way.
type delivery struct {
	at    time.Time
	order uint64
	data  []byte
}

// deliveries is a heap by time, then by order.
type deliveries []delivery

func (d deliveries) Len() int { return len(d) }
func (d deliveries) Less(i, j int) bool {
	if d[i].at.Equal(d[j].at) {
		return d[i].order < d[j].order
	}
	return d[i].at.Before(d[j].at)
}
func (d deliveries) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deliveries) Push(x any)   { *d = append(*d, x.(delivery)) }
func (d *deliveries) Pop() any {
	old := *d
	x := old[len(old)-1]
	*d = old[:len(old)-1]
	return x
}

func (f *feed) count(change func(c *Counts)) {
	f.mu.Lock()
	change(&f.counts)
	f.mu.Unlock()
}

func (f *feed) snapshot() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

// want switches the sensor on or off; run notices at once.
func (f *feed) want(on bool) {
	f.mu.Lock()
	f.wanted = on
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // run has not yet looked at the last change
	}
}

// run plays what comes from plan until it is closed or ctx ends.
func (f *feed) run(ctx context.Context, plan <-chan planned) {
	defer f.switchOff()
	f.apply(f.play.start)
	f.clock.on = f.clock.on.Add(bootTime - warmTime)
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			f.apply(f.now())
		case p, ok := <-plan:
			if !ok {
				if f.flush(ctx, time.Now().Add(f.faults.Jitter)) {
					f.sleep(ctx, time.Now().Add(linger))
				}
				return
			}
			if err := f.fake.begin(p); err != nil {
				f.log.Warn("clip is not played on this sensor", "sensor", f.modality.String(), "clip", p.clip.Key().String(), "error", err)
			}
			if !f.clip(ctx, p) {
				return
			}
		}
	}
}

// now is the time by the schedule, which a starved machine falls behind: a
// sensor that is switched on then must not take its first frames before that.
func (f *feed) now() time.Time {
	now := time.Now()
	if !f.due.IsZero() && f.due.Before(now) {
		return f.due
	}
	return now
}

// apply makes the sensor's state what is wanted. A sensor that is switched on
// has lost its clock and its counters.
func (f *feed) apply(now time.Time) {
	f.mu.Lock()
	wanted := f.wanted
	f.mu.Unlock()
	switch {
	case wanted && !f.on:
		if err := f.fake.open(); err != nil {
			if f.broken == nil {
				f.log.Error("fake sensor cannot open its transport", "sensor", f.modality.String(), "error", err)
			}
			f.broken = err
			return
		}
		f.broken = nil
		f.on = true
		f.powerUp(now)
	case !wanted && f.on:
		f.switchOff()
	}
}

// powerUp starts clock and counters over.
func (f *feed) powerUp(now time.Time) {
	f.clock = deviceClock{on: now.Add(-bootTime)}
	f.onIndex = f.play.indexAt(now)
	f.fake.restart()
}

// switchOff closes the transport and drops what is on its way.
func (f *feed) switchOff() {
	if !f.on {
		return
	}
	f.on = false
	f.fake.close()
	dropped := uint64(len(f.pending))
	if f.held != nil {
		dropped++
	}
	f.pending, f.held = nil, nil
	f.count(func(c *Counts) { c.Unsent += dropped })
}

// clip plays one clip and reports whether to go on.
func (f *feed) clip(ctx context.Context, p planned) bool {
	var units []unit
	for i := range p.clip.Len() {
		t := frameTime{capture: f.play.frame(p.first + int64(i)), period: f.play.period}
		f.due = t.capture.Add(-t.period / 2)
		// Half a period for what leaves before the capture time, and a little
		// to encode it.
		if !f.sleep(ctx, t.capture.Add(-t.period/2-3*time.Millisecond)) {
			return false
		}
		if !f.on {
			f.apply(f.due) // the transport may have come free
		}
		if !f.on {
			f.count(func(c *Counts) { c.Off++ })
			continue
		}
		f.inject(t.capture)
		t.clock, t.index = f.clock, p.first+int64(i)-f.onIndex
		var err error
		units, err = f.fake.units(units[:0], p.clip, i, &t)
		switch {
		case errors.Is(err, errIdle):
			f.count(func(c *Counts) { c.Idle++ })
		case err != nil:
			f.count(func(c *Counts) { c.Unreadable++ })
			f.log.Warn("frame is not played", "sensor", f.modality.String(), "error", err)
		case len(units) == 0:
			f.count(func(c *Counts) { c.Absent++ })
		default:
			f.count(func(c *Counts) { c.Frames++ })
		}
		f.schedule(units, t.capture)
		if !f.flush(ctx, t.capture.Add(t.period/2)) {
			return false
		}
	}
	return true
}

// inject applies the restarts and clock steps up to a capture time.
func (f *feed) inject(capture time.Time) {
	at := capture.Sub(f.play.start)
	if n := between(f.faults.Restarts, f.passed, at); n > 0 {
		f.powerUp(capture)
		f.count(func(c *Counts) { c.Restarts += uint64(n) })
	}
	if by, n := f.faults.stepBetween(f.passed, at); n > 0 {
		f.clock.stepped += by
		f.count(func(c *Counts) { c.Steps += uint64(n) })
	}
	f.passed = max(f.passed, at)
}

// schedule decides the fate of each unit and puts the survivors on their way.
func (f *feed) schedule(units []unit, capture time.Time) {
	for _, u := range units {
		n := f.pieces
		f.pieces++
		at := capture.Add(u.at)
		f.count(func(c *Counts) { c.Offered++ })
		if f.faults.cut(at.Sub(f.play.start)) {
			f.count(func(c *Counts) { c.Cut++ })
			continue
		}
		fate := f.faults.decide(f.modality, n)
		if fate.lost {
			f.count(func(c *Counts) { c.Lost++ })
			continue
		}
		at = at.Add(fate.delay)
		if f.fake.inOrder() && at.Before(f.lastAt) {
			at = f.lastAt
		}
		f.lastAt = at
		d := delivery{at: at, order: 4 * n, data: u.data}
		// A held unit leaves right after this one.
		if h := f.held; h != nil {
			f.held = nil
			h.at, h.order = at, 4*n+2
			heap.Push(&f.pending, *h)
		} else if fate.held {
			f.held = &d
			f.count(func(c *Counts) { c.Reordered++ })
			continue
		}
		heap.Push(&f.pending, d)
		if fate.duplicated {
			d.order++
			heap.Push(&f.pending, d)
			f.count(func(c *Counts) { c.Duplicated++ })
		}
	}
}

// flush sends what is due up to the given time and reports whether to go on.
func (f *feed) flush(ctx context.Context, until time.Time) bool {
	for len(f.pending) > 0 && !f.pending[0].at.After(until) {
		if !f.sleep(ctx, f.pending[0].at) {
			return false
		}
		if len(f.pending) == 0 { // switched off meanwhile
			return true
		}
		d := heap.Pop(&f.pending).(delivery)
		if err := f.fake.send(d.data); err != nil {
			f.count(func(c *Counts) { c.Unsent++ })
			if f.broken == nil {
				f.log.Warn("fake sensor cannot deliver", "sensor", f.modality.String(), "error", err)
			}
			f.broken = err
			continue
		}
		f.broken = nil
		f.count(func(c *Counts) { c.Sent++ })
	}
	return true
}

// sleep waits until t, obeying changes of the wanted state, and reports false
// if ctx ended.
func (f *feed) sleep(ctx context.Context, t time.Time) bool {
	for {
		wait := time.Until(t)
		if wait <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-f.wake:
			timer.Stop()
			f.apply(f.now())
		case <-timer.C:
			return true
		}
	}
}
