package sensors

import "context"

// Source is a running sensor: a driver joined to its transport. Run blocks
// until ctx ends or the transport fails, cleans up after itself and returns
// the reason; it never retries (the Supervisor does) and may be called again
// after it returned.
type Source interface {
	// Run delivers samples to sink until ctx ends (nil) or the transport fails.
	// An error names neither the sensor nor the path of a setting: both are
	// the caller's to add. One that a setting can mend is a *setting.Problem
	// without words around it.
	Run(ctx context.Context, sink Sink) error
}

// Sink takes what a Source produces. Both methods are safe for concurrent use
// and never block, so a driver's reader can never be held up by a consumer.
type Sink interface {
	// Emit hands over one sample. The callee owns it from then on.
	Emit(s *Sample)
	// Count adds n to the counter of an outcome that produced no sample, e.g.
	// "bad_magic", "bad_length", "incomplete". Outcomes are short snake case.
	Count(outcome string, n uint64)
	// NowNS returns the room clock, ns.
	NowNS() int64
}
