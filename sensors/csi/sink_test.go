package csi

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/sensors"
)

// collector is a sink that keeps everything.
type collector struct {
	mu      sync.Mutex
	samples []*sensors.Sample
	counts  map[string]uint64
	start   time.Time
	changed chan struct{}
}

func newCollector() *collector {
	return &collector{counts: map[string]uint64{}, start: time.Now(), changed: make(chan struct{}, 1)}
}

func (c *collector) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *collector) Emit(s *sensors.Sample) {
	c.mu.Lock()
	c.samples = append(c.samples, s)
	c.mu.Unlock()
	c.wake()
}

func (c *collector) Count(o string, n uint64) {
	c.mu.Lock()
	c.counts[o] += n
	c.mu.Unlock()
	c.wake()
}

func (c *collector) NowNS() int64 { return time.Since(c.start).Nanoseconds() }

func (c *collector) counters() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// until waits for a condition on samples and counters, and returns the samples.
func (c *collector) until(t *testing.T, what string, ok func(s []*sensors.Sample, counts map[string]uint64) bool) []*sensors.Sample {
	t.Helper()
	limit := time.After(testenv.Patience)
	for {
		c.mu.Lock()
		s := append([]*sensors.Sample(nil), c.samples...)
		counts := maps.Clone(c.counts)
		c.mu.Unlock()
		if ok(s, counts) {
			return s
		}
		select {
		case <-c.changed:
		case <-limit:
			t.Fatalf("no %s within %s: %d samples, counts %v", what, testenv.Patience, len(s), counts)
		}
	}
}

func (c *collector) wait(t *testing.T, n int) []*sensors.Sample {
	t.Helper()
	return c.until(t, "samples", func(s []*sensors.Sample, _ map[string]uint64) bool { return len(s) >= n })
}

// start runs a source; stop ends it and returns its error.
func start(t *testing.T, src sensors.Source, sink sensors.Sink) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	errc := make(chan error, 1)
	go func() { errc <- src.Run(ctx, sink) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case err = <-errc:
			case <-time.After(testenv.Patience):
				err = errors.New("run did not return")
			}
		})
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}
