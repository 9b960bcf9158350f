package sensors

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/sensors/modality"
)

func TestFindingsAndRecentCountsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left Sink
		src := sourceFunc(func(ctx context.Context, sink Sink) error {
			left = sink
			for range 10 {
				Tell(sink, Finding{Code: "two_senders", Text: "first"})
				Tell(sink, Finding{Code: "wrong_format", Text: "second"})
				Tell(sink, Finding{Code: "two_senders", Text: "first, again"})
				sink.Count("bad_length", 192)
				time.Sleep(100 * time.Millisecond)
			}
			<-ctx.Done()
			return nil
		})
		sup := NewSupervisor("lidar", modality.LiDAR, src, SupervisorConfig{}, fakeClock{time.Now()}, func(*Sample) {})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- sup.Run(ctx) }()
		time.Sleep(4 * time.Second)
		s := sup.Snapshot()
		if len(s.Findings) != 2 || s.Findings[0] != (Finding{Code: "two_senders", Text: "first, again"}) || s.Findings[1].Code != "wrong_format" {
			t.Errorf("findings %v", s.Findings)
		}
		if s.Recent["bad_length"] != 1920 {
			t.Errorf("recent %v", s.Recent)
		}
		time.Sleep(2 * FindingLasts)
		s = sup.Snapshot()
		if len(s.Findings) != 0 || s.Recent["bad_length"] != 0 || s.Outcomes["bad_length"] != 1920 {
			t.Errorf("later: findings %v, recent %v, outcomes %v", s.Findings, s.Recent, s.Outcomes)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		Tell(left, Finding{Code: "late", Text: "from a run that is over"})
		if s := sup.Snapshot(); len(s.Findings) != 0 {
			t.Errorf("after the run: %v", s.Findings)
		}
	})
}
