package session

import (
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestFaultyDisk: a disk that is full, read-only, without space or stuck is told
// within a second, costs what it did not take and nothing before, and recording
// goes on in a new segment.
func TestFaultyDisk(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code string
	}{
		{"full", syscall.ENOSPC, "disk_full"}, {"read-only", syscall.EROFS, "read_only"}, {"broken", syscall.EIO, "unwritable"}, {"below the floor", nil, "disk_full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, d, _ := newTest(t)
				i := start(t, r)
				offerSamples(r, 0, 25)
				d.set(c.err, nil)
				if c.err == nil {
					d.mu.Lock()
					d.left = 1 << 20
					d.mu.Unlock()
				}
				offerSamples(r, 25, 10)
				time.Sleep(50 * time.Millisecond)
				if s := r.Status(); s.Code != c.code || s.Text == "" {
					t.Errorf("after a second: %+v", s)
				}
				offerSamples(r, 35, 10)
				d.set(nil, nil)
				d.mu.Lock()
				d.left = 1 << 40
				d.mu.Unlock()
				time.Sleep(2500 * time.Millisecond)
				offerSamples(r, 45, 10)
				if s := r.Status(); s.Code == c.code || s.Dropped["disk"] == 0 {
					t.Errorf("after the disk is back: %+v", s)
				}
				before := r.Status()
				done, err := r.Stop()
				if err != nil || len(done.Segments) != 2 || done.State != Complete {
					t.Fatalf("%v, %+v", err, done)
				}
				n, by := done.Messages()
				if offered := uint64(55 * 5); n-by[TopicSkeleton]-by[TopicClock]+done.Dropped["disk"] != offered || before.Messages > n {
					t.Errorf("%d messages %v and %v dropped, offered %d; before the end %+v", n, by, done.Dropped, offered, before)
				}
				got := lidarSeqs(t, filepath.Join(r.cfg.Root, i.ID))
				if len(got) < 30 || !slices.Equal(got[:20], count(0, 20)) || !slices.Equal(got[len(got)-10:], count(45, 55)) {
					t.Errorf("sweeps %v", got)
				}
				if names, _ := filepath.Glob(filepath.Join(r.cfg.Root, i.ID, "*"+partExt)); len(names) > 0 {
					t.Errorf("left over: %v", names)
				}
			})
		})
	}
}

// TestStuckDisk: a disk that takes nothing for a while holds nobody up.
func TestStuckDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newTest(t)
		i := start(t, r)
		offerSamples(r, 0, 5)
		stall := make(chan struct{})
		d.set(nil, stall)
		before := time.Now()
		offerSamples(r, 5, 250)
		if took := time.Since(before); took != 25*time.Second { // what the test itself waits
			t.Errorf("250 rounds took %v", took)
		}
		if s := r.Status(); s.Code != "slow" || s.Dropped["queue_full"] == 0 {
			t.Errorf("%+v", s)
		}
		d.set(nil, nil)
		close(stall)
		time.Sleep(2 * time.Second)
		if s := r.Status(); s.Code != "dropping" {
			t.Errorf("%+v", s)
		}
		time.Sleep(lossFor)
		done, err := r.Stop()
		if err != nil {
			t.Fatal(err)
		}
		n, by := done.Messages()
		if offered := uint64(255 * 5); n-by[TopicSkeleton]-by[TopicClock]+done.Dropped["queue_full"] != offered {
			t.Errorf("%d messages %v and %v dropped, offered %d", n, by, done.Dropped, offered)
		}
		if c, err := Verify(filepath.Join(r.cfg.Root, i.ID)); err != nil || c.Torn {
			t.Errorf("%v, %+v", err, c)
		}
	})
}

// TestStopOnAFullDisk leaves a session that can be recovered.
func TestStopOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newTest(t)
		i := start(t, r)
		offerSamples(r, 0, 25)
		d.set(syscall.ENOSPC, nil)
		if _, err := r.Stop(); err != nil {
			t.Fatal(err) // the part was made whole: its disk is the real one
		}
		dir := filepath.Join(r.cfg.Root, i.ID)
		if got := lidarSeqs(t, dir); len(got) < 20 || !slices.Equal(got, count(0, len(got))) {
			t.Errorf("sweeps %v", got)
		}
		if c, err := Verify(dir); err != nil || c.Torn {
			t.Errorf("%v, %+v", err, c)
		}
	})
}
