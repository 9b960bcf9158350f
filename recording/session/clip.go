package session

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

const (
	framePeriodNS = recording.FramePeriodMS * 1_000_000
	// nearNS is how far from its tick a sample may have been captured: half a
	// period and the jitter that the aligner allows.
	nearNS = framePeriodNS/2 + 10_000_000
	// blockNS is how much of a session is held at a time, besides what its edges
	// need; samples come late by less than lateNS.
	blockNS = 10_000_000_000
	lateNS  = 1_000_000_000
	// Packets of a frame, and how many of them must be real.
	csiPackets    = 10
	csiLeast      = 7
	csiAntennas   = 3
	csiSubcarrier = 114
)

// block is a part of a session: the samples of each sensor in order of capture.
type block struct {
	from, to int64 // ticks that it serves
	samples  [modality.Count][]*sensors.Sample
}

// block returns the part of the session that holds a tick's samples.
func (c *Clip) block(tickNS int64) (*block, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.blocks {
		if b != nil && tickNS >= b.from && tickNS < b.to {
			return b, nil
		}
	}
	b := &block{from: tickNS, to: tickNS + blockNS}
	part := Part{Topics: []string{TopicCamera, TopicLiDAR, TopicRadar, TopicCSI}, FromNS: max(b.from-nearNS, 1), ToNS: b.to + lateNS}
	_, _, err := Visit(c.dir, part, func(e *Event) error {
		if at := e.Sample.CaptureNS; at >= b.from-nearNS && at <= b.to+nearNS {
			b.samples[e.Sample.Modality] = append(b.samples[e.Sample.Modality], e.Sample)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, s := range b.samples {
		slices.SortStableFunc(s, func(a, b *sensors.Sample) int { return cmp.Compare(a.CaptureNS, b.CaptureNS) })
	}
	c.blocks = [2]*block{b, c.blocks[0]}
	return b, nil
}

// near returns the samples of a sensor that are at most nearNS from an instant.
func (b *block) near(m modality.Kind, atNS int64) []*sensors.Sample {
	s := b.samples[m]
	from := sort.Search(len(s), func(i int) bool { return s[i].CaptureNS >= atNS-nearNS })
	to := sort.Search(len(s), func(i int) bool { return s[i].CaptureNS > atNS+nearNS })
	return s[from:to]
}

// nearest returns the one of samples that is nearest to an instant.
func nearest(s []*sensors.Sample, atNS int64) *sensors.Sample {
	return slices.MinFunc(s, func(a, b *sensors.Sample) int { return cmp.Compare(distance(a, atNS), distance(b, atNS)) })
}

func distance(s *sensors.Sample, atNS int64) int64 { return max(s.CaptureNS-atNS, atNS-s.CaptureNS) }

// fill takes a sensor's values for a tick and reports false if there are none.
func (c *Clip) fill(b *block, m modality.Kind, tickNS int64, f *recording.Frame) bool {
	near := b.near(m, tickNS)
	if len(near) == 0 {
		return false
	}
	if m == modality.CSI {
		return fillCSI(near, tickNS, f)
	}
	s := nearest(near, tickNS)
	f.CaptureNS[m] = s.CaptureNS
	switch m {
	case modality.Camera:
		k := s.Keypoints
		if k.Width <= 0 || k.Height <= 0 {
			return false
		}
		for j, p := range k.XY {
			f.RGB[j] = [2]float64{p[0] * c.width / float64(k.Width), p[1] * c.height / float64(k.Height)}
		}
		f.Scores = append(f.Scores[:0], k.Score[:]...)
	case modality.LiDAR:
		f.LiDAR = f.LiDAR[:0]
		for _, v := range s.Cloud.XYZ {
			f.LiDAR = append(f.LiDAR, float64(v))
		}
	case modality.Radar:
		f.MmWave = f.MmWave[:0]
		for _, p := range s.Radar.Points {
			f.MmWave = append(f.MmWave, float64(p.X), float64(p.Y), float64(p.Z), float64(p.Doppler), float64(p.SNRdB))
		}
	case modality.CSI: // above
	}
	return true
}

// fillCSI takes the ten packets nearest to the tick; a missing one repeats its
// neighbour, as in the aligner's windows.
func fillCSI(near []*sensors.Sample, tickNS int64, f *recording.Frame) bool {
	for len(near) > csiPackets {
		if distance(near[0], tickNS) > distance(near[len(near)-1], tickNS) {
			near = near[1:]
		} else {
			near = near[:len(near)-1]
		}
	}
	if len(near) < csiLeast {
		return false
	}
	const n = csiAntennas * csiSubcarrier
	f.CSIAmp = slices.Grow(f.CSIAmp[:0], n*csiPackets)[:n*csiPackets]
	f.CSIPhase = slices.Grow(f.CSIPhase[:0], n*csiPackets)[:n*csiPackets]
	for p := range csiPackets {
		h := near[min(p, len(near)-1)].CSI.H
		if len(h) != n {
			return false
		}
		for i, z := range h {
			re, im := float64(real(z)), float64(imag(z))
			f.CSIAmp[i*csiPackets+p] = 10 * math.Log10(re*re+im*im)
			f.CSIPhase[i*csiPackets+p] = math.Atan2(im, re)
		}
	}
	f.CaptureNS[modality.CSI] = nearest(near, tickNS).CaptureNS
	return true
}

// leaveOut takes away what a frame had of a sensor.
func leaveOut(m modality.Kind, f *recording.Frame) {
	f.CaptureNS[m] = 0
	switch m {
	case modality.Camera:
		f.RGB, f.Scores = [17][2]float64{}, f.Scores[:0]
	case modality.LiDAR:
		f.LiDAR = f.LiDAR[:0]
	case modality.Radar:
		f.MmWave = f.MmWave[:0]
	case modality.CSI:
		f.CSIAmp, f.CSIPhase = f.CSIAmp[:0], f.CSIPhase[:0]
	}
}
