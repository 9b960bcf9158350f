package model

import (
	"fmt"
	"slices"

	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// ErrLowPrecision is wrapped when the camera encoder cannot stream because it
// computes in low precision.
var ErrLowPrecision = nn.ErrLowPrecision

const (
	// maxPushes is how many frames a stream takes at once to reach a window;
	// for more the whole window is computed. At the paper's size a frame costs
	// 13 million multiply-adds and a window 58 million.
	maxPushes = 3
	// maxRewind is how many frames a stream takes back to follow a frame that
	// came late.
	maxRewind = maxPushes - 1
)

// CameraStream computes the camera encoder's feature from cached activations:
// a frame that follows the ones before costs a fraction of a window. The
// feature is that of the CameraWindow keypoint sets that end with the newest
// one, within 1e-5 of what the whole window gives; so it is for networks with
// a causal window.
//
// A stream belongs to its runtime and shares its layers: the two must not work
// at the same time, and a Refresh of the runtime must be followed by Forget.
type CameraStream struct {
	enc    *encoder[float32]
	stream *nn.TemporalStream[float32]
	last   []float32 // output of the newest frame, before the projection
	// past holds the newest frames the stream has taken, oldest first: what it
	// was given before them does not matter once they fill a window.
	past   []float32
	memory []float32 // of past
	frame  int       // values of a set of keypoints
	newest func(int) []float32
	stats  CameraStreamStats
}

// CameraStreamStats counts the windows a CameraStream was asked for.
type CameraStreamStats struct {
	Streamed uint64 // computed from cached activations
	Whole    uint64 // computed as a whole
	Pushed   uint64 // frames taken
}

// StreamCamera makes the runtime compute the camera's feature with a
// CameraStream of its own: for live windows, each of which mostly continues the
// one before. A sample's pose then differs by rounding with what was inferred
// before it. The network must have been trained with a causal window.
func (r *Runtime) StreamCamera() error {
	c, err := r.NewCameraStream()
	if err != nil {
		return err
	}
	r.stream = c
	return nil
}

// CameraStreamStats returns the counters of StreamCamera, zero without it.
func (r *Runtime) CameraStreamStats() CameraStreamStats {
	if r.stream == nil {
		return CameraStreamStats{}
	}
	return r.stream.Stats()
}

// NewCameraStream returns a stream on the runtime's camera encoder.
func (r *Runtime) NewCameraStream() (*CameraStream, error) {
	e := r.inst.encoders[modality.Camera]
	if e == nil {
		return nil, fmt.Errorf("camera stream: the network has the modalities %s, not R", r.net.Config.Modalities)
	}
	stem, ok := e.steps[0].block.(*nn.TemporalStem[float32])
	var blocks []*nn.TemporalBlock[float32]
	for _, s := range e.steps[1 : len(e.steps)-1] {
		b, is := s.block.(*nn.TemporalBlock[float32])
		ok = ok && is
		blocks = append(blocks, b)
	}
	if !ok {
		return nil, fmt.Errorf("camera stream: the encoder is not the float32 one")
	}
	stream, err := nn.NewTemporalStream(stem, blocks, maxRewind)
	if err != nil {
		return nil, fmt.Errorf("camera stream: %w", err)
	}
	frame := r.net.Config.KeypointFrame()
	c := &CameraStream{enc: e, stream: stream, frame: frame, memory: make([]float32, 2*(CameraWindow+maxRewind)*frame)}
	c.newest = c.newestFrame
	return c, nil
}

// Stats returns the counters.
func (c *CameraStream) Stats() CameraStreamStats { return c.stats }

// Forget drops the past, as it must be after a change of the weights.
func (c *CameraStream) Forget() { c.past, c.last = c.past[:0], nil }

// Restart forgets the past and takes frame, one set of keypoints,
// as if it had come for as long as a window: the padding of a window that
// starts with it.
func (c *CameraStream) Restart(frame []float32) error {
	if err := c.check(frame); err != nil {
		return err
	}
	c.restart(frame, CameraWindow)
	return nil
}

// Push takes the next frame. Until a first Restart the frames before the first
// one are unknown, and the feature is a window's only after CameraWindow of
// them.
func (c *CameraStream) Push(frame []float32) error {
	if err := c.check(frame); err != nil {
		return err
	}
	if len(c.past) == 0 {
		c.restart(frame, 1)
		return nil
	}
	c.push(frame)
	return nil
}

func (c *CameraStream) check(frame []float32) error {
	if len(frame) != c.frame {
		return fmt.Errorf("camera stream: a frame of %d values, want %d", len(frame), c.frame)
	}
	return nil
}

// Warm reports whether the stream has taken a whole window, so that Feature is
// the feature of one.
func (c *CameraStream) Warm() bool { return c.frames() >= CameraWindow }

// Feature returns the feature of the window that ends with the newest frame,
// FeatureDim values that belong to the runtime until its next call; nil
// before the first frame.
func (c *CameraStream) Feature() []float32 {
	if c.last == nil {
		return nil
	}
	c.enc.proj.Gate = nil
	of := c.enc.proj.Carried
	c.enc.proj.Carried = c.newest
	defer func() { c.enc.proj.Carried = of }()
	return c.enc.proj.Forward(c.last, 1)
}

// newestFrame returns the newest set of keypoints that the stream has taken.
func (c *CameraStream) newestFrame(int) []float32 { return c.past[len(c.past)-c.frame:] }

// Window returns the feature of a window laid out as Input.Camera. If the
// window continues what the stream has taken, by at most maxPushes new frames
// after taking back at most maxRewind, or if it is the padding of a new start,
// the cached activations serve; the comparison is by value, so whatever else
// happened (a gap, a late frame in the middle, another image size) the window
// is computed as a whole, and the stream starts to fill again.
func (c *CameraStream) Window(window []float32) ([]float32, error) {
	if len(window) != CameraWindow*c.frame {
		return nil, fmt.Errorf("camera stream: a window of %d values, want %d", len(window), CameraWindow*c.frame)
	}
	return c.feature(window), nil
}

func (c *CameraStream) feature(window []float32) []float32 {
	if c.follow(window) {
		c.stats.Streamed++
		return c.Feature()
	}
	c.stats.Whole++
	c.enc.proj.Gate = nil
	return c.enc.forward(window, 1)
}

// follow brings the stream to the window and reports whether its output is
// that of the window.
func (c *CameraStream) follow(window []float32) bool {
	frame := func(i int) []float32 { return window[i*c.frame : (i+1)*c.frame] }
	rewind, known, pushes := c.match(window)
	if known+pushes < CameraWindow {
		// A window that starts with enough copies of one frame is what the
		// stream makes of that frame alone.
		lead := 1
		for lead < CameraWindow && slices.Equal(frame(lead), frame(0)) {
			lead++
		}
		if CameraWindow-lead <= maxPushes {
			c.restart(frame(0), lead)
			for i := lead; i < CameraWindow; i++ {
				c.push(frame(i))
			}
			return true
		}
	}
	if known == 0 {
		c.restart(frame(CameraWindow-1), 1)
		return false
	}
	c.stream.Rewind(rewind)
	c.past = c.past[:(c.frames()-rewind)*c.frame]
	for i := CameraWindow - pushes; i < CameraWindow; i++ {
		c.push(frame(i))
	}
	// What came before the part in common is of no use.
	c.past = c.past[(c.frames()-known-pushes)*c.frame:]
	return known+pushes >= CameraWindow
}

// match looks for the fewest frames to push, after taking back rewind of
// them, such that the stream then holds the window. If there is no such way it
// returns the one that shares the most frames with the window's end: known of
// those the stream has taken, 0 for none.
func (c *CameraStream) match(window []float32) (rewind, known, pushes int) {
	for p := range maxPushes + 1 {
		for r := range min(maxRewind, c.stream.Undoable()) + 1 {
			k := commonEnd(c.past[:max(0, c.frames()-r)*c.frame], window[:(CameraWindow-p)*c.frame], c.frame)
			if k > known {
				rewind, known, pushes = r, k, p
			}
			if k+p == CameraWindow {
				return r, k, p
			}
		}
	}
	return rewind, known, pushes
}

// commonEnd returns how many of the last frames, of width values each, of a and b
// are equal.
func commonEnd(a, b []float32, width int) int {
	n := min(len(a), len(b)) / width
	for k := range n {
		if !slices.Equal(a[len(a)-width:], b[len(b)-width:]) {
			return k
		}
		a, b = a[:len(a)-width], b[:len(b)-width]
	}
	return n
}

// frames returns how many frames of the past are known.
func (c *CameraStream) frames() int { return len(c.past) / c.frame }

// restart takes a frame that counts as known for the last n positions.
func (c *CameraStream) restart(frame []float32, n int) {
	c.last = c.stream.Restart(frame)
	c.past = c.memory[:0]
	for range n {
		c.past = append(c.past, frame...)
	}
	c.stats.Pushed++
}

func (c *CameraStream) push(frame []float32) {
	c.last = c.stream.Push(frame)
	if cap(c.past)-len(c.past) < c.frame {
		keep := min(c.frames(), CameraWindow+maxRewind-1) * c.frame
		c.past = append(c.memory[:0], c.past[len(c.past)-keep:]...) // moves down within memory
	}
	c.past = append(c.past, frame...)
	c.stats.Pushed++
}
