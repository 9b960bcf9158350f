package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/recording/session/mcap"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/skeleton"
)

// testClock is the room clock of tests: time since it was made, within synctest.
type testClock struct {
	start time.Time
	mu    sync.Mutex
	step  time.Duration // of the wall clock
}

func (c *testClock) NowNS() int64 { return int64(time.Since(c.start)) }
func (c *testClock) WallAt(ns int64) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.start.Add(c.step + time.Duration(ns)).UTC()
}

// badDisk is a disk of which tests decide what it does.
type badDisk struct {
	osDisk
	mu    sync.Mutex
	left  int64         // free bytes that it tells
	err   error         // of create, Write and Sync
	stall chan struct{} // Sync waits for it, if not nil
}

func (d *badDisk) set(err error, stall chan struct{}) {
	d.mu.Lock()
	d.err, d.stall = err, stall
	d.mu.Unlock()
}

func (d *badDisk) state() (stall chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stall, d.err
}

func (d *badDisk) free(string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left, nil
}

func (d *badDisk) create(path string) (file, error) {
	if _, err := d.state(); err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f, err := d.osDisk.create(path)
	return &badFile{f, d}, err
}

type badFile struct {
	file
	d *badDisk
}

func (f *badFile) Write(b []byte) (int, error) {
	if _, err := f.d.state(); err != nil {
		n, _ := f.file.Write(b[:len(b)/2]) // as a full disk does
		return n, err
	}
	return f.file.Write(b)
}

func (f *badFile) Sync() error {
	stall, err := f.d.state()
	if stall != nil {
		<-stall
	}
	return errors.Join(err, f.file.Sync())
}

// newTest returns a recorder on a disk that can be spoilt.
func newTest(t *testing.T) (*Recorder, *badDisk, *testClock) {
	d := &badDisk{left: 1 << 40}
	c := &testClock{start: time.Now()}
	return NewRecorder(Config{Root: filepath.Join(t.TempDir(), Folder), FreeBytes: 1 << 30, Clock: c, disk: d}), d, c
}

var agreed = Request{Subject: "P017", Consent: true, Note: "knee"}

