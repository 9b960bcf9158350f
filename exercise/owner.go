package exercise

import (
	"encoding/json"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posefuse/message"
)

// One subscriber counts in a room. The owner says so in the retained
// exercise/status; another one that finds a living owner counts along without
// publishing, says that it waits, and takes over when the owner leaves, so that
// a set is counted once and none is lost.

// lostBeats of an owner's heartbeats missing: it is gone without a word.
const lostBeats = 2.5

// settleTime is how long a subscriber that has just connected listens for an
// owner before it is one: the broker sends what it keeps right after the
// subscription.
const settleTime = 300 * time.Millisecond

// owner is who counts in the room, as one subscriber knows it.
type owner struct {
	id string // of this subscriber

	mu      sync.Mutex
	other   string    // who counts instead, "" if this one does
	heard   time.Time // of the other one
	since   time.Time // when this one began to count, zero before
	left    bool      // this one stops and has said so
	problem string    // code of what keeps it from counting right
	text    string
	until   time.Time // that is forgotten
}

// counts reports whether this subscriber's results are the room's.
func (o *owner) counts() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.other == "" && !o.since.IsZero()
}

// gone reports whether this subscriber has said that it stops.
func (o *owner) gone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.left
}

// settle says that this subscriber counts, unless another one does. Before
// anything has come through the subscriptions it only speaks to itself.
func (s *Subscriber) settle() {
	if !s.hears.Load() {
		word := s.statusResult(message.Stopped, time.Now())
		word.retain = false
		s.put(word)
		return
	}
	o := &s.owner
	o.mu.Lock()
	mine := o.other == ""
	if mine && o.since.IsZero() {
		o.since = time.Now()
	}
	o.mu.Unlock()
	if mine {
		s.put(s.statusResult(message.Online, time.Now()))
	}
}

// heartbeat says that this subscriber counts, or sees whether the one that
// does still says so.
func (s *Subscriber) heartbeat(client mqtt.Client) {
	if s.refused.Load() && client.IsConnectionOpen() {
		s.connected(client)
		return
	}
	o := &s.owner
	o.mu.Lock()
	lost := o.other != "" && time.Since(o.heard) > time.Duration(lostBeats*float64(s.cfg.Heartbeat))
	mine := o.other == "" && !o.since.IsZero()
	other := o.other
	if lost {
		o.other = ""
	}
	o.mu.Unlock()
	switch {
	case lost:
		s.takeOver(other, "nothing was heard of it")
	case mine:
		s.put(s.statusResult(message.Online, time.Now()))
	}
}

// takeOver begins to count after another subscriber.
func (s *Subscriber) takeOver(other, why string) {
	s.cfg.Log.Warn("the other exercise service is gone, this one counts now", "room", s.cfg.Tracker.Room, "other", other, "reason", why)
	s.settle()
}

// leave says that this subscriber stops, if it is the one that counts. What it
// still hears, such as the word of the one that takes over, is not answered: an
// answer would take the room back.
func (s *Subscriber) leave() {
	counts := s.owner.counts()
	s.owner.mu.Lock()
	s.owner.left = true
	s.owner.mu.Unlock()
	if counts {
		s.put(s.statusResult(message.Stopped, time.Now()))
	}
}

// trouble tells in the status what keeps this subscriber from counting right,
// until it was not said for a while.
func (s *Subscriber) trouble(code, text string) {
	o := &s.owner
	o.mu.Lock()
	o.problem, o.text, o.until = code, text, time.Now().Add(time.Duration(lostBeats*float64(s.cfg.Heartbeat)))
	o.mu.Unlock()
	if o.counts() {
		s.put(s.statusResult(message.Online, time.Now()))
	}
}

// receiveOwner takes the word of a subscriber of this room, its own among them.
func (s *Subscriber) receiveOwner(_ mqtt.Client, m mqtt.Message) {
	var st message.ExerciseStatus
	if json.Unmarshal(m.Payload(), &st) != nil || st.Schema != message.ExerciseStatusSchema || st.Room != s.cfg.Tracker.Room {
		return
	}
	s.heard()
	if st.Owner == s.owner.id || s.owner.gone() {
		return
	}
	if st.State == message.Online && st.Owner != "" {
		s.hearOwner(st)
		return
	}
	o := &s.owner
	o.mu.Lock()
	gone := o.other != "" && st.Owner == o.other
	if gone {
		o.other = ""
	}
	mine := o.other == "" && !o.since.IsZero()
	o.mu.Unlock()
	switch {
	case gone:
		s.takeOver(st.Owner, "it says "+st.State)
	case mine: // what the broker keeps must be the owner's word
		s.put(s.statusResult(message.Online, time.Now()))
	}
}

// hearOwner takes the word of another subscriber that counts.
func (s *Subscriber) hearOwner(st message.ExerciseStatus) {
	if at, err := time.Parse(time.RFC3339Nano, st.Time); err != nil || time.Since(at) > time.Duration(lostBeats*float64(s.cfg.Heartbeat)) {
		return // of one that the broker did not see die
	}
	o := &s.owner
	o.mu.Lock()
	mine := o.other == "" && !o.since.IsZero()
	since, err := time.Parse(time.RFC3339Nano, st.Since)
	first := mine && err == nil && (o.since.Before(since) || o.since.Equal(since) && o.id < st.Owner)
	news := !first && o.other != st.Owner
	if !first {
		o.other, o.heard, o.since = st.Owner, time.Now(), time.Time{}
	}
	o.mu.Unlock()
	switch {
	case first: // the other one came later and gives way when it hears this
		s.put(s.statusResult(message.Online, time.Now()))
	case news:
		s.cfg.Log.Warn("another exercise service counts in this room: this one counts along without publishing and takes over when that one stops; stop one of the two, or give it another room",
			"code", "two_services", "room", st.Room, "other", st.Owner, "since", st.Since)
	}
}

// statusResult is the status message of this subscriber.
func (s *Subscriber) statusResult(state string, now time.Time) result {
	o := &s.owner
	o.mu.Lock()
	st := message.ExerciseStatus{Schema: message.ExerciseStatusSchema, Room: s.cfg.Tracker.Room, State: state,
		Owner: o.id, Time: stampRFC(now), LooksFor: s.chosen.Load().exercises}
	if !o.since.IsZero() {
		st.Since = stampRFC(o.since)
	}
	if now.Before(o.until) {
		st.Problem, st.Text = o.problem, o.text
	}
	o.mu.Unlock()
	text, err := json.Marshal(st)
	if err != nil {
		panic("exercise: status message: " + err.Error()) // strings
	}
	return result{s.prefix + "/exercise/status", statusKept, text}
}
