package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/message"
)

func summary(t *testing.T, id string, repetitions int) []byte {
	t.Helper()
	b, err := json.Marshal(message.ExerciseSummary{Schema: message.ExerciseSummarySchema, ID: id, Name: "squat", Repetitions: repetitions})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func keeper(dir string, keepDays int) *Keeper {
	return NewKeeper(Config{Dir: dir, Room: "room1", KeepDays: keepDays, Log: slog.New(slog.DiscardHandler)})
}

func ids(t *testing.T, dir, subject string) (list []string) {
	t.Helper()
	entries, broken, err := Read(dir, subject)
	if err != nil || broken != 0 {
		t.Fatalf("%s: %v, %d lines are broken", subject, err, broken)
	}
	for _, e := range entries {
		list = append(list, e.Set.ID)
	}
	return list
}

// TestKeeper: sets go to whom they belong, from consent to the end, and one person's
// are deleted alone.
func TestKeeper(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	k := keeper(dir, 0)
	k.Summary(summary(t, "before", 1))
	if err := k.Begin("P1", false); !errors.Is(err, ErrNoConsent) {
		t.Errorf("without consent: %v", err)
	}
	k.Summary(summary(t, "refused", 1))
	for _, step := range []struct{ subject, id string }{{"P1", "a"}, {"P1", "b"}, {"P2", "c"}, {"P1", "d"}} {
		if err := k.Begin(step.subject, true); err != nil {
			t.Fatal(err)
		}
		k.Summary(summary(t, step.id, 8))
	}
	if h := k.Health(); h.Code != "keeping" || !strings.Contains(h.Text, "P1 are kept, 1 so far") {
		t.Errorf("%+v", h)
	}
	k.Summary([]byte("{"))
	k.End()
	k.Summary(summary(t, "after", 1))
	if h := k.Health(); h.Code != "idle" || !strings.Contains(h.Text, "1 sets are lost") {
		t.Errorf("%+v", h)
	}
	if got := ids(t, dir, "P1"); !slices.Equal(got, []string{"a", "b", "d"}) {
		t.Errorf("P1 has %v", got)
	}
	if list, err := Subjects(dir); err != nil || !slices.Equal(list, []string{"P1", "P2"}) {
		t.Errorf("%v, %v", list, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "P1.jsonl")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := k.Forget("P1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(dir, "P1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after it was deleted: %v", err)
	}
	if got := ids(t, dir, "P2"); len(got) != 1 {
		t.Errorf("P2 has %v", got)
	}
	for _, rude := range []string{"", "../P2", `P"1`, "<script>", "P 1", "a/b", strings.Repeat("x", 99)} {
		if k.Begin(rude, true) == nil || Delete(dir, rude) == nil {
			t.Errorf("%q is taken for a pseudonym", rude)
		}
	}
}

// TestDiskWithRoomAgain: sets that waited are kept soon after the disk takes them
// again, or with the daemon's end, without another set.
func TestDiskWithRoomAgain(t *testing.T) {
	for name, long := range map[string]time.Duration{"while the daemon runs": retryPeriod, "with its end": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "history")
				if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
					t.Fatal(err)
				}
				k := keeper(dir, 0)
				ctx, cancel := context.WithCancel(t.Context())
				go k.Run(ctx)
				if err := k.Begin("P1", true); err != nil {
					t.Fatal(err)
				}
				k.Summary(summary(t, "a", 1))
				time.Sleep(3*retryPeriod + time.Millisecond)
				if h := k.Health(); h.Code != "unwritable" || !strings.Contains(h.Text, "1 sets are not kept") {
					t.Errorf("%+v", h)
				}
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
				time.Sleep(long)
				cancel()
				synctest.Wait()
				if got := ids(t, dir, "P1"); !slices.Equal(got, []string{"a"}) {
					t.Errorf("kept %v", got)
				}
				if h := k.Health(); h.Code != "keeping" || h.Severity != "ok" {
					t.Errorf("%+v", h)
				}
			})
		})
	}
}

