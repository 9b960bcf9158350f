// Package audit keeps who connected to a room's daemon, who was refused, and who
// asked it to change what, when. It is append-only: what is written stays as it
// is until it is older than the rule says, or the space is used up.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Folder is the log's place in a daemon's state folder.
const Folder = "audit"

// Event is what happened.
type Event string

// The events. The first two are of access, the others of change.
const (
	Connected Event = "connected" // somebody was let in
	Refused   Event = "refused"   // somebody was not

	Started  Event = "started"  // the daemon
	Stopped  Event = "stopped"  // the same
	Asked    Event = "asked"    // somebody asked for something, What names it and what came of it
	Reloaded Event = "reloaded" // the configuration was read again, What says what came of it
	Lost     Event = "lost"     // Count entries could not be kept
)

// access reports whether strangers can cause the event as often as they like.
func (e Event) access() bool { return e == Connected || e == Refused }

// Entry is one line.
type Entry struct {
	Time    time.Time `json:"time"`
	Event   Event     `json:"event"`
	User    string    `json:"user,omitempty"`    // of bus.users; "" where it has none, or is not known
	Address string    `json:"address,omitempty"` // of the machine that connects; "page" for the daemon's own page
	What    string    `json:"what,omitempty"`
	Count   int       `json:"count,omitempty"` // how often since the last line like it, if more than once
}

// MinMiB is the least space of a log.
const MinMiB = 4

// Options bound a log.
type Options struct {
	MaxMiB   int              // of all files together, at least MinMiB
	KeepDays int              // older entries are deleted; 0: none for its age
	Now      func() time.Time // nil: time.Now
}

// Bounds of what strangers can cause.
const (
	queued      = 1024        // entries that wait for the disk
	together    = 32          // that are written at once
	sumEvery    = time.Minute // entries that are alike are summed for as long
	tendEvery   = time.Hour
	maxKinds    = 256 // of which sums are kept
	accessLines = 30  // of access in sumEvery; others are counted as one
	maxText     = 256 // bytes of a text that somebody else made
)

// Log is an audit log. Note never waits; Run writes.
type Log struct {
	opt             Options
	access, changes ring
	in              chan Entry
	lost            atomic.Int64
	ruled           chan Options // a new rule of what is kept, the newest

	mu  sync.Mutex
	err error // of the newest write
}

// Open returns the log in a folder, which it makes.
func Open(dir string, opt Options) (*Log, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	l := &Log{opt: opt, in: make(chan Entry, queued), ruled: make(chan Options, 1),
		access: ring{dir: dir, name: "access"}, changes: ring{dir: dir, name: "changes"}}
	l.rule(opt)
	return l, nil
}

// Keep changes how much is kept and for how long; what is too old then is deleted.
// A nil log takes it and does nothing.
func (l *Log) Keep(maxMiB, keepDays int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.ruled: // nobody has obeyed it yet
	default:
	}
	l.ruled <- Options{MaxMiB: maxMiB, KeepDays: keepDays}
}

// rule sets the bounds of both files.
func (l *Log) rule(opt Options) {
	for _, r := range []*ring{&l.access, &l.changes} {
		r.most, r.keep = int64(opt.MaxMiB)<<20/2, time.Duration(opt.KeepDays)*24*time.Hour
	}
}

// Note adds an entry, with the time if it has none. A nil log takes it and does
// nothing.
func (l *Log) Note(e Entry) {
	if l == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = l.opt.Now()
	}
	e.Time = e.Time.UTC()
	e.User, e.Address, e.What = short(e.User), short(e.Address), short(e.What)
	select {
	case l.in <- e:
	default:
		l.lost.Add(1)
	}
}

func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// Err is why the newest entries are not on the disk, nil if they are.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Run writes until ctx ends, then what is still to be written.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(sumEvery)
	defer tick.Stop()
	tend := time.NewTicker(tendEvery)
	defer tend.Stop()
	s := sums{}
	defer func() { l.set(errors.Join(l.access.close(), l.changes.close())) }()
	for {
		var batch []Entry
		select {
		case e := <-l.in:
			batch = append(batch, e)
		case <-tick.C:
			l.write(s.end(l.opt.Now().UTC()))
			continue
		case <-tend.C:
			l.tend()
			continue
		case opt := <-l.ruled:
			l.rule(opt)
			l.tend()
			continue
		case <-ctx.Done():
			for batch = l.waiting(nil); len(batch) > 0; batch = l.waiting(nil) {
				l.write(s.filter(batch))
			}
			l.write(s.end(l.opt.Now().UTC()))
			return
		}
		l.write(s.filter(l.waiting(batch)))
	}
}

// tend deletes what is too old.
func (l *Log) tend() {
	now := l.opt.Now()
	if err := errors.Join(l.access.tend(now), l.changes.tend(now)); err != nil {
		l.set(err)
	}
}

// waiting adds what waits in the queue.
func (l *Log) waiting(batch []Entry) []Entry {
	for len(batch) < together {
		select {
		case e := <-l.in:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// write appends to the files; what they do not take is counted as lost.
func (l *Log) write(entries []Entry) {
	if n := l.lost.Swap(0); n > 0 {
		entries = append(entries, Entry{Time: l.opt.Now().UTC(), Event: Lost, Count: int(n)})
	}
	if len(entries) == 0 {
		return
	}
	var access, changes []byte
	for i := range entries {
		line, err := json.Marshal(&entries[i])
		if err != nil {
			continue // an entry has nothing that cannot be written
		}
		if entries[i].Event.access() {
			access = append(append(access, line...), '\n')
		} else {
			changes = append(append(changes, line...), '\n')
		}
	}
	now := l.opt.Now()
	err := errors.Join(l.access.append(access, now), l.changes.append(changes, now))
	if err != nil {
		for i := range entries {
			l.lost.Add(int64(max(entries[i].Count, 1)))
		}
	}
	l.set(err)
}

func (l *Log) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// sums bounds the lines of access: one of a kind is written at once, those that
// are like it as a sum.
type sums struct {
	kinds map[Entry]*kind // by the entry without time and count
	lines int             // written in this period
	other map[Event]int   // beyond the bounds
}

type kind struct {
	since int // since the last line
	last  time.Time
}

// filter returns the entries that are written now.
func (s *sums) filter(entries []Entry) (now []Entry) {
	for _, e := range entries {
		if !e.Event.access() {
			now = append(now, e)
			continue
		}
		key := e
		key.Time = time.Time{}
		k := s.kinds[key]
		switch {
		case k != nil:
			k.since++
			k.last = e.Time
		case s.lines < accessLines && len(s.kinds) < maxKinds:
			if s.kinds == nil {
				s.kinds = map[Entry]*kind{}
			}
			s.kinds[key] = &kind{}
			s.lines++
			now = append(now, e)
		default:
			if s.other == nil {
				s.other = map[Event]int{}
			}
			s.other[e.Event]++
		}
	}
	return now
}

// end ends a period and returns its sums.
func (s *sums) end(now time.Time) (lines []Entry) {
	for e, k := range s.kinds {
		if k.since > 0 {
			e.Time, e.Count = k.last, k.since
			lines = append(lines, e)
		}
	}
	for event, n := range s.other {
		lines = append(lines, Entry{Time: now, Event: event, What: "others in this minute", Count: n})
	}
	*s = sums{}
	return lines
}
