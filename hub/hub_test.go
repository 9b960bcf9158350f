package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"posefuse/internal/hubtest"
	"posefuse/internal/testenv"
)

// house is a hub, and a room whose own server is a leaf node of it by a link that
// can be cut.
type house struct {
	hub  *server.Server
	link *hubtest.Link
	room *nats.Conn // of the room's daemon
	away atomic.Int64
}

// opt is less patient than a room is.
func (h *house) opt() Options {
	return Options{Retry: 50 * time.Millisecond, Ask: time.Second, Ack: time.Second, Away: func(error) { h.away.Add(1) }}
}

func newHouse(t *testing.T, edit func(string) string) *house {
	t.Helper()
	people, rooms := testenv.FreePort(t), testenv.FreePort(t)
	h := &house{hub: hubtest.Start(t, t.TempDir(), people, rooms, edit), link: hubtest.NewLink(t, rooms)}
	o := &server.Options{ServerName: "posefuse-room1", DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(), JetStreamDomain: "room1"}
	o.LeafNode.ReconnectInterval = 50 * time.Millisecond
	o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{{Scheme: "nats-leaf", User: url.UserPassword("room1", "room1-secret"), Host: fmt.Sprintf("127.0.0.1:%d", h.link.Port)}},
		DenyImports: []string{"$JS.API.>", "$SYS.>"}, DenyExports: []string{"$JS.API.>", "$SYS.>"}}}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(testenv.Patience) {
		t.Fatal("the room's server was not ready")
	}
	if h.room, err = nats.Connect("", nats.InProcessServer(s)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.room.Close)
	return h
}

