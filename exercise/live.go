package exercise

import (
	"posefuse/message"
)

// liveOutput is an Output that also wants to show the movement as it goes on.
type liveOutput interface {
	Live(l *message.ExerciseLive)
}

// live tells where the movement is that is counted, with each smoothed pose:
// that of the running set, or of the only exercise that is looked for.
func (t *Tracker) live() {
	out, ok := t.out.(liveOutput)
	if !ok || t.set == nil && len(t.runs) != 1 {
		return
	}
	r := t.runs[0]
	if t.set != nil {
		r = t.set.run
	}
	c := r.def.Count
	l := &message.ExerciseLive{Schema: message.ExerciseLiveSchema, Room: t.cfg.Room, Exercise: r.def.Activity, Name: t.phrases.name(r.def),
		ValueName: t.phrases.signal(r.def), ValueUnit: c.unit(), Rest: c.Neutral, Target: round(r.target),
		ZoneFrom: round(c.Neutral + shallowShare*(r.target-c.Neutral)), TargetRepetitions: r.goal.Repetitions}
	if t.set != nil {
		l.ID, l.Repetitions = t.set.id, t.set.repetitions()
	}
	if n := len(t.track); canJudgeAngles(t.coalition) {
		if v, ok := c.value(body{&t.track[n-1].smooth, &t.filter.cal}, r.def.firstSide()); ok {
			v = round(v)
			l.Value = &v
		}
	}
	out.Live(l)
}

// liveWaits is how many results may wait for the broker while the movement is
// still shown: what counts goes first.
const liveWaits = 4

// Live queues where the movement is, if somebody wants to see it.
func (s *Subscriber) Live(l *message.ExerciseLive) {
	if s.cfg.Live && s.owner.counts() && len(s.outbox) <= liveWaits {
		s.queue(liveTopic, false, l)
	}
}

// liveTopic is below the room's; it has QoS 0, and no counter: the next one comes
// a tenth of a second later.
const liveTopic = "/exercise/live"