func start(t *testing.T, r *Recorder) Info {
	t.Helper()
	i, err := r.Start(agreed, Room{Name: "room1", Version: "1.2.3", Setup: []byte(`{"a":1}`), Background: []byte("learned")})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// offerSamples hands over one sample of each kind at 10 Hz.
func offerSamples(r *Recorder, from, n int) {
	for i := from; i < from+n; i++ {
		now := r.cfg.Clock.NowNS()
		for m := range modality.Count {
			s := &sensors.Sample{Modality: m, Seq: uint64(i), ReceiveNS: now, CaptureNS: now - 1e6}
			switch m {
			case modality.Camera:
				s.Keypoints = &sensors.Keypoints{}
			case modality.LiDAR:
				s.Cloud = &sensors.PointCloud{XYZ: make([]float32, 300)}
			case modality.Radar:
				s.Radar = &sensors.RadarFrame{Points: make([]sensors.RadarPoint, 3)}
			case modality.CSI:
				s.CSI = &sensors.CSIPacket{Antennas: 1, Subcarriers: 3, H: make([]complex64, 3)}
			}
			r.Sample(s)
		}
		r.Pose(fmt.Appendf(nil, `{"schema":"posefuse.pose.v1","seq":%d}`, i), now, "room", &skeleton.Pose{})
		time.Sleep(100 * time.Millisecond)
	}
}

// lidarSeqs returns the sequence numbers of the sweeps of a session.
func lidarSeqs(t testing.TB, dir string) (seqs []int) {
	t.Helper()
	last := int64(-1)
	_, _, err := Visit(dir, Part{Topics: []string{TopicLiDAR}}, func(e *Event) error {
		if e.AtNS < last {
			t.Errorf("sweep %d is at %d after %d", e.Sample.Seq, e.AtNS, last)
		}
		last = e.AtNS
		seqs = append(seqs, int(e.Sample.Seq))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seqs
}

func count(from, to int) (out []int) {
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// snapshot returns every file below a folder.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %q\n", path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRecordAndRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, clock := newTest(t)
		i := start(t, r)
		r.SetRules(Rules{Segment: 2 * time.Second}) // while it records
		offerSamples(r, 0, 20)
		clock.mu.Lock()
		clock.step = -3 * time.Hour // NTP
		clock.mu.Unlock()
		offerSamples(r, 20, 20)
		r.Exercise([]byte(`{"schema":"posefuse.exercise.event.v1"}`))
		r.Exercise([]byte(`no JSON`))
		dir := filepath.Join(r.cfg.Root, i.ID)
		if s := r.Status(); s.State != StateRecording || s.Code != "ok" || s.Messages < 100 || s.Subject != "P017" {
			t.Errorf("%+v", s)
		}
		if err := refuseLive(dir); !errors.Is(err, ErrBusy) {
			t.Errorf("deleting it: %v", err)
		}
		done, err := r.Stop()
		if err != nil || done.State != Complete || done.Stopped == nil || len(done.Segments) < 2 || len(done.Dropped) != 0 {
			t.Fatalf("%v, %+v", err, done)
		}
		if got := lidarSeqs(t, dir); !slices.Equal(got, count(0, 40)) {
			t.Errorf("sweeps %v", got)
		}
		n, by := done.Messages()
		want := map[string]uint64{TopicCamera: 40, TopicLiDAR: 40, TopicRadar: 40, TopicCSI: 40, TopicPose: 40, TopicSkeleton: 40, TopicExercise: 1}
		for topic, k := range want {
			if by[topic] != k {
				t.Errorf("%s: %d, want %d", topic, by[topic], k)
			}
		}
		if c, bad := Verify(dir); bad != nil || c.Torn || c.Messages != n || len(c.Problems) > 0 {
			t.Errorf("verify: %v, %+v", bad, c)
		}
		before := snapshot(t, dir)
		if c, bad := Recover(dir); bad != nil || c.Changed || snapshot(t, dir) != before {
			t.Errorf("recover of a whole session: %v, %+v", bad, c)
		}
		if b, bad := Background(dir); bad != nil || string(b) != "learned" {
			t.Errorf("background %q, %v", b, bad)
		}
		// Without session.json the segments say what they are.
		if bad := os.Remove(filepath.Join(dir, infoFile)); bad != nil {
			t.Fatal(bad)
		}
		if c, bad := Recover(dir); bad != nil || !c.Changed || c.Torn || c.Messages != n {
			t.Errorf("without %s: %v, %+v", infoFile, bad, c)
		}
		again, err := Read(dir)
		if err != nil || again.Subject != "P017" || !again.Consent.Given || again.State != Recovered || again.AnchorNS != done.AnchorNS || string(again.Setup) != "{\n    \"a\": 1\n  }" {
			t.Errorf("%v, %+v, setup %s", err, again, again.Setup)
		}
		if s := r.Status(); s.State != StateIdle || s.Session != i.ID {
			t.Errorf("%+v", s)
		}
	})
}

// TestRulesOfTheNextStart: what is too old by new rules goes with the next session.
func TestRulesOfTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := newTest(t)
		old := start(t, r)
		if _, err := r.Stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * 24 * time.Hour)
		for _, c := range []struct {
			days int
			left bool
		}{{0, true}, {30, true}, {7, false}} {
			r.SetRules(Rules{Keep: Retention{Days: c.days}, Segment: time.Minute})
			start(t, r)
			if _, err := r.Stop(); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(filepath.Join(r.cfg.Root, old.ID)); (err == nil) != c.left {
				t.Errorf("kept for %d days: %v", c.days, err)
			}
		}
	})
}

func TestStartRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newTest(t)
		for _, c := range []struct {
			q    Request
			says string
		}{
			{Request{Consent: true}, "pseudonym"},
			{Request{Subject: "Erika Mustermann", Consent: true}, "pseudonym"},
			{Request{Subject: "../P1", Consent: true}, "pseudonym"},
			{Request{Subject: "P1"}, "consent"},
			{Request{Subject: "P1", Consent: true, Note: strings.Repeat("x", 501)}, "note"},
		} {
			if _, err := r.Start(c.q, Room{}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v: %v", c.q, err)
			}
		}
		if _, err := r.Stop(); !errors.Is(err, ErrInvalid) {
			t.Errorf("stop of nothing: %v", err)
		}
		d.set(syscall.EROFS, nil)
		if _, err := r.Start(agreed, Room{}); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "writable") {
			t.Errorf("read-only: %v", err)
		}
		d.set(nil, nil)
		if list, _ := List(r.cfg.Root); len(list) != 0 {
			t.Errorf("left over: %+v", list)
		}
		start(t, r)
		if _, err := r.Start(agreed, Room{}); !errors.Is(err, ErrBusy) {
			t.Errorf("second session: %v", err)
		}
		other := NewRecorder(r.cfg)
		if _, err := other.Start(agreed, Room{}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "another recorder") {
			t.Errorf("second recorder in the folder: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		start(t, other)
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRecoverDamage: damaged segments are written anew, the rest stays.
func TestRecoverDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := newTest(t)
		r.SetRules(Rules{Segment: 3 * time.Second})
		i := start(t, r)
		offerSamples(r, 0, 60)
		done, err := r.Stop()
		if err != nil || len(done.Segments) < 2 {
			t.Fatalf("%v, %+v", err, done)
		}
		dir := filepath.Join(r.cfg.Root, i.ID)
		first := filepath.Join(dir, done.Segments[0].File)
		b, err := os.ReadFile(first)
		if err != nil {
			t.Fatal(err)
		}
		var at []int64 // of the chunks
		for k := 0; k+40 < len(b); k++ {
			if b[k] == 6 && string(b[k+41:k+45]) == "zstd" {
				at = append(at, int64(k))
			}
		}
		clear(b[at[1]+60 : at[1]+90])
		if err = os.WriteFile(first, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, bad := Verify(dir); bad != nil || !c.Torn || c.Lost == 0 {
			t.Errorf("verify: %v, %+v", bad, c)
		}
		c, err := Recover(dir)
		n, _ := done.Messages()
		if err != nil || !c.Changed || !c.Torn || c.Lost == 0 || c.Messages+c.Lost != n {
			t.Fatalf("%v, %+v, of %d", err, c, n)
		}
		if _, bad := os.Stat(first + damagedExt); bad != nil {
			t.Error(bad)
		}
		before := snapshot(t, dir)
		if again, bad := Recover(dir); bad != nil || again.Changed || again.Torn || snapshot(t, dir) != before {
			t.Errorf("twice: %v, %+v", bad, again)
		}
		if i, bad := Read(dir); bad != nil || i.State != Recovered || i.Lost != c.Lost {
			t.Errorf("%v, %+v", bad, i)
		}
		// A later version and foreign bytes are told, and stay as they are.
		for name, b := range map[string]string{"000008.mcap": "\x89MCAP1\r\nabcdefgh", "000009.mcap": "#ROSBAG V2.0\nabc"} {
			if bad := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o600); bad != nil {
				t.Fatal(bad)
			}
		}
		c, err = Recover(dir)
		if err != nil || !c.Torn || c.Changed || len(c.Problems) != 2 || !strings.Contains(strings.Join(c.Problems, "\n"), "another major version") {
			t.Errorf("%v, %+v", err, c)
		}
		if _, _, err = Visit(dir, Part{}, func(*Event) error { return nil }); !errors.Is(err, mcap.ErrVersion) {
			t.Errorf("visit: %v", err)
		}
	})
}

// TestTidy deletes the oldest, by age and by size, and never what is not done.
func TestTidy(t *testing.T) {
	root := t.TempDir()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	add := func(id string, days int, size int64, state string) {
		dir := filepath.Join(root, id)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		i := Info{Schema: Schema, ID: id, State: state, Started: now.Add(-time.Duration(days) * 24 * time.Hour), Segments: []Segment{{File: "000001.mcap", Bytes: size}}}
		if err := i.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	add("a", 40, 10, Recording) // a crash left it
	add("b", 40, 10, Complete)
	add("c", 20, 60, Complete)
	add("d", 10, 50, Recovered)
	add("e", 1, 30, Complete)
	if err := os.Mkdir(filepath.Join(root, "f"), 0o700); err != nil { // says nothing
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, deletedPrefix+"z", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := Tidy(root, Retention{Days: 30, Bytes: 100}, now)
	if err != nil || !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("%v, deleted %v", err, got)
	}
	left, _ := os.ReadDir(root)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if want := []string{lockFile, "a", "d", "e", "f"}; !slices.Equal(names, want) {
		t.Errorf("left %v, want %v", names, want)
	}
	if got, err = Tidy(root, Retention{}, now.Add(1000*24*time.Hour)); err != nil || len(got) != 0 {
		t.Errorf("without limits: %v, %v", err, got)
	}
	if err := Delete(filepath.Join(root, "f")); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete of a folder that is no session: %v", err)
	}
	if err := Delete(filepath.Join(root, "e")); err != nil {
		t.Error(err)
	}
}
