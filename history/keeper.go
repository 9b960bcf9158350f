package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"posefuse/message"
	"posefuse/recording/session"
)

// mostWaiting bounds the sets that wait in memory for a disk.
const mostWaiting = 256

// retryPeriod is how long a disk that took nothing is left alone.
const retryPeriod = 5 * time.Second

// ErrNoConsent says that nobody has said that the person agrees.
var ErrNoConsent = errors.New("nothing is kept without the person's consent")

// Config says what a Keeper keeps.
type Config struct {
	Dir      string // of the histories
	Room     string
	KeepDays int // sets older than that are dropped; 0: none
	Log      *slog.Logger
}

// Keeper keeps the sets of one person at a time, from Begin to End. Its methods may
// be called at once. A disk that takes nothing keeps nobody from exercising: sets wait
// in memory, and Health says how many.
type Keeper struct {
	cfg Config

	mu      sync.Mutex
	subject string // "": nothing is kept
	begun   time.Time
	kept    int
	waiting []Entry
	lost    int
	problem error // of the newest attempt to write
}

// NewKeeper returns a Keeper for whom nothing is begun.
func NewKeeper(cfg Config) *Keeper { return &Keeper{cfg: cfg} }

// SetKeepDays changes for how many days sets are kept, 0: for ever. What is too old
// then is dropped when the next person begins.
func (k *Keeper) SetKeepDays(days int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cfg.KeepDays = days
}

// Begin keeps the sets of a person from now on; those of the one before end. Sets
// over the age that is kept are dropped.
func (k *Keeper) Begin(subject string, consent bool) error {
	if err := session.CheckSubject(subject); err != nil {
		return err
	}
	if !consent {
		return fmt.Errorf("%w: say that %s agreed", ErrNoConsent, subject)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.subject, k.begun, k.kept = subject, time.Now().UTC().Truncate(time.Millisecond), 0
	if _, err := Tidy(k.cfg.Dir, k.cfg.KeepDays, time.Now()); err != nil {
		k.cfg.Log.Warn("old sets are not dropped", "error", err)
	}
	k.write()
	return nil
}

// End keeps nothing more.
func (k *Keeper) End() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.subject = ""
	k.write()
}

// Subject returns whose sets are kept now, "" if nobody's.
func (k *Keeper) Subject() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.subject
}

// Forget deletes what is kept of a person and waits to be; if it is the one whose
// sets are kept now, that ends.
func (k *Keeper) Forget(subject string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	waited := len(k.waiting)
	kept := k.waiting[:0]
	for _, e := range k.waiting {
		if e.Subject != subject {
			kept = append(kept, e)
		}
	}
	k.waiting = kept
	if k.subject == subject {
		k.subject = ""
	}
	err := Delete(k.cfg.Dir, subject)
	if errors.Is(err, ErrNotFound) && len(kept) < waited {
		return nil
	}
	return err
}

// Summary takes a set as it was published.
func (k *Keeper) Summary(text []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.subject == "" {
		return
	}
	e := Entry{Schema: Schema, Subject: k.subject, Room: k.cfg.Room, Begun: k.begun, Kept: time.Now().UTC().Truncate(time.Millisecond)}
	if err := json.Unmarshal(text, &e.Set); err != nil || e.Set.Schema != message.ExerciseSummarySchema {
		k.lost++
		k.cfg.Log.Warn("a set is not kept: it is no summary", "error", err)
		return
	}
	if len(k.waiting) >= mostWaiting {
		k.waiting = append(k.waiting[:0], k.waiting[1:]...)
		k.lost++
	}
	k.waiting = append(k.waiting, e)
	k.write()
}

// Run tries again from time to time while sets wait for the disk, and once more when
// ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	again := time.NewTicker(retryPeriod)
	defer again.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-again.C:
		}
		k.mu.Lock()
		k.write()
		k.mu.Unlock()
	}
}

// write appends what waits. The caller holds the lock.
func (k *Keeper) write() {
	for len(k.waiting) > 0 {
		if err := appendTo(k.cfg.Dir, &k.waiting[0]); err != nil {
			if k.problem == nil {
				k.cfg.Log.Warn("sets are not kept", "error", err)
			}
			k.problem = err
			return
		}
		k.kept++
		k.waiting = append(k.waiting[:0], k.waiting[1:]...)
	}
	if k.problem != nil {
		k.cfg.Log.Info("sets are kept again")
	}
	k.problem = nil
}

// Health says whose sets are kept, and what is not.
func (k *Keeper) Health() message.PartHealth {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := message.PartHealth{Part: "history", Code: "idle", Severity: "ok", Text: "nobody's sets are kept"}
	if k.subject != "" {
		h.Code, h.Text = "keeping", fmt.Sprintf("the sets of %s are kept, %d so far", k.subject, k.kept)
	}
	if k.problem != nil {
		h.Code, h.Severity = "unwritable", "error"
		h.Text = fmt.Sprintf("%d sets are not kept (%v): they wait in memory until the disk takes them and are lost with the daemon; %s", len(k.waiting), k.problem, remedy(k.problem))
	}
	if k.lost > 0 {
		h.Severity, h.Text = "error", h.Text+fmt.Sprintf("; %d sets are lost", k.lost)
	}
	return h
}

// remedy is what helps against an error of the disk.
func remedy(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "make room where state_dir is"
	case errors.Is(err, syscall.EROFS):
		return "the disk of state_dir is read-only: see the system's log, for one that fails becomes so, and mount it writable"
	case errors.Is(err, syscall.EACCES):
		return "let the daemon's user write there"
	}
	return "see the disk of state_dir"
}
