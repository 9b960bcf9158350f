package replay

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/sensors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// storedClip is a clip as a folder holds it: plausible random numbers that
// depend on clip and frame.
type storedClip struct {
	key    recording.Key
	frames int
	empty  int // frame without any data, -1 for none
	broken int // frame that cannot be read, -1 for none
}

func (c storedClip) Key() recording.Key                { return c.key }
func (c storedClip) Len() int                          { return c.frames }
func (c storedClip) Truth(int) (recording.Pose, error) { return recording.Pose{}, nil }
func (c storedClip) csiAt(i int) *[3420]complex128     { return storedCSI(c.key, i) }
func (c storedClip) random(i int, kind uint64) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(c.key.Subject*100+c.key.Activity), uint64(i)*16+kind))
}

var errBroken = errors.New("frame007.bin: file is truncated")

func (c storedClip) Frame(i int, f *recording.Frame) error {
	if i == c.broken {
		return errBroken
	}
	*f = recording.Frame{CSIAmp: make([]float64, 3420), CSIPhase: make([]float64, 3420)}
	for k := range f.CSIAmp {
		f.CSIAmp[k] = math.Inf(-1)
	}
	if i == c.empty {
		return nil
	}
	r := c.random(i, 0)
	for j := range f.RGB {
		f.RGB[j] = [2]float64{r.Float64() * 640, r.Float64() * 480}
	}
	for range 150 + r.IntN(150) {
		f.LiDAR = append(f.LiDAR, 2+2*r.Float64(), r.Float64()-0.5, r.Float64()-1)
	}
	for range r.IntN(40) {
		// MM-Fi's radar values come from float32.
		f.MmWave = append(f.MmWave, float64(float32(3+r.Float64())), float64(float32(r.Float64()-0.5)), float64(float32(r.Float64())),
			float64(float32(r.NormFloat64())), float64(float32(10+20*r.Float64())))
	}
	for k, v := range c.csiAt(i) {
		f.CSIAmp[k] = 20 * math.Log10(math.Hypot(real(v), imag(v)))
		f.CSIPhase[k] = math.Atan2(imag(v), real(v))
	}
	return nil
}

// storedCSI returns the integers of a frame, antenna x subcarrier x packet;
// some are zero.
func storedCSI(k recording.Key, i int) *[3420]complex128 {
	r := rand.New(rand.NewPCG(uint64(k.Subject*100+k.Activity), uint64(i)*16+9))
	var z [3420]complex128
	for n := range z {
		if r.IntN(50) > 0 {
			z[n] = complex(float64(r.IntN(483)-241), float64(r.IntN(483)-241))
		}
	}
	return &z
}

// clipSet is a data set of clips in memory.
type clipSet []recording.Clip

func (s clipSet) Describe() string { return "test clips" }
func (s clipSet) Keys() []recording.Key {
	var out []recording.Key
	for _, c := range s {
		out = append(out, c.Key())
	}
	return out
}

func (s clipSet) Open(k recording.Key) (recording.Clip, error) {
	for _, c := range s {
		if c.Key() == k {
			return c, nil
		}
	}
	return nil, errors.New("clip " + k.String() + " is missing")
}

func stored(subject, frames int) storedClip {
	return storedClip{key: recording.Key{Subject: subject, Activity: 12}, frames: frames, empty: -1, broken: -1}
}

// recorder is a sink that keeps everything.
type recorder struct {
	mu      sync.Mutex
	zero    time.Time
	samples []*sensors.Sample
	counts  map[string]uint64
	arrived chan struct{}
}

func newRecorder() *recorder {
	return &recorder{zero: time.Now(), counts: map[string]uint64{}, arrived: make(chan struct{}, 1)}
}

func (r *recorder) Emit(s *sensors.Sample) {
	r.mu.Lock()
	r.samples = append(r.samples, s)
	r.mu.Unlock()
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

func (r *recorder) Count(outcome string, n uint64) {
	r.mu.Lock()
	r.counts[outcome] += n
	r.mu.Unlock()
}

func (r *recorder) NowNS() int64 { return int64(time.Since(r.zero)) }

func (r *recorder) all() []*sensors.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*sensors.Sample(nil), r.samples...)
}

// waitFor waits until n samples have come.
func (r *recorder) waitFor(t *testing.T, n int) []*sensors.Sample {
	t.Helper()
	deadline := time.After(testenv.Patience)
	for {
		if got := r.all(); len(got) >= n {
			return got
		}
		select {
		case <-r.arrived:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("%d samples in %s, want %d; counts %v", len(r.samples), testenv.Patience, n, r.counts)
		}
	}
}

// drive runs a source until the test ends, again whenever it returns, as the
// supervisor does.
func drive(t *testing.T, src sensors.Source, sink sensors.Sink) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = src.Run(ctx, sink) // it fails while the fake is unplugged
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// play starts a player and returns a function that waits for its end.
func play(t *testing.T, cfg Config) (*Player, func()) {
	t.Helper()
	p, err := NewPlayer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return p, func() {
		t.Helper()
		select {
		case <-done:
		case <-time.After(testenv.Patience):
			t.Fatal("the play does not end")
		}
		for m, c := range p.Counts() {
			if c.Offered+c.Duplicated != c.Sent+c.Lost+c.Cut+c.Unsent {
				t.Errorf("%s: pieces disappear: %+v", m, c)
			}
		}
	}
}

// events collects the frames' capture times.
type events struct {
	mu   sync.Mutex
	list []FrameEvent
}

func (e *events) add(f FrameEvent) {
	e.mu.Lock()
	e.list = append(e.list, f)
	e.mu.Unlock()
}

func (e *events) all() []FrameEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]FrameEvent(nil), e.list...)
}
