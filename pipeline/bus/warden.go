package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"posefuse/message"
)

// Times of the warden.
const (
	wardenStep   = time.Second
	silentAfter  = 3 * time.Second  // without an own status that was published
	unkeptAfter  = 10 * time.Second // age of the newest status in the store
	rebuildEvery = 30 * time.Second // at most
	askLimit     = 2 * time.Second  // of a question to the store
	diskLow      = 64 << 20         // bytes free, below which the status warns
)

// wayHeader marks a status that went to subscribers without the store.
const wayHeader = "Posefuse-Way"

// warden watches the embedded server from outside, as a subscriber sees it: do
// the daemon's own status messages arrive, are they kept, is there space for
// more. A store that failed once never writes again, however much space there
// is; the warden then has the server built anew.
type warden struct {
	bus  *Bus
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	due     time.Time // publication of the oldest status that did not arrive; zero: none
	kept    time.Time // when the store's newest status was last seen to be new
	newest  []byte    // status that was published last
	disk    uint64    // bytes free
	rebuilt time.Time
	times   uint64 // rebuilds
	keepErr string
	usage   float64 // of max_store_mib
}

// watch starts the warden of an embedded server.
func (b *Bus) watch() error {
	ctx, stop := context.WithCancel(context.Background())
	w := &warden{bus: b, stop: stop, done: make(chan struct{}), kept: time.Now(), disk: diskLow}
	sub, err := b.nc.Subscribe(b.subject+"status", func(m *nats.Msg) {
		if m.Header.Get(wayHeader) == "" {
			w.arrived()
		}
	})
	if err != nil {
		stop()
		return fmt.Errorf("own status: %w", err)
	}
	b.warden = w
	go func() {
		defer close(w.done)
		defer func() { _ = sub.Unsubscribe() }() // the connection may be closed
		w.run(ctx)
	}()
	return nil
}

func (w *warden) close() {
	w.stop()
	<-w.done
}

// sent notes that a status was published. direct asks to send it to subscribers
// without the store, too, for the way through it does not work.
func (w *warden) sent(status []byte) (direct bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.newest = status
	if w.due.IsZero() {
		w.due = time.Now()
	}
	return w.keepErr != "" || time.Since(w.due) > silentAfter
}

func (w *warden) arrived() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Time{}
}

// silent reports whether own status messages do not arrive.
func (w *warden) silent() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.due.IsZero() && time.Since(w.due) > silentAfter
}

