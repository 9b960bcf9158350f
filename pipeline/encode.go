package pipeline

import (
	"slices"
	"sync"

	"posefuse/sensors"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// encodeOrder is the order in which encoders that wait for the tick's end are
// started: the one with the most arithmetic first, so that the others run
// beside it.
var encodeOrder = [modality.Count]modality.Kind{modality.CSI, modality.LiDAR, modality.Radar, modality.Camera}

// inOrder is the order in which the sensors of a tick are given to the intake while
// that asks for one.
var inOrder = [modality.Count]modality.Kind{modality.LiDAR, modality.Radar, modality.Camera, modality.CSI}

// When an encoder was started.
const (
	onArrival  = iota // as its input was settled, before the tick was complete
	onTick            // when the tick was complete
	superseded        // again, because a better sample came
	numStarts
)

// startNames are the values of the metric's label.
var startNames = [numStarts]string{"arrival", "tick", "superseded"}

// encodeJob is one modality's part of the tick being collected: what its
// encoder was started on and how it went. The tick loop's goroutine owns it,
// but between start and done the worker does.
type encodeJob struct {
	engine   *engine
	modality modality.Kind
	slot     timesync.Slot
	window   []*sensors.Sample // slot.Window's memory
	started  bool
	running  bool
	prepared bool // its input is; usable says whether it can be used
	usable   bool
	err      error
	done     chan struct{}     // capacity 1
	starts   [numStarts]uint64 // since the last tick was counted
}

// holds reports whether the job works on exactly what the slot has.
func (j *encodeJob) holds(s *timesync.Slot) bool {
	return j.started && j.slot.Sample == s.Sample && slices.Equal(j.slot.Window, s.Window)
}

// start hands the slot to a worker, or works at once without a pool.
func (j *encodeJob) start(s *timesync.Slot, pool *encoderPool, when int) {
	j.starts[when]++
	j.window = append(j.window[:0], s.Window...)
	j.slot = *s
	j.slot.Window = j.window
	j.started, j.running = true, true
	if pool == nil {
		j.work()
		return
	}
	pool.jobs <- j
}

// work prepares the input and encodes it.
func (j *encodeJob) work() {
	j.err = nil
	if !j.prepared {
		j.usable = j.engine.prepareModality(j.modality, &j.slot)
	}
	j.prepared = false
	if j.usable {
		j.err = j.engine.staged.Encode(j.modality, j.engine.bufs[j.modality])
	}
	j.done <- struct{}{}
}

// wait returns when the worker is done with the job.
func (j *encodeJob) wait() {
	if j.running {
		<-j.done
		j.running = false
	}
}

// settled starts the encoder of a modality whose part of the tick to come is
// there. If a better sample came while the encoder works on another, the tick
// itself will start it again.
func (e *engine) settled(m modality.Kind, s *timesync.Slot, pool *encoderPool) {
	j := &e.jobs[m]
	if e.staged == nil || !e.mask.Has(m) || j.holds(s) || e.intake.Ordered() {
		return
	}
	if j.running {
		select {
		case <-j.done:
			j.running = false
		default:
			return
		}
	}
	when := onArrival
	if j.started {
		when = superseded
	}
	j.start(s, pool, when)
}

// inferStaged encodes what was not encoded on arrival and runs the head.
func (e *engine) inferStaged(t *timesync.Tick, pool *encoderPool) (unusable modality.Set, err error) {
	wanted := func(m modality.Kind) bool { return e.mask.Has(m) && t.Fused(m) }
	if e.intake.Ordered() {
		for _, m := range inOrder {
			if j := &e.jobs[m]; wanted(m) {
				j.usable = e.prepareModality(m, &t.Slots[m])
				j.prepared = true
			}
		}
	}
	for _, m := range encodeOrder {
		if j := &e.jobs[m]; wanted(m) && !j.running && !j.holds(&t.Slots[m]) {
			when := onTick
			if j.started {
				when = superseded
			}
			j.start(&t.Slots[m], pool, when)
		}
	}
	e.in.Present = 0
	for m := range modality.Count {
		j := &e.jobs[m]
		j.wait()
		if wanted(m) && !j.holds(&t.Slots[m]) {
			j.start(&t.Slots[m], pool, superseded)
			j.wait()
		}
		switch {
		case !wanted(m):
		case !j.usable:
			unusable |= 1 << m
		case j.err != nil:
			err = j.err
		default:
			e.in.Present |= 1 << m
		}
		j.forget()
	}
	if err == nil && e.in.Present != 0 {
		if err = e.staged.Finish(e.in.Present, &e.out); err == nil {
			e.askInfluence(e.in.Present)
		}
	}
	e.staged.Begin()
	return unusable, err
}

// forget ends the job with its tick.
func (j *encodeJob) forget() {
	clear(j.window) // samples are large; let go of them
	j.slot, j.started = timesync.Slot{}, false
}

// close waits for encoders at work and closes the model.
func (e *engine) close() error {
	for m := range e.jobs {
		e.jobs[m].wait()
	}
	return closeInferer(e.inf)
}

// encoderPool is the bounded set of goroutines on which encoders run.
type encoderPool struct {
	jobs chan *encodeJob
	wg   sync.WaitGroup
}

// newEncoderPool starts the workers, at most one per modality.
func newEncoderPool(workers int) *encoderPool {
	p := &encoderPool{jobs: make(chan *encodeJob, modality.Count)}
	for range min(max(workers, 1), int(modality.Count)) {
		p.wg.Go(func() {
			for j := range p.jobs {
				j.work()
			}
		})
	}
	return p
}

// close ends the workers after their last job.
func (p *encoderPool) close() {
	close(p.jobs)
	p.wg.Wait()
}
