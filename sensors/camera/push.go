package camera

import (
	"context"
	"errors"
	"sync"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// receiver turns lines into samples of one sensor.
type receiver struct {
	name string
	last int64 // capture time of the newest message
	seen bool
}

// restartNS is how far a camera's clock must go back to be a restart.
const restartNS = 1_000_000_000

// line takes a line, good or bad.
func (r *receiver) line(sink sensors.Sink, receiveNS int64, line []byte) {
	if m, ok := decodeLine(sink, line); ok {
		r.take(sink, receiveNS, &m)
	}
}

// decodeLine counts a bad line.
func decodeLine(sink sensors.Sink, line []byte) (m Message, ok bool) {
	m, err := Decode(line)
	if d, bad := errors.AsType[*DecodeError](err); bad {
		sink.Count(string(d.Reason), 1)
	}
	return m, err == nil
}

func (r *receiver) take(sink sensors.Sink, receiveNS int64, m *Message) {
	restarted := r.seen && m.CaptureNS+restartNS < r.last
	if restarted || m.CaptureNS > r.last {
		r.last = m.CaptureNS
	}
	r.seen = true
	k := m.Keypoints
	sink.Emit(&sensors.Sample{
		Sensor: r.name, Modality: modality.Camera, Seq: m.Seq,
		DeviceNS: m.CaptureNS, HasDevice: true, ReceiveNS: receiveNS,
		Restarted: restarted, Keypoints: &k,
	})
}

// ErrNotRunning is returned by Push while the source does not run.
var ErrNotRunning = errors.New("camera source is not running")

// PushSource is a camera whose keypoint lines the program hands over itself,
// e.g. from a message bus. It implements sensors.Source.
type PushSource struct {
	mu   sync.Mutex
	recv receiver
	sink sensors.Sink
}

func newPushSource(name string) *PushSource {
	return &PushSource{recv: receiver{name: name}}
}

// Push hands over one keypoint line, which is not kept. It never blocks for
// long and is safe for concurrent use. A bad line is counted, not returned;
// the only error is ErrNotRunning.
func (s *PushSource) Push(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil {
		return ErrNotRunning
	}
	at := sensors.Heard(s.sink, &sensors.Raw{Transport: sensors.Record, AtNS: s.sink.NowNS(), Data: line})
	s.recv.line(s.sink, at, line)
	return nil
}

// Run accepts lines until ctx ends.
func (s *PushSource) Run(ctx context.Context, sink sensors.Sink) error {
	s.mu.Lock()
	if s.sink != nil {
		s.mu.Unlock()
		return errors.New("already running")
	}
	s.sink = sink
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.sink = nil
	s.mu.Unlock()
	return nil
}