func (w *warden) run(ctx context.Context) {
	select {
	case <-w.bus.retained.opened: // the server has made its streams
	case <-ctx.Done():
		return
	}
	t := time.NewTicker(wardenStep)
	defer t.Stop()
	tidy := false
	for n := 0; ; n++ {
		if !tidy {
			err := w.tidy(ctx)
			if tidy = err == nil; !tidy && ctx.Err() == nil {
				w.bus.log.Warn("the embedded server's store could not be bounded, trying again", "error", err)
			}
		}
		if n%3 == 2 {
			w.look(ctx)
		}
		if w.broken() {
			w.rebuild()
			tidy = false
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// tidy bounds the streams and clears what others left on the daemon's topics.
func (w *warden) tidy(ctx context.Context) error {
	js, err := w.bus.nc.JetStream(nats.MaxWait(askLimit))
	if err != nil {
		return err
	}
	if err = w.bus.boundStreams(js); err != nil {
		return err
	}
	const prefix = "$MQTT.rmsgs."
	info, err := js.StreamInfo(streamRetained, &nats.StreamInfoRequest{SubjectsFilter: prefix + ">"}, nats.Context(ctx))
	if err != nil {
		return fmt.Errorf("retained messages: %w", err)
	}
	for subject := range info.State.Subjects {
		what := strings.TrimPrefix(subject, prefix)
		if what == w.bus.subject+"status" || ofExercise(what) {
			continue
		}
		if err := js.PurgeStream(streamRetained, &nats.StreamPurgeRequest{Subject: subject}, nats.Context(ctx)); err != nil {
			return fmt.Errorf("retained message %s: %w", what, err)
		}
		w.bus.log.Warn("a retained message that is not the daemon's was cleared", "subject", what)
	}
	return nil
}

// ofExercise reports whether a subject is one that the exercise subscriber of
// some room retains messages on.
func ofExercise(subject string) bool {
	part := strings.SplitN(subject, ".", 4)
	return len(part) == 4 && part[0] == "posefuse" && part[2] == "exercise"
}

// look asks the disk and the store.
func (w *warden) look(ctx context.Context) {
	var fs unix.Statfs_t
	if err := unix.Statfs(w.bus.server.dir, &fs); err == nil {
		w.mu.Lock()
		w.disk = fs.Bavail * uint64(fs.Bsize)
		w.mu.Unlock()
	}
	js, err := w.bus.nc.JetStream(nats.MaxWait(askLimit))
	if err == nil {
		err = w.lookInto(ctx, js)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keepErr = ""
	if err != nil {
		w.keepErr = err.Error()
	}
}

func (w *warden) lookInto(ctx context.Context, js nats.JetStreamContext) error {
	acc, err := js.AccountInfo(nats.Context(ctx))
	if err != nil {
		return err
	}
	m, err := js.GetLastMsg(streamRetained, "$MQTT.rmsgs."+w.bus.subject+"status", nats.Context(ctx))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.usage = float64(acc.Store) / float64(int64(w.bus.cfg.MaxStoreMiB)<<20)
	switch {
	case w.newest == nil:
		w.kept = time.Now()
		return nil
	case err != nil:
		return err
	case time.Since(m.Time) < unkeptAfter || bytes.Equal(m.Data, w.newest):
		w.kept = time.Now()
		return nil
	}
	return errors.New("the newest status is not in the store")
}

// broken reports whether the store must be built anew, and can be.
func (w *warden) broken() bool {
	w.mu.Lock()
	wait := w.keepErr == "" || time.Since(w.kept) < unkeptAfter || time.Since(w.rebuilt) < rebuildEvery
	w.mu.Unlock()
	return !wait && writable(w.bus.server.dir) == nil
}

// writable reports why a folder takes no more bytes, on the disk itself.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 256<<10))
	err = errors.Join(err, f.Sync(), f.Close())
	return errors.Join(err, os.Remove(filepath.Clean(f.Name())))
}

func (w *warden) rebuild() {
	w.mu.Lock()
	why := w.keepErr
	w.times++
	w.mu.Unlock()
	w.bus.log.Warn("the embedded server keeps nothing any more; it is built anew, clients connect again", "error", why)
	err := w.bus.server.rebuild()
	if err != nil {
		w.bus.log.Error("the embedded server could not be built anew, trying again", "error", err, "after", rebuildEvery)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rebuilt = time.Now()
	if err == nil {
		w.kept = w.rebuilt
	}
}

// space ends a sentence about what a full disk may have done; it is empty where the
// disk has room. The caller holds mu.
func (w *warden) space() string {
	if w.disk >= diskLow {
		return ""
	}
	return fmt.Sprintf("; the disk of state_dir has %d KiB left: make space", w.disk>>10)
}

// mqttAway adds what the embedded server's MQTT listener may be missing to why it
// does not answer.
func (w *warden) mqttAway(why string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return why + w.space()
}

// health is the part "bus.store".
func (w *warden) health() message.PartHealth {
	silent := w.silent()
	w.mu.Lock()
	defer w.mu.Unlock()
	p := message.PartHealth{Part: "bus.store", Code: "ok", Severity: "ok",
		Text: fmt.Sprintf("the status arrives and is kept; %.0f %% of bus.max_store_mib are used, %d MiB of the disk are free", 100*w.usage, w.disk>>20)}
	bad := func(code, severity, format string, args ...any) {
		p.Code, p.Severity, p.Text = code, severity, fmt.Sprintf(format, args...)
	}
	space := w.space()
	switch {
	case silent:
		bad("silent", "error", "the daemon's own status does not arrive on its own bus%s", space)
	case w.keepErr != "":
		bad("not_kept", "error", "messages are not kept: %s%s", w.keepErr, space)
	case w.disk < diskLow/64:
		bad("disk_full", "error", "the disk of state_dir has %d KiB left: make space", w.disk>>10)
	case w.disk < diskLow:
		bad("disk_low", "warning", "the disk of state_dir has %d MiB left: make space", w.disk>>20)
	case w.usage > 0.9:
		bad("store_full", "warning", "%.0f %% of bus.max_store_mib are used: raise it, or see which MQTT sessions are away for long", 100*w.usage)
	}
	return p
}
