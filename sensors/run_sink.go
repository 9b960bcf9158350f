package sensors

import (
	"sync"
	"time"
)

// runSink is the Sink of one run. It closes with the run, so that a goroutine
// a driver left behind cannot pass for the next run.
type runSink struct {
	s      *Supervisor
	mu     sync.RWMutex
	closed bool
}

func (k *runSink) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
}

// Emit implements Sink.
func (k *runSink) Emit(sample *Sample) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		k.s.counts.add(OutcomeAfterStop, 1)
		return
	}
	k.s.emit(sample)
}

// Count implements Sink.
func (k *runSink) Count(outcome string, n uint64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	k.s.counts.add(outcome, n)
	if outcome == OutcomeNobody && !k.closed {
		k.s.nobody()
	}
}

// Tell takes a driver's finding.
func (k *runSink) Tell(f Finding) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return
	}
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	k.s.findings.tell(f, time.Now())
}

// Heard takes what the driver read.
func (k *runSink) Heard(r *Raw) int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if !k.closed && k.s.cfg.Raw != nil {
		k.s.cfg.Raw(r)
	}
	return r.AtNS
}

// NowNS implements Sink.
func (k *runSink) NowNS() int64 { return k.s.clock.NowNS() }
