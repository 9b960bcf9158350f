package web

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is kept for pages that open later.
const (
	maxSummaries = 40 // finished sets
	maxKinds     = 24 // others, the newest of each
	maxKept      = 64 << 10
	setsLast     = 12 * time.Hour
)

const summaryKind = "exercise.summary"

// memory is what a page needs to know when it opens or comes back: the newest
// message of each kind, the sets of the day, and the newest pose, which may be the
// last one for a while. Nothing of it is written.
type memory struct {
	newest    []kept // the newest last
	summaries []kept // the newest last
	pose      kept   // its text is written over by the next one's
}

type kept struct {
	what string
	text []byte
	at   time.Time
}

// keep takes a message; text stays the caller's.
func (m *memory) keep(what string, text []byte, now time.Time) {
	if len(text) > maxKept {
		return
	}
	k := kept{what, bytes.Clone(text), now}
	if what == summaryKind {
		if len(m.summaries) == maxSummaries {
			m.summaries = slices.Delete(m.summaries, 0, 1)
		}
		m.summaries = append(m.summaries, k)
		return
	}
	m.newest = slices.DeleteFunc(m.newest, func(o kept) bool { return o.what == what })
	if len(m.newest) == maxKinds {
		m.newest = slices.Delete(m.newest, 0, 1)
	}
	m.newest = append(m.newest, k)
}

// keepPose takes a pose; text stays the caller's.
func (m *memory) keepPose(text []byte, now time.Time) {
	if len(text) <= maxKept {
		m.pose = kept{poseKind, append(m.pose.text[:0], text...), now}
	}
}

// frames yields what is known as frames with their age, the sets first: what
// goes on now has the last word.
func (m *memory) frames(now time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, list := range [][]kept{m.summaries, m.newest} {
			for _, k := range list {
				age := now.Sub(k.at)
				if strings.HasPrefix(k.what, "exercise.") && age > setsLast {
					continue
				}
				if !yield(frameOf(k.what, age, k.text)) {
					return
				}
			}
		}
		if m.pose.text != nil {
			yield(frameOf(poseKind, max(now.Sub(m.pose.at), time.Millisecond), m.pose.text))
		}
	}
}

// frameOf is what a browser gets: the subject below the room's, the message and,
// if it is an old one, how old: the browser's clock need not be the room's.
func frameOf(what string, age time.Duration, text []byte) []byte {
	frame := make([]byte, 0, len(text)+len(what)+40)
	frame = append(append(append(frame, `{"s":"`...), what...), '"')
	if age > 0 {
		frame = strconv.AppendInt(append(frame, `,"age_ms":`...), age.Milliseconds(), 10)
	}
	return append(append(append(frame, `,"m":`...), text...), '}')
}