func (h *house) desk(t *testing.T) *Desk {
	t.Helper()
	d, err := OpenDesk(t.Context(), h.room, Domain, h.opt())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (h *house) counter(t *testing.T, name string) *Counter {
	t.Helper()
	nc, err := nats.Connect(h.hub.ClientURL(), nats.UserInfo("room1-worker", "worker-secret"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("worker %s: %v", name, err)
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c, err := NewCounter(nc, name, h.opt())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// folder makes a folder of a few parts.
func folder(t *testing.T, seed uint64, bytesOf int) string {
	t.Helper()
	dir := t.TempDir()
	b := make([]byte, bytesOf)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
	write(t, dir, "000001.mcap", b)
	write(t, dir, "session.json", []byte(`{}`))
	return dir
}

func (h *house) post(t *testing.T, d *Desk, dir string) *Job {
	t.Helper()
	p, err := d.Send(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	j := &Job{ID: "job1", Room: "room1", Sessions: []Session{{"20261130T101500Z", p}}, Model: Model{Name: "edge", Version: "1"}}
	if err = errors.Join(d.Post(t.Context(), j), d.Post(t.Context(), j)); err != nil {
		t.Fatal(err)
	}
	return j
}

func take(t *testing.T, c *Counter) *Task {
	t.Helper()
	var task *Task
	testenv.Wait(t, "a job", func() bool {
		var err error
		if task, err = c.Take(t.Context(), 200*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		return task != nil
	})
	return task
}

// A job goes from the room to a worker, which is killed, to another, which goes on
// from what the first one kept, and its result comes back; in the middle of sending
// the link is down.
func TestJobThroughTheHub(t *testing.T) {
	down := 500 * time.Millisecond
	if testenv.Full() {
		down = time.Minute
	}
	h := newHouse(t, nil)
	none := h.counter(t, "early")
	if task, err := none.Take(t.Context(), 10*time.Millisecond); task != nil || err != nil {
		t.Fatalf("before the room has asked: %v, %v", task, err)
	}
	d := h.desk(t)
	dir := folder(t, 1, 3*partBytes+500)
	d.opt.BytesPerSecond = 20 << 20
	sent := make(chan struct{})
	time.AfterFunc(60*time.Millisecond, func() { // after a part or two
		h.link.Cut()
		time.Sleep(down)
		h.link.Mend()
		close(sent)
	})
	j := h.post(t, d, dir)
	testenv.Receive(t, "the link", sent)
	if w, err := d.Word(t.Context(), j.ID); w != nil || err != nil {
		t.Errorf("nobody has it, and its word is %+v, %v", w, err)
	}

	// The first worker fetches it, keeps a state and is silent from then on.
	one := h.counter(t, "one")
	first := take(t, one)
	if first.Job.Room != "room1" || first.Try != 1 || first.Words.Checkpoint != nil {
		t.Errorf("%+v", first)
	}
	got := filepath.Join(t.TempDir(), "session")
	if err := first.Store().Fetch(t.Context(), first.Job.Sessions[0].Parcel, got); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(tree(t, dir), tree(t, got)) {
		t.Error("the session arrives as another")
	}
	kept := folder(t, 2, 1000)
	if err := errors.Join(first.Tell(t.Context(), map[string]int{"epoch": 3}), first.Keep(t.Context(), kept, "v1")); err != nil {
		t.Fatal(err)
	}
	if task, err := none.Take(t.Context(), 50*time.Millisecond); task != nil || err != nil {
		t.Fatalf("a job that is held is given to another: %v, %v", task, err)
	}

	two := take(t, h.counter(t, "two"))
	if two.Try != 2 || two.Words.Worker != "one" {
		t.Errorf("%+v", two)
	}
	for version, want := range map[string]bool{"v2": false, "v1": true} {
		state := filepath.Join(t.TempDir(), "state")
		if err := two.Checkpoint(t.Context(), state, version); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(state); (err == nil) != want || want && !maps.Equal(tree(t, kept), tree(t, state)) {
			t.Errorf("the state of v1 for a worker of version %s: %v", version, err)
		}
	}
	candidate := folder(t, 3, 2*partBytes)
	if err := two.Done(t.Context(), candidate, map[string]string{"state": "candidate"}); err != nil {
		t.Fatal(err)
	}
	w, err := d.Word(t.Context(), j.ID)
	if err != nil || w == nil || !w.Ended() || w.Worker != "two" || w.Try != 2 {
		t.Fatalf("%+v, %v", w, err)
	}
	r, err := d.Result(t.Context(), *w.Result)
	if err != nil || string(r.Report) != `{"state":"candidate"}` {
		t.Fatalf("%+v, %v", r, err)
	}
	back := filepath.Join(t.TempDir(), "candidate")
	if err = d.Fetch(t.Context(), r.Candidate, back); err != nil || !maps.Equal(tree(t, candidate), tree(t, back)) {
		t.Errorf("the candidate comes back as another, %v", err)
	}

	if err = d.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !none.Gone(j.ID) || !one.Gone(j.ID) {
		t.Error("something of the job is left at the hub")
	}
	if err = d.Clear(t.Context()); err != nil {
		t.Errorf("clearing twice: %v", err)
	}
}

// A worker that holds a job keeps it beyond the time in which it would be given
// away, and notices when the room takes it back.
func TestHeldAndWithdrawn(t *testing.T) {
	h := newHouse(t, nil)
	d := h.desk(t)
	j := h.post(t, d, folder(t, 1, 100))
	task := take(t, h.counter(t, "one"))
	held, release := task.Hold(t.Context())
	defer release()
	other := h.counter(t, "two")
	for end := time.Now().Add(3 * d.opt.Ack / 2); time.Now().Before(end); {
		if taken, err := other.Take(t.Context(), 100*time.Millisecond); taken != nil || err != nil {
			t.Fatalf("a held job is given to another: %v, %v", taken, err)
		}
	}
	if other.Gone(j.ID) {
		t.Error("gone, and it is there")
	}
	if err := d.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-held.Done()
	if !errors.Is(context.Cause(held), ErrWithdrawn) {
		t.Errorf("%v", context.Cause(held))
	}
}

// A job that was failed leaves the queue with the reason; one that was released is
// given out again.
func TestFailedAndReleased(t *testing.T) {
	h := newHouse(t, nil)
	d := h.desk(t)
	j := h.post(t, d, folder(t, 1, 100))
	c := h.counter(t, "one")
	take(t, c).Release(0)
	task := take(t, c)
	if task.Try != 2 {
		t.Errorf("try %d, want 2", task.Try)
	}
	if err := task.Fail(t.Context(), "no labels"); err != nil {
		t.Fatal(err)
	}
	w, err := d.Word(t.Context(), j.ID)
	if err != nil || w.Failed != "no labels" || w.Worker != "one" {
		t.Errorf("%+v, %v", w, err)
	}
	if again, err := c.Take(t.Context(), 1500*time.Millisecond); again != nil || err != nil {
		t.Errorf("given out again: %+v, %v", again, err)
	}
}

// What is not what its hash says is refused, wherever it lies.
func TestDamagedObjects(t *testing.T) {
	h := newHouse(t, nil)
	d := h.desk(t)
	dir := folder(t, 1, 2*partBytes)
	j := h.post(t, d, dir)
	part := j.Sessions[0].Parcel.Parts[1]
	if _, err := d.objects.PutBytes(partName(part), bytes.Repeat([]byte{1}, partBytes)); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "x")
	err := d.Fetch(t.Context(), j.Sessions[0].Parcel, to)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), part) {
		t.Errorf("a part: %v", err)
	}
	if left := tree(t, filepath.Dir(to)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err = d.objects.PutBytes(partName(part), make([]byte, 2*partBytes)); err != nil {
		t.Fatal(err)
	}
	if err = d.Fetch(t.Context(), j.Sessions[0].Parcel, to); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a part that is too large: %v", err)
	}
	if _, err = d.Send(t.Context(), dir, nil); err != nil { // which mends it
		t.Fatal(err)
	}
	if err = d.Fetch(t.Context(), j.Sessions[0].Parcel, to); err != nil {
		t.Errorf("mended: %v", err)
	}
	for name, p := range map[string]Parcel{"more than its parts": {Bytes: 5 * partBytes, Parts: j.Sessions[0].Parcel.Parts}, "below 0": {Bytes: -1}} {
		if err = d.Fetch(t.Context(), p, to+"2"); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// The job itself: its worker says so, and nobody tries again.
	forged := *j
	forged.Sessions = []Session{{"../../etc", j.Sessions[0].Parcel}}
	b, err := json.Marshal(&forged)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = d.objects.PutBytes(jobPrefix+j.ID, b); err != nil {
		t.Fatal(err)
	}
	c := h.counter(t, "one")
	testenv.Wait(t, "the refusal", func() bool {
		task, refused := c.Take(t.Context(), 200*time.Millisecond)
		if task != nil {
			t.Fatalf("taken: %+v", task.Job)
		}
		return errors.Is(refused, ErrDamaged)
	})
	w, err := d.Word(t.Context(), j.ID)
	if err != nil || w == nil || !strings.Contains(w.Failed, "sha256") {
		t.Errorf("%+v, %v", w, err)
	}
	if err = forged.check(); !errors.Is(err, ErrDamaged) {
		t.Errorf("a name that leads elsewhere: %v", err)
	}
}

// A hub whose account is full says so at once, and so does a disk without room.
func TestNoSpace(t *testing.T) {
	h := newHouse(t, func(conf string) string { return strings.Replace(conf, "max_file: 20GB", "max_file: 2MB", 1) })
	d := h.desk(t)
	if _, err := d.Send(t.Context(), folder(t, 1, 5*partBytes), nil); !errors.Is(err, ErrFull) {
		t.Errorf("a full account: %v", err)
	}
	p, err := d.Send(t.Context(), folder(t, 2, 100), nil)
	if err != nil {
		t.Fatalf("what fits: %v", err)
	}
	disk := freeBytes
	defer func() { freeBytes = disk }()
	freeBytes = func(string) (int64, error) { return spareBytes + 100, nil }
	var none *SpaceError
	to := filepath.Join(t.TempDir(), "x")
	if err = d.Fetch(t.Context(), p, to); !errors.As(err, &none) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("a full disk: %v", err)
	}
	freeBytes = disk
	if err = d.Fetch(t.Context(), p, to); err != nil {
		t.Errorf("with room: %v", err)
	}
}

// A hub that is away is waited for as long as the caller likes.
func TestHubIsAway(t *testing.T) {
	h := newHouse(t, nil)
	h.link.Cut()
	// Longer than the first question, which may go out before the room's server
	// notices that nobody is there, waits for its answer.
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if _, err := OpenDesk(ctx, h.room, Domain, h.opt()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if h.away.Load() == 0 {
		t.Error("nobody was told")
	}
	h.link.Mend()
	h.desk(t)
}
