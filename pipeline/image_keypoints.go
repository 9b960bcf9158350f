package pipeline

import (
	"context"
	"sync"
	"time"

	"posefuse/message"
	"posefuse/sensors"
)

// What the camera has in view, for people: how long somebody counts as there
// after the last picture with them.
const (
	personKept = time.Second
	othersKept = 2 * time.Second
)

// sight is what the camera has in view.
type sight uint8

const (
	sightPerson sight = iota // or nothing known
	sightNobody
	sightOthers // another person beside the one that is followed
)

// keypointFeed publishes what the camera saw, for viewers, and remembers it for
// the status. It may be told from several goroutines.
type keypointFeed struct {
	room    string
	pending chan message.ImageKeypoints // capacity 1

	mu            sync.Mutex
	lastNS        int64 // of the newest message
	width, height int
	// Room clock of the newest picture with somebody, nobody, several; 0: none.
	personNS, nobodyNS, othersNS int64
}

func newKeypointFeed(room string) *keypointFeed {
	return &keypointFeed{room: room, pending: make(chan message.ImageKeypoints, 1)}
}

// person notes the keypoints of a sample that came at nowNS.
func (f *keypointFeed) person(s *sensors.Sample, nowNS int64) {
	k := s.Keypoints
	f.mu.Lock()
	defer f.mu.Unlock()
	f.personNS = nowNS
	if k.Others {
		f.othersNS = nowNS
	}
	f.width, f.height = k.Width, k.Height
	if !f.due(nowNS) {
		return
	}
	var joints [17][3]float64
	for i, p := range k.XY {
		joints[i] = [3]float64{roundTo(p[0], 10), roundTo(p[1], 10), roundTo(k.Score[i], 100)}
	}
	f.offer(message.ImageKeypoints{CaptureNS: s.CaptureNS, Keypoints: &joints, Others: k.Others})
}

// nobody notes a picture without a person.
func (f *keypointFeed) nobody(nowNS int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nobodyNS = nowNS
	if f.due(nowNS) {
		f.offer(message.ImageKeypoints{CaptureNS: nowNS})
	}
}

// due reports whether viewers may have another message. It needs f.mu.
func (f *keypointFeed) due(nowNS int64) bool {
	if f.lastNS != 0 && nowNS-f.lastNS < viewerMinNS {
		return false
	}
	f.lastNS = nowNS
	return true
}

// offer hands a message over in place of one that waits. It needs f.mu.
func (f *keypointFeed) offer(m message.ImageKeypoints) {
	m.Schema, m.Room, m.Width, m.Height = message.ImageKeypointsSchema, f.room, f.width, f.height
	select {
	case <-f.pending:
	default:
	}
	f.pending <- m // f.mu is held, so there is room
}

// sight tells what is in view at nowNS.
func (f *keypointFeed) sight(nowNS int64) sight {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.othersNS != 0 && nowNS-f.othersNS < int64(othersKept):
		return sightOthers
	case f.nobodyNS > f.personNS && (f.personNS == 0 || nowNS-f.personNS > int64(personKept)):
		return sightNobody
	}
	return sightPerson
}

// run publishes until ctx ends.
func (f *keypointFeed) run(ctx context.Context, publish func(*message.ImageKeypoints)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-f.pending:
			publish(&m)
		}
	}
}

// watchedCamera tells the feed of pictures without a person, which give no
// sample.
type watchedCamera struct {
	sensors.Source
	feed *keypointFeed
}

// Run implements sensors.Source.
func (w *watchedCamera) Run(ctx context.Context, sink sensors.Sink) error {
	return w.Source.Run(ctx, &watchedSink{Sink: sink, feed: w.feed})
}

type watchedSink struct {
	sensors.Sink
	feed *keypointFeed
}

// Heard passes on what was read.
func (s *watchedSink) Heard(r *sensors.Raw) int64 { return sensors.Heard(s.Sink, r) }

// Count implements sensors.Sink.
func (s *watchedSink) Count(outcome string, n uint64) {
	s.Sink.Count(outcome, n)
	if outcome == sensors.OutcomeNobody {
		s.feed.nobody(s.NowNS())
	}
}
