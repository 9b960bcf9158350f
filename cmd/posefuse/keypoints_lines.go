package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/camera"
)

// lineSink prints a keypoint line per sample. Its clock is the wall clock as it
// was at the start, so that a step of it does not show.
type lineSink struct {
	out   io.Writer
	begin time.Time
	ended <-chan struct{} // after which nothing counts
	stop  context.CancelCauseFunc

	mu       sync.Mutex
	buf      []byte
	offsetNS int64 // wall clock minus the camera's; of the first sample
	known    bool
	counts   map[string]uint64 // outcomes that gave no line, but for nobody
}

// NowNS implements sensors.Sink.
func (s *lineSink) NowNS() int64 { return s.begin.UnixNano() + int64(time.Since(s.begin)) }

// Count implements sensors.Sink.
func (s *lineSink) Count(outcome string, n uint64) {
	if outcome == sensors.OutcomeNobody {
		return
	}
	select {
	case <-s.ended:
		return // what was on its way when the command was told to stop
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[outcome] += n
}

// Emit implements sensors.Sink.
func (s *lineSink) Emit(x *sensors.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := camera.Message{CaptureNS: x.ReceiveNS, Seq: x.Seq, Keypoints: *x.Keypoints}
	if x.HasDevice {
		// The camera's own clock runs evenly, but may count from its start.
		if !s.known || x.Restarted {
			s.offsetNS, s.known = x.ReceiveNS-x.DeviceNS, true
		}
		m.CaptureNS = x.DeviceNS + s.offsetNS
	}
	line, err := camera.Encode(s.buf[:0], &m)
	if err != nil {
		s.counts["unprintable"]++
		return
	}
	s.buf = line
	if _, err := s.out.Write(line); err != nil {
		s.stop(fmt.Errorf("write a keypoint line: %w", err))
	}
}

func total(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// inWords lists outcomes with their numbers.
func inWords(counts map[string]uint64) string {
	var words []string
	for _, outcome := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d %s", counts[outcome], outcome))
	}
	return strings.Join(words, ", ")
}
