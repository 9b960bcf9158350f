package sensors

import "time"

// Finding is what a driver notices about the data that come: that they are of
// two devices, that they are in another format than the setting says, that the
// sensor was reconfigured. It makes the sensor's health other than ok.
type Finding struct {
	Code string // stable, snake case, e.g. "two_senders"
	Text string // a sentence for people, with what to do
	Note bool   // to be known, but nothing is wrong: the health stays ok
}

// FindingLasts is how long a finding stands that is not told again.
const FindingLasts = 5 * time.Second

// teller is a Sink that takes findings.
type teller interface{ Tell(f Finding) }

// Tell hands a finding to whoever runs the source, if it listens to findings.
// One of the same code takes the place of the one before. Tell may be called
// for every datagram: it never blocks.
func Tell(sink Sink, f Finding) {
	if t, ok := sink.(teller); ok {
		t.Tell(f)
	}
}

// toldFinding is a finding with the moment at which it ends.
type toldFinding struct {
	Finding
	until time.Time
}

// findings are those that stand, in the order in which they were first told.
type findings []toldFinding

// maxFindings bounds the codes that a driver can invent.
const maxFindings = 8

func (f *findings) tell(x Finding, now time.Time) {
	f.expire(now)
	for i := range *f {
		if (*f)[i].Code == x.Code {
			(*f)[i] = toldFinding{x, now.Add(FindingLasts)}
			return
		}
	}
	if len(*f) < maxFindings {
		*f = append(*f, toldFinding{x, now.Add(FindingLasts)})
	}
}

func (f *findings) expire(now time.Time) {
	kept := (*f)[:0]
	for _, x := range *f {
		if now.Before(x.until) {
			kept = append(kept, x)
		}
	}
	*f = kept
}

// list returns a copy of those that stand.
func (f *findings) list(now time.Time) []Finding {
	f.expire(now)
	var out []Finding
	for _, x := range *f {
		out = append(out, x.Finding)
	}
	return out
}
