package timesync

import "time"

// Step is Run for a clock that the caller moves, as when a recording is played: it
// gives to out the ticks that are due and returns how long the next one waits if
// no sample comes before. It is called after each Push and whenever that time is
// over, from one goroutine, and never together with Run. What it gives depends on
// the samples and the times of the calls alone.
func (a *Aligner) Step(out func(*Tick)) (wait time.Duration) {
	a.mu.Lock()
	if !a.running {
		a.running = true
		a.tickNS = max(a.cfg.Clock.NowNS(), a.lastTickNS) + a.period
		a.phase.restart()
	}
	a.mu.Unlock()
	for {
		wait, ready := a.advance()
		if !ready {
			return wait
		}
		out(&a.tick)
	}
}
