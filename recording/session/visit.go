package session

import (
	"fmt"
	"path/filepath"
	"slices"

	"posefuse/recording/session/mcap"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Event is one thing that was recorded.
type Event struct {
	Topic     string
	AtNS      int64           // when it was handed on
	CaptureNS int64           // when it was captured; of a pose, its tick
	Text      []byte          // the message, JSON but for Raw; valid until the function returns
	Sample    *sensors.Sample // of a sensor's channel, nil of others; may be kept
	Raw       *sensors.Raw    // of a channel of raw bytes, nil of others; its Data lie in Text
}

// Part is what Visit reads of a session.
type Part struct {
	Topics       []string // empty: all
	FromNS, ToNS int64    // bounds of AtNS, inclusive; ToNS 0 is none
}

// beside reports whether a file is known to hold nothing of the part.
func (p *Part) beside(i *Info, name string) bool {
	for _, s := range i.Segments {
		if s.File == name {
			return s.ToNS < p.FromNS || p.ToNS > 0 && s.FromNS > p.ToNS
		}
	}
	return false
}

// Visit gives what a session holds to a function in the order in which it was
// recorded: that of AtNS, but for what came from several sensors within a moment.
// A session that a crash left can be read without recovering it. What is damaged
// is left out and told in the Check.
func Visit(dir string, part Part, visit func(*Event) error) (Info, Check, error) {
	c := Check{Session: filepath.Base(dir), ByTopic: map[string]uint64{}}
	info, err := Read(dir)
	if err != nil {
		return info, c, err
	}
	names, err := segmentFiles(dir)
	if err != nil {
		return info, c, err
	}
	opt := mcap.Options{}
	if part.FromNS > 0 {
		opt.From = uint64(info.AnchorNS + part.FromNS)
	}
	if part.ToNS > 0 {
		opt.To = uint64(info.AnchorNS + part.ToNS)
	}
	for _, name := range names {
		if part.beside(&info, name) {
			continue
		}
		r, err := readSegment(filepath.Join(dir, name), opt, mcap.Handler{Message: func(_ *mcap.Schema, ch *mcap.Channel, m *mcap.Message) error {
			if len(part.Topics) > 0 && !slices.Contains(part.Topics, ch.Topic) {
				return nil
			}
			e := Event{Topic: ch.Topic, AtNS: int64(m.LogTime) - info.AnchorNS, CaptureNS: int64(m.PublishTime) - info.AnchorNS, Text: m.Data}
			var err error
			if of, ok := modalityOf(ch.Topic); ok {
				e.Sample, err = decodeSample(of, m.Data)
			} else if _, ok := rawOf(ch.Topic); ok {
				e.Raw, err = parseRaw(m.Data)
			}
			if err != nil {
				return fmt.Errorf("message %d on %s: %w", m.Sequence, ch.Topic, err)
			}
			return visit(&e)
		}})
		if err != nil {
			return info, c, err
		}
		c.add(name, &r)
	}
	return info, c, nil
}

// modalityOf returns whose samples a channel holds.
func modalityOf(topic string) (modality.Kind, bool) {
	for m := range modality.Count {
		if channels[m].topic == topic {
			return m, true
		}
	}
	return 0, false
}

// Background returns what was known of the room as a session began, nil if nobody
// kept it.
func Background(dir string) ([]byte, error) {
	names, err := segmentFiles(dir)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var out []byte
	_, err = readSegment(filepath.Join(dir, names[0]), mcap.Options{To: 1}, mcap.Handler{Attachment: func(a *mcap.Attachment) error {
		if a.Name == backgroundName {
			out = slices.Clone(a.Data)
		}
		return nil
	}})
	return out, err
}
