package camera

import (
	"context"
	"errors"
	"image"
	"sync"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// grabber reads pictures from one kind of camera.
type grabber interface {
	// grab hands every picture to in until ctx ends (nil) or the camera fails.
	// It may be called again after it returned.
	grab(ctx context.Context, in *intake) error
}

// VideoSource turns a camera's pictures into keypoints: one goroutine takes
// pictures, another looks at the newest. A picture that a newer one overtakes
// is dropped and counted. It implements sensors.Source.
type VideoSource struct {
	name    string
	maxHz   float64 // pictures looked at per second; 0 means all
	grabber grabber
	clock   deviceClock // of the goroutine that looks

	// Detector sees the pictures. It must be set before Run.
	Detector Detector
	// EveryPicture lets the camera wait for the detector, so that no picture is
	// overtaken or thinned out: for files, of which a live one would fall behind.
	EveryPicture bool
	// Watch, if set before Run, sees each picture before the detector does, on
	// the detector's goroutine. It must not keep it.
	Watch func(img image.Image)
}

// ErrEnded is why a source stops whose last picture was shown: that of a film
// or a folder which is not to start over.
var ErrEnded = errors.New("the last picture was shown")

// Outcomes of pictures that gave no sample, beside the reasons for rejecting one.
const (
	outcomeThinned   = "thinned"   // above the rate that is looked at
	outcomeOvertaken = "overtaken" // a newer picture came before its turn
	outcomeFailed    = "detector"  // the detector failed, or its keypoints are impossible
)

// Run takes pictures until ctx ends or the camera fails.
func (s *VideoSource) Run(ctx context.Context, sink sensors.Sink) error {
	if s.Detector == nil {
		return sensors.Told(errNoDetector)
	}
	s.Detector.Reset()
	grabbing, stop := context.WithCancel(ctx)
	defer stop()
	in := &intake{sink: sink, thin: thinner{maxHz: s.maxHz}, filled: make(chan struct{}, 1)}
	if s.EveryPicture {
		in.thin.maxHz, in.stop, in.taken = 0, grabbing.Done(), make(chan struct{}, 1)
	}
	var panicked error
	looking := make(chan struct{})
	go func() {
		defer close(looking)
		defer func() {
			// A picture that breaks a decoder ends this run, not the daemon.
			if p := recover(); p != nil {
				panicked = sensors.Panicked(p)
				sink.Count(outcomeFailed, 1)
				stop()
			}
		}()
		yieldToOthers()
		s.look(in)
	}()
	err := s.grabber.grab(grabbing, in)
	in.close()
	<-looking
	if panicked != nil {
		if _, left := in.next(); left {
			sink.Count(outcomeOvertaken, 1)
		}
		err = panicked
	}
	if ctx.Err() != nil {
		return nil // ended by the caller, whatever broke meanwhile
	}
	return err
}

// look detects until the intake closes.
func (s *VideoSource) look(in *intake) {
	var dec decoder
	for {
		f, ok := in.next()
		if !ok {
			return
		}
		img, err := dec.decode(&f)
		if err != nil {
			reason := BadImage
			if e, ok := errors.AsType[*ImageError](err); ok {
				reason = e.Reason
			}
			in.sink.Count(string(reason), 1)
		} else {
			s.lookAt(in.sink, &f, img)
		}
		in.recycle(f.Data)
	}
}

// lookAt gives one picture to who wants it, and what is seen in it to the sink.
func (s *VideoSource) lookAt(sink sensors.Sink, f *Frame, img image.Image) {
	if s.Watch != nil {
		s.Watch(img)
	}
	got, err := s.Detector.Detect(img)
	if err == nil && got.Person {
		got.Keypoints.Width, got.Keypoints.Height = img.Bounds().Dx(), img.Bounds().Dy()
		err = checkKeypoints(&got.Keypoints)
	}
	s.clock.see(f)
	switch {
	case err != nil:
		sink.Count(outcomeFailed, 1)
	case !got.Person:
		sink.Count(sensors.OutcomeNobody, 1)
	default:
		sink.Emit(&sensors.Sample{Sensor: s.name, Modality: modality.Camera, Seq: f.Seq,
			DeviceNS: f.DeviceNS, HasDevice: f.HasDevice, ReceiveNS: f.ReceiveNS,
			Restarted: s.clock.restarted, Keypoints: &got.Keypoints})
		s.clock.restarted = false
	}
}

// deviceClock finds restarts of the camera's clock, also between two runs.
type deviceClock struct {
	last      int64
	seen      bool
	restarted bool // and no sample has told so yet
}

func (c *deviceClock) see(f *Frame) {
	if !f.HasDevice {
		return
	}
	back := c.seen && f.DeviceNS+restartNS < c.last
	if back || f.DeviceNS > c.last {
		c.last = f.DeviceNS
	}
	c.seen = true
	c.restarted = c.restarted || back
}

// intake is where a grabber puts pictures: a place for one, the newest.
type intake struct {
	sink sensors.Sink
	thin thinner // of the grabber's goroutine

	// Set if every picture counts: put waits for a free place or for stop.
	stop  <-chan struct{}
	taken chan struct{} // capacity 1: the place may be free

	filled  chan struct{} // capacity 1: the place may be taken
	mu      sync.Mutex
	waiting Frame
	full    bool
	closed  bool
	spare   [][]byte // memory of pictures that were looked at
}

// buffer returns memory for the data of a picture, length 0.
func (in *intake) buffer() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	if n := len(in.spare); n > 0 {
		b := in.spare[n-1]
		in.spare = in.spare[:n-1]
		return b[:0]
	}
	return nil
}

// recycle takes memory back.
func (in *intake) recycle(b []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.spare) < 3 && cap(b) > 0 {
		in.spare = append(in.spare, b)
	}
}

// put hands over a picture with its data, which belongs to the intake from
// then on.
func (in *intake) put(f Frame) {
	if !in.thin.take(f.ReceiveNS) {
		in.sink.Count(outcomeThinned, 1)
		in.recycle(f.Data)
		return
	}
	in.awaitPlace()
	in.mu.Lock()
	old, overtaken := in.waiting, in.full
	in.waiting, in.full = f, true
	in.mu.Unlock()
	if overtaken {
		in.sink.Count(outcomeOvertaken, 1)
		in.recycle(old.Data)
	}
	in.poke()
}

// awaitPlace returns once the place is free, if pictures are to wait for that.
func (in *intake) awaitPlace() {
	for in.taken != nil {
		in.mu.Lock()
		full := in.full
		in.mu.Unlock()
		if !full {
			return
		}
		select {
		case <-in.taken:
		case <-in.stop:
			return
		}
	}
}

func (in *intake) poke() { signal(in.filled) }

// signal fills a channel of capacity 1, which may be full already or nil.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// close ends next once the last picture is taken.
func (in *intake) close() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.poke()
}

// next waits for the newest picture.
func (in *intake) next() (Frame, bool) {
	for {
		in.mu.Lock()
		f, full, closed := in.waiting, in.full, in.closed
		in.waiting, in.full = Frame{}, false
		in.mu.Unlock()
		if full || closed {
			signal(in.taken)
			return f, full
		}
		<-in.filled
	}
}
