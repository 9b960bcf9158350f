package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"posefuse/model/nn/kernel"
	"posefuse/sensors/modality"
)

// Samples are prepared samples with their truth, for calibration.
type Samples struct {
	Batch *Batch // Target and all inputs the network takes; Present is not read
	N     int
}

// part returns samples lo..hi-1 of b.
func (b *Batch) part(c Config, lo, hi int) *Batch {
	cut := func(x []float32, width int) []float32 {
		if len(x) == 0 {
			return nil
		}
		return x[lo*width : hi*width]
	}
	return &Batch{Camera: cut(b.Camera, c.CameraValues()), LiDAR: cut(b.LiDAR, c.LiDAR.Points*LiDARPointDim),
		Radar: cut(b.Radar, c.Radar.Points*RadarPointDim), CSI: cut(b.CSI, CSIValues), Target: cut(b.Target, OutputDim)}
}

// QuantizeOptions configure Quantize.
type QuantizeOptions struct {
	Mode     Precision
	Clip     string // ClipMSE if empty
	Data     string // what the samples are, for the card
	Progress func(share float64)
	// TimedRuns is how often each precision is timed; 15 if 0.
	TimedRuns int
}

// Quantize chooses the scales of a precision on the calibration samples and
// measures on the held-out ones what it costs against float32, and the time
// it takes. The network stays as it is.
func Quantize(n *Network, calibration, heldOut Samples, opt QuantizeOptions) (*Quantization, error) {
	if calibration.N < 1 || heldOut.N < 1 {
		return nil, fmt.Errorf("quantize: %d samples to calibrate on and %d to evaluate on, want some of both", calibration.N, heldOut.N)
	}
	if opt.Progress == nil {
		opt.Progress = func(float64) {}
	}
	q := &Quantization{Mode: opt.Mode, Data: opt.Data, HeldOut: heldOut.N, CPU: kernel.Path(), Threads: kernel.Threads()}
	if _, err := opt.Mode.format(); err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	total := float64(2 * heldOut.N)
	if opt.Mode == Int8 {
		total += float64(calibration.N)
		q.Samples, q.Clip = calibration.N, opt.Clip
		if q.Clip == "" {
			q.Clip = ClipMSE
		}
		cal, err := NewCalibrator(n)
		if err != nil {
			return nil, fmt.Errorf("quantize: %w", err)
		}
		for i := range calibration.N {
			if err = cal.Observe(calibration.Batch.CSI[i*CSIValues:(i+1)*CSIValues], 1); err != nil {
				return nil, fmt.Errorf("quantize: %w", err)
			}
			opt.Progress(float64(i+1) / total)
		}
		if q.InputScales, err = cal.InputScales(q.Clip); err != nil {
			return nil, fmt.Errorf("quantize: %w", err)
		}
	}
	if err := q.validate(n.Config); err != nil {
		return nil, err
	}
	float, err := NewRuntimeWith(n, RuntimeOptions{Precision: Float32})
	if err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	defer func() { _ = float.Close() }() // only returns memory
	low, err := NewRuntimeWith(n, RuntimeOptions{Precision: q.Mode, InputScales: q.InputScales, Emulate: true})
	if err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	defer func() { _ = low.Close() }() // only returns memory
	if err := q.compare(n.Config, float, low, heldOut, func(done int) {
		opt.Progress(1 - float64(2*(heldOut.N-done))/total)
	}); err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	if !q.Mode.Native() {
		return q, nil // the emulation's time says nothing
	}
	if err := q.time(n.Config, float, low, heldOut, cmp.Or(opt.TimedRuns, 15)); err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	return q, nil
}

// compare fills in the errors of both precisions.
func (q *Quantization) compare(c Config, float, low *Runtime, s Samples, done func(int)) error {
	const size = 8
	var a, b [size * OutputDim]float32
	for lo := 0; lo < s.N; lo += size {
		hi := min(lo+size, s.N)
		part := s.Batch.part(c, lo, hi)
		if err := float.InferBatch(part, hi-lo, a[:(hi-lo)*OutputDim]); err != nil {
			return err
		}
		if err := low.InferBatch(part, hi-lo, b[:(hi-lo)*OutputDim]); err != nil {
			return err
		}
		add := func(float, mode, moved *float64) {
			for i := range hi - lo {
				x, y, truth := a[i*OutputDim:(i+1)*OutputDim], b[i*OutputDim:(i+1)*OutputDim], part.Target[i*OutputDim:(i+1)*OutputDim]
				*float += 1000 * MPJPE(x, truth) / float64(s.N)
				*mode += 1000 * MPJPE(y, truth) / float64(s.N)
				*moved += 1000 * MPJPE(y, x) / float64(s.N)
			}
		}
		add(&q.MPJPEFloat32MM, &q.MPJPEMM, &q.DisplacementMM)
		if err := float.Coalition(1<<modality.CSI, hi-lo, a[:(hi-lo)*OutputDim]); err != nil {
			return err
		}
		if err := low.Coalition(1<<modality.CSI, hi-lo, b[:(hi-lo)*OutputDim]); err != nil {
			return err
		}
		add(&q.CSIFloat32MM, &q.CSIMM, &q.CSIMovesMM)
		done(hi)
	}
	q.DifferenceMM = q.MPJPEMM - q.MPJPEFloat32MM
	if math.IsNaN(q.DifferenceMM) {
		return fmt.Errorf("the poses are not finite in %s (MPJPE %g mm) or float32 (%g mm): use another checkpoint", q.Mode, q.MPJPEMM, q.MPJPEFloat32MM)
	}
	return nil
}

// time fills in the median time of one sample in both precisions, run in turns
// so that other work on the machine meets both.
func (q *Quantization) time(c Config, float, low *Runtime, s Samples, runs int) error {
	b := s.Batch.part(c, 0, 1)
	in := &Input{Present: c.Mask(), Camera: b.Camera, LiDAR: b.LiDAR, Radar: b.Radar, CSI: b.CSI}
	var out Output
	var ms [2][]float64
	for i := range runs + 1 {
		for k, r := range []*Runtime{float, low} {
			start := time.Now()
			if err := r.Infer(in, &out); err != nil {
				return err
			}
			if i > 0 { // the first run makes the buffers
				ms[k] = append(ms[k], time.Since(start).Seconds()*1e3)
			}
		}
	}
	for k, to := range []*float64{&q.MedianFloat32MS, &q.MedianMS} {
		slices.Sort(ms[k])
		*to = ms[k][runs/2]
	}
	q.TimeRatio = q.MedianMS / q.MedianFloat32MS
	return nil
}
