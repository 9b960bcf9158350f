package exercise

import (
	"fmt"
	"time"

	"posefuse/message"
)

// A pose is followed as one daemon's: its sequence number and its capture time
// rise together. What does not continue the stream is an old or doubled
// message, the same daemon after its clock was set back or after a restart, or
// another daemon that publishes for the same room. They are told apart by what
// comes next.
const (
	switchPoses   = 5             // in a row of another stream, and none of this: that one is followed
	switchLate    = 10            // the same, if they may be late messages
	lateNS        = int64(2e9)    // a message is later than that only after a fault
	conflictPoses = 10            // of another stream beside this one: two daemons
	conflictNS    = int64(10e9)   // between two words about it
	ringPoses     = 64            // remembered, to tell a doubled pose from another daemon's
	periodNS      = int64(1e8)    // from pose to pose where nothing else is known
	longestStop   = 1 * time.Hour // of a restart, by the wall clock
)

// Codes of notices.
const (
	noticeClockBack  = "clock_back"
	noticeRestart    = "restarted"
	noticeTwoDaemons = "two_daemons"
	noticeNewPerson  = "new_person"
)

// stamped is a pose with its time on the tracker's clock, which never stands
// still or goes back.
type stamped struct {
	pose *message.Pose
	ns   int64
	wall time.Time
}

// stamp is what a pose says of its place in a stream.
type stamp struct {
	seq uint64
	ns  int64
}

// continues reports whether a pose stamped b follows one stamped a in the
// stream of one daemon. Without sequence numbers only the time tells.
func (a stamp) continues(b stamp) bool {
	return b.ns > a.ns && (b.seq > a.seq || a.seq == 0 && b.seq == 0)
}

// follower follows the stream of one daemon.
type follower struct {
	have   bool
	newest stamp
	offset int64 // tracker's clock minus capture time
	wall   time.Time
	ring   [ringPoses]stamp
	at     int

	other   stamp // newest of the other stream
	waiting []*message.Pose
	late    bool // the waiting ones may be late messages
	strange int  // of the other stream while this one went on
	saidNS  int64
	notice  func(code, text string)
}

// take returns the poses that the tracker gets now: none, this one, or those
// that had to wait until it was clear what they are.
func (f *follower) take(p *message.Pose) []stamped {
	s := stamp{p.Seq, p.CaptureNS}
	if len(f.waiting) > 0 && f.waiting[0].Seq > f.newest.seq && f.other.continues(s) && f.newest.continues(s) {
		f.waiting = append(f.waiting, p) // a clock set back by less than it took to believe it
		return f.change()
	}
	if !f.have || f.newest.continues(s) {
		f.waiting = f.waiting[:0]
		return []stamped{f.accept(p)}
	}
	if s == f.newest || f.doubled(s) {
		return nil
	}
	if len(f.waiting) > 0 && !f.other.continues(s) {
		f.waiting, f.strange = f.waiting[:0], 0
	}
	if f.strange > 0 && !f.other.continues(s) {
		f.strange = 0
	}
	if len(f.waiting) == 0 {
		f.late = f.mayBeLate(s)
	}
	f.other = s
	f.waiting = append(f.waiting, p)
	if !f.late {
		f.strange++
	}
	need := switchPoses
	if f.late {
		need = switchLate
	}
	if len(f.waiting) < need {
		if f.strange >= conflictPoses && f.newest.ns+f.offset-f.saidNS > conflictNS {
			f.saidNS = f.newest.ns + f.offset
			f.say(noticeTwoDaemons, fmt.Sprintf("two daemons publish poses of room %s: those of the one whose clock says %.1f s are counted, those at %.1f s are not; stop one or give it another room",
				p.Room, float64(f.newest.ns)/1e9, float64(s.ns)/1e9))
		}
		return nil
	}
	return f.change()
}

// change follows the stream that waits.
func (f *follower) change() (list []stamped) {
	first := f.waiting[0]
	back := float64(f.newest.ns-first.CaptureNS) / 1e9
	gap := periodNS
	if at, err := time.Parse(time.RFC3339Nano, first.CaptureTime); err == nil && at.After(f.wall) && at.Sub(f.wall) < longestStop {
		gap = max(gap, int64(at.Sub(f.wall)))
	}
	if first.Seq > f.newest.seq {
		f.say(noticeClockBack, fmt.Sprintf("the capture time of the poses stepped back by %.1f s; counting goes on", back))
	} else {
		f.say(noticeRestart, fmt.Sprintf("the daemon of room %s began again (pose %d after %d); counting goes on", first.Room, first.Seq, f.newest.seq))
	}
	f.offset += f.newest.ns + gap - first.CaptureNS
	for _, p := range f.waiting {
		list = append(list, f.accept(p))
	}
	f.waiting, f.strange, f.ring = f.waiting[:0], 0, [ringPoses]stamp{}
	return list
}

// accept takes a pose of the stream.
func (f *follower) accept(p *message.Pose) stamped {
	step := time.Duration(p.CaptureNS - f.newest.ns)
	f.newest = stamp{p.Seq, p.CaptureNS}
	f.ring[f.at] = f.newest
	f.at = (f.at + 1) % ringPoses
	wall, err := time.Parse(time.RFC3339Nano, p.CaptureTime)
	switch {
	case err != nil && f.have:
		wall = f.wall.Add(step)
	case err != nil:
		wall = time.Unix(0, p.CaptureNS)
	case f.have && wall.Before(f.wall): // a record must not end before it began
		wall = f.wall
	}
	f.wall, f.have = wall, true
	return stamped{p, p.CaptureNS + f.offset, wall}
}

// doubled reports whether the very pose was taken before.
func (f *follower) doubled(s stamp) bool {
	if f.newest.ns-s.ns > lateNS {
		return false
	}
	for _, r := range f.ring {
		if r == s {
			return true
		}
	}
	return false
}

// mayBeLate reports whether a pose may be a message of this stream that was
// overtaken: it fills a hole.
func (f *follower) mayBeLate(s stamp) bool {
	if s.seq > f.newest.seq || s.ns > f.newest.ns || f.newest.ns-s.ns > lateNS {
		return false
	}
	for _, r := range f.ring {
		if r.seq == s.seq && r.seq != 0 && r.ns != 0 {
			return false // taken, with another time
		}
	}
	return true
}

func (f *follower) say(code, text string) {
	if f.notice != nil {
		f.notice(code, text)
	}
}
