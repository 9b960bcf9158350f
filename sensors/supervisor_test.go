package sensors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/sensors/modality"
	"posefuse/setting"
)

type fakeClock struct{ start time.Time }

func (c fakeClock) NowNS() int64 { return int64(time.Since(c.start)) }

type sourceFunc func(ctx context.Context, sink Sink) error

func (f sourceFunc) Run(ctx context.Context, sink Sink) error { return f(ctx, sink) }

func cloud() *Sample { return &Sample{Modality: modality.LiDAR, Cloud: &PointCloud{}} }

func checkLaw(t *testing.T, s Snapshot) {
	t.Helper()
	var sum uint64
	for _, n := range s.Outcomes {
		sum += n
	}
	if sum != s.In {
		t.Errorf("in is %d, the outcomes sum to %d: %v", s.In, sum, s.Outcomes)
	}
}

// ticks emits at 10 Hz for d, then waits for ctx if then is nil, else fails.
func ticks(ctx context.Context, sink Sink, d time.Duration, then error) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		sink.Emit(cloud())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
	if then == nil {
		<-ctx.Done()
	}
	return then
}

func TestSupervisorStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := 0
		src := sourceFunc(func(ctx context.Context, sink Sink) error {
			run++
			switch run {
			case 1: // live, then silent, then broken
				if err := ticks(ctx, sink, 2*time.Second, errors.New("x")); err == nil {
					return nil
				}
				time.Sleep(2 * time.Second)
				return fmt.Errorf("cable: %w", fs.ErrNotExist)
			case 2:
				var none []int
				none[run]++
			case 3:
				return nil
			}
			return ticks(ctx, sink, time.Hour, nil)
		})
		type change struct {
			at    time.Duration
			state State
		}
		start := time.Now()
		var changes []change
		n := 0
		s := NewSupervisor("lidar", modality.LiDAR, src, SupervisorConfig{OnChange: func(x Snapshot) {
			changes = append(changes, change{time.Since(start), x.State})
		}}, fakeClock{start}, func(*Sample) { n++ })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()

		time.Sleep(1950 * time.Millisecond)
		if x := s.Snapshot(); x.State != Live || x.RateHz < 9.9 || x.RateHz > 10.1 || !x.HasSample {
			t.Errorf("after 2 s: %+v", x)
		}
		time.Sleep(1500 * time.Millisecond)
		if x := s.Snapshot(); x.State != Stale || x.RateHz > 7 {
			t.Errorf("silent: %+v", x)
		}
		time.Sleep(600 * time.Millisecond) // failed at 4 s
		x := s.Snapshot()
		if x.State != Down || !strings.Contains(x.LastError, "cable") || !strings.Contains(x.NextStep, "plugged in") {
			t.Errorf("failed: %+v", x)
		}
		time.Sleep(100 * time.Millisecond) // panicked at 4.1 s
		x = s.Snapshot()
		if x.State != Down || !strings.Contains(x.LastError, "panicked") || !strings.Contains(x.LastError, "supervisor_test.go") {
			t.Errorf("panicked: %+v", x)
		}
		time.Sleep(2 * time.Second)
		x = s.Snapshot()
		if x.State != Live || x.Restarts != 3 || x.LastError == "" {
			t.Errorf("recovered: %+v", x)
		}
		checkLaw(t, x)
		if err := s.Run(ctx); err == nil {
			t.Error("a second Run was accepted")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		x = s.Snapshot()
		if x.State != Off || x.Outcomes[OutcomeSample] != uint64(n) || n == 0 {
			t.Errorf("ended: %+v, %d samples", x, n)
		}
		// 4 s failure + 100 ms (panic) + 200 ms (stopped) + 400 ms
		want := []change{
			{0, Live}, {2400 * time.Millisecond, Stale}, {4 * time.Second, Down},
			{4700 * time.Millisecond, Live}, {6150 * time.Millisecond, Off},
		}
		if len(changes) > 0 && changes[0].state == Starting {
			changes = changes[1:]
		}
		if !slices.Equal(changes, want) {
			t.Errorf("changes %v, want %v", changes, want)
		}
	})
}

func TestSupervisorStartGraceAndSilentRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var healthy atomic.Bool
		src := sourceFunc(func(ctx context.Context, _ Sink) error {
			if !healthy.Load() {
				return fmt.Errorf("udp 127.0.0.1:7502 is %w", setting.ErrInUse)
			}
			<-ctx.Done()
			return nil
		})
		s := NewSupervisor("lidar", modality.LiDAR, src, SupervisorConfig{}, fakeClock{time.Now()}, func(*Sample) {})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = s.Run(ctx) }()
		time.Sleep(20*time.Second + time.Millisecond)
		x := s.Snapshot()
		// 100+200+400+800 ms, then one each second
		if x.State != Down || x.Restarts < 20 || x.Restarts > 23 || x.NextStep == "" {
			t.Errorf("port in use: %+v", x)
		}
		healthy.Store(true)
		time.Sleep(2 * time.Second)
		if x := s.Snapshot(); x.State != Stale {
			t.Errorf("listening without data after a failure: %v", x.State)
		}
		cancel()
		synctest.Wait()

		ctx, cancel2 := context.WithCancel(t.Context())
		defer cancel2()
		s = NewSupervisor("lidar", modality.LiDAR, src, SupervisorConfig{}, fakeClock{time.Now()}, func(*Sample) {})
		go func() { _ = s.Run(ctx) }()
		time.Sleep(2900 * time.Millisecond)
		if x := s.Snapshot(); x.State != Starting {
			t.Errorf("within the grace: %v", x.State)
		}
		time.Sleep(200 * time.Millisecond)
		if x := s.Snapshot(); x.State != Stale {
			t.Errorf("after the grace: %v", x.State)
		}
	})
}

// TestSupervisorNobodyIsLive: a sensor that sees nobody works.
func TestSupervisorNobodyIsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left Sink
		src := sourceFunc(func(ctx context.Context, sink Sink) error {
			left = sink
			for range 50 {
				time.Sleep(100 * time.Millisecond)
				sink.Count(OutcomeNobody, 1)
			}
			for range 50 {
				time.Sleep(100 * time.Millisecond)
				sink.Count("bad_image", 1)
			}
			return fmt.Errorf("gone: %w", syscall.ENODEV)
		})
		s := NewSupervisor("camera", modality.Camera, src, SupervisorConfig{}, fakeClock{time.Now()}, func(*Sample) { t.Error("a sample of nobody") })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = s.Run(ctx) }()
		time.Sleep(5 * time.Second)
		if x := s.Snapshot(); x.State != Live || x.RateHz < 9.9 || x.RateHz > 10.1 || x.HasSample {
			t.Errorf("nobody in view: %+v", x)
		}
		time.Sleep(time.Second)
		if x := s.Snapshot(); x.State != Stale {
			t.Errorf("only broken readings: %v", x.State)
		}
		time.Sleep(4*time.Second + time.Millisecond) // failed
		left.Count(OutcomeNobody, 1)
		if x := s.Snapshot(); x.State != Down || x.Outcomes[OutcomeNobody] != 51 {
			t.Errorf("counted by a run that had ended: %+v", x)
		}
	})
}

func TestSupervisorCountsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept Sink
		src := sourceFunc(func(ctx context.Context, sink Sink) error {
			kept = sink
			sink.Emit(nil)
			sink.Emit(&Sample{Modality: modality.CSI, CSI: &CSIPacket{}})
			sink.Emit(&Sample{Modality: modality.LiDAR})
			sink.Emit(&Sample{Modality: modality.LiDAR, Cloud: &PointCloud{}, CSI: &CSIPacket{}})
			sink.Emit(cloud())
			for i := range 200 {
				sink.Count(fmt.Sprint("bad_", i), 2)
			}
			<-ctx.Done()
			return nil
		})
		got := 0
		s := NewSupervisor("lidar", modality.LiDAR, src, SupervisorConfig{}, fakeClock{time.Now()}, func(*Sample) { got++ })
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		kept.Emit(cloud())
		x := s.Snapshot()
		checkLaw(t, x)
		if got != 1 || x.Outcomes[OutcomeSample] != 1 || x.Outcomes[OutcomeInvalid] != 4 || x.In != 406 || len(x.Outcomes) > maxOutcomes+1 || x.State != Off {
			t.Errorf("%d samples, %+v", got, x)
		}
	})
}

func TestNextStep(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		advice bool
	}{
		"no access":      {fmt.Errorf("read: %w", fs.ErrPermission), true},
		"no such host":   {fmt.Errorf("connect: %w", &net.DNSError{Err: "no such host", Name: "camera", IsNotFound: true}), true},
		"silent":         {fmt.Errorf("no picture for 10s: %w", context.DeadlineExceeded), true},
		"says it itself": {fmt.Errorf("read: %w", Told(fs.ErrPermission)), false},
		"a setting":      {fmt.Errorf("sensor x: %w", &setting.Problem{Key: "path", Err: fs.ErrPermission}), false},
		"a port":         {fmt.Errorf("sensor x: %w", setting.ListenError("listen", "127.0.0.1:80", syscall.EACCES)), false},
	} {
		if step := NextStep(c.err); (step != "") != c.advice {
			t.Errorf("%s: advice %q", name, step)
		}
	}
}