// TestRemedies: each way in which a disk takes nothing has what helps.
func TestRemedies(t *testing.T) {
	for err, want := range map[error]string{syscall.ENOSPC: "make room", syscall.EDQUOT: "make room", syscall.EROFS: "mount it writable", syscall.EACCES: "user", syscall.EIO: "disk of state_dir"} {
		if got := remedy(fmt.Errorf("history: %w", &os.PathError{Op: "open", Path: "P1.jsonl", Err: err})); !strings.Contains(got, want) {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// TestKeepDaysChange: sets that are too old by a new rule go with the next person.
func TestKeepDaysChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "history")
		k := keeper(dir, 0)
		for _, step := range []struct {
			days int
			id   string
			want []string
		}{{0, "a", []string{"a"}}, {60, "b", []string{"a", "b"}}, {30, "c", []string{"b", "c"}}} {
			k.SetKeepDays(step.days)
			if err := k.Begin("P1", true); err != nil {
				t.Fatal(err)
			}
			k.Summary(summary(t, step.id, 8))
			if got := ids(t, dir, "P1"); !slices.Equal(got, step.want) {
				t.Errorf("kept for %d days: %v, want %v", step.days, got, step.want)
			}
			time.Sleep(20 * 24 * time.Hour)
		}
	})
}

// TestTornLine: what a crash left of a line costs that line only.
func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	k := keeper(dir, 0)
	if err := k.Begin("P1", true); err != nil {
		t.Fatal(err)
	}
	k.Summary(summary(t, "a", 1))
	path := filepath.Join(dir, "P1.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(path, append(text, text[:40]...), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Summary(summary(t, "b", 2))
	entries, broken, err := Read(dir, "P1")
	if err != nil || broken != 1 || len(entries) != 2 || entries[1].Set.ID != "b" {
		t.Errorf("%v, %d broken, %+v", err, broken, entries)
	}
}

// TestDiskThatTakesNothing: sets wait and are told; when there is a disk again none is
// missing, and too many do not fill the memory.
func TestDiskThatTakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	k := keeper(dir, 0)
	if err := k.Begin("P1", true); err != nil {
		t.Fatal(err)
	}
	k.Summary(summary(t, "a", 1))
	k.Summary(summary(t, "b", 1))
	if h := k.Health(); h.Code != "unwritable" || h.Severity != "error" || !strings.Contains(h.Text, "2 sets are not kept") {
		t.Errorf("%+v", h)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	k.Summary(summary(t, "c", 1))
	if h := k.Health(); h.Code != "keeping" || h.Severity != "ok" {
		t.Errorf("%+v", h)
	}
	if got := ids(t, dir, "P1"); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("kept %v", got)
	}
	k.cfg.Dir = filepath.Join(dir, "P1.jsonl") // a file again
	for range mostWaiting + 3 {
		k.Summary(summary(t, "d", 1))
	}
	if h := k.Health(); !strings.Contains(h.Text, "3 sets are lost") || len(k.waiting) != mostWaiting {
		t.Errorf("%+v, %d wait", h, len(k.waiting))
	}
	k.cfg.Dir = dir
	if err := k.Forget("P1"); err != nil || len(k.waiting) != 0 {
		t.Errorf("forgotten: %v, %d wait", err, len(k.waiting))
	}
}

// TestTidy: old sets go, young ones stay as they were, to the byte.
func TestTidy(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := keeper(dir, 30)
		for _, id := range []string{"old", "young"} {
			if err := k.Begin("P1", true); err != nil {
				t.Fatal(err)
			}
			k.Summary(summary(t, id, 1))
			time.Sleep(20 * 24 * time.Hour)
		}
		if err := k.Begin("P2", true); err != nil { // now the first is 40 days old
			t.Fatal(err)
		}
		if got := ids(t, dir, "P1"); !slices.Equal(got, []string{"young"}) {
			t.Errorf("kept %v", got)
		}
		before, err := os.ReadFile(filepath.Join(dir, "P1.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := Tidy(dir, 30, time.Now()); n != 0 || err != nil {
			t.Errorf("again: %d, %v", n, err)
		}
		if after, err := os.ReadFile(filepath.Join(dir, "P1.jsonl")); err != nil || !bytes.Equal(before, after) {
			t.Errorf("a second time it changed: %v", err)
		}
		if n, err := Tidy(dir, 30, time.Now().AddDate(1, 0, 0)); n != 1 || err != nil {
			t.Errorf("a year on: %d, %v", n, err)
		}
		if list, err := Subjects(dir); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
	})
}
