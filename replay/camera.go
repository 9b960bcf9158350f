package replay

import (
	"errors"
	"fmt"
	"time"

	"posefuse/frame"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/modality"
)

// CameraConfig is the fake camera: a key point detector that sends JSON lines
// to the driver's TCP port.
type CameraConfig struct {
	Addr string // host:port of the driver
	// Latency is how long detection takes: lines leave that long after their
	// capture time.
	Latency time.Duration
}

// keypointSource is a clip that hands out key points with scores; false means
// that nobody was found.
type keypointSource interface {
	Keypoints(i int, dst *sensors.Keypoints) (bool, error)
}

// cameraFake sends one line a frame. Its clock is the host's wall clock, as a
// detector on the same machine has it.
type cameraFake struct {
	out
	latency time.Duration
	seq     uint64
	frame   recording.Frame
	msg     camera.Message
}

func newCameraFake(cfg CameraConfig) (*cameraFake, error) {
	if cfg.Latency < 0 {
		return nil, errors.New("latency is negative")
	}
	o, err := newStreamClient(cfg.Addr)
	if err != nil {
		return nil, err
	}
	return &cameraFake{out: o, latency: cfg.Latency}, nil
}

func (f *cameraFake) inOrder() bool       { return true }
func (f *cameraFake) begin(planned) error { return nil }
func (f *cameraFake) restart()            { f.seq = 0 }

// units implements fake. Where nobody noted the
// scores of stored key points, they are sent with the score 1. A set of zeros only is how a data set stores that nobody was
// found; nothing is sent then.
func (f *cameraFake) units(dst []unit, c recording.Clip, i int, t *frameTime) ([]unit, error) {
	f.msg.CaptureNS = t.capture.Add(t.clock.stepped).UnixNano()
	f.msg.Seq = f.seq
	f.seq++
	k := &f.msg.Keypoints
	if s, ok := c.(keypointSource); ok {
		if found, err := s.Keypoints(i, k); err != nil || !found {
			return dst, err
		}
	} else {
		if err := readFrame(c, i, modality.Of(modality.Camera), &f.frame); err != nil {
			return dst, err
		}
		if f.frame.RGB == [17][2]float64{} {
			return dst, nil
		}
		*k = sensors.Keypoints{XY: f.frame.RGB, Width: sim.CameraWidth, Height: sim.CameraHeight}
		if rig, ok := frame.RigOf(c); ok {
			k.Width, k.Height = int(rig.Camera.WidthPx), int(rig.Camera.HeightPx)
		}
		for j := range k.Score {
			k.Score[j] = 1
		}
		copy(k.Score[:], f.frame.Scores)
	}
	b, err := camera.Encode(nil, &f.msg)
	if err != nil {
		return dst, fmt.Errorf("clip %s frame %d: %w", c.Key(), i+1, err)
	}
	return append(dst, unit{at: f.latency, data: b}), nil
}
