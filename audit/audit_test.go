package audit

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// running returns a log that writes, and what ends it.
func running(t *testing.T, dir string, opt Options) (l *Log, end func()) {
	t.Helper()
	l, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	return l, func() {
		cancel()
		<-done
	}
}

// words are entries without their times.
func words(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, broken, err := Read(dir)
	if err != nil || broken != 0 {
		t.Fatalf("%d broken lines, %v", broken, err)
	}
	for _, e := range entries {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %d", e.Event, e.User, e.Address, e.What, e.Count)))
	}
	return all
}

// TestLog: what happens is kept over a restart; what strangers repeat is summed,
// what is changed is not.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), Folder)
		var none *Log
		none.Note(Entry{Event: Started})
		l, end := running(t, dir, Options{MaxMiB: MinMiB})
		l.Note(Entry{Event: Started, What: "1.2.3"})
		time.Sleep(time.Second)
		for range 1000 {
			l.Note(Entry{Event: Refused, Address: "10.0.0.9", What: "wrong user or password"})
			synctest.Wait()
		}
		time.Sleep(time.Second)
		for range 3 {
			l.Note(Entry{Event: Asked, User: "anna", Address: "10.0.0.2", What: "reload"})
		}
		time.Sleep(sumEvery)
		l.Note(Entry{Event: Connected, User: "anna", Address: "10.0.0.2"})
		end()
		l, end = running(t, dir, Options{MaxMiB: MinMiB})
		l.Note(Entry{Event: Stopped})
		end()
		asked := "asked anna 10.0.0.2 reload 0"
		want := []string{"started   1.2.3 0", "refused  10.0.0.9 wrong user or password 0", "refused  10.0.0.9 wrong user or password 999", asked, asked, asked,
			"connected anna 10.0.0.2  0", "stopped    0"}
		if got := words(t, dir); !slices.Equal(got, want) {
			t.Errorf("kept\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		entries, _, err := Read(dir)
		if err != nil || l.Err() != nil || entries[0].Time.IsZero() || entries[len(entries)-1].Time.Sub(entries[0].Time) != 2*time.Second+sumEvery {
			t.Errorf("times from %v to %v, %v, %v", entries[0].Time, entries[len(entries)-1].Time, err, l.Err())
		}
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if info, statErr := d.Info(); err != nil || statErr != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v, open to others", path, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestStrangersPushNothingOut: whatever comes from many addresses for a month, the
// files stay within their bound and the changes are all there.
func TestStrangersPushNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), Folder)
		l, end := running(t, dir, Options{MaxMiB: MinMiB})
		long := strings.Repeat("\x01", 1000)
		asked := 0
		const minutes = 100
		for minute := range minutes {
			for i := range 100 {
				l.Note(Entry{Event: Refused, Address: fmt.Sprint(minute, i), What: long})
			}
			if minute%50 == 0 {
				asked++
				l.Note(Entry{Event: Asked, User: "anna", What: "record.start"})
			}
			time.Sleep(sumEvery)
			if n := bytesIn(t, dir); n > MinMiB<<20 {
				t.Fatalf("%d bytes in minute %d", n, minute)
			}
		}
		end()
		if bytesIn(t, dir) < MinMiB<<20/4 {
			t.Errorf("%d bytes: the bound was not reached", bytesIn(t, dir))
		}
		entries, broken, err := Read(dir)
		refused, kept := 0, 0
		for _, e := range entries {
			switch e.Event {
			case Asked:
				kept++
			case Refused:
				refused += max(e.Count, 1)
				if len(e.What) > maxText+len("…") {
					t.Fatalf("a text of %d bytes", len(e.What))
				}
			case Connected, Started, Stopped, Reloaded, Lost:
				t.Errorf("%+v", e)
			}
		}
		if err != nil || broken != 0 || kept != asked || refused == 0 || refused >= minutes*100 {
			t.Errorf("%d of %d changes and %d refusals are left, %d broken (%v)", kept, asked, refused, broken, err)
		}
		// The newest minutes are whole.
		newest, sum := entries[len(entries)-1].Time.Add(-5*sumEvery+time.Second), 0
		for _, e := range entries {
			if e.Event == Refused && e.Time.After(newest) {
				sum += max(e.Count, 1)
			}
		}
		if sum < 400 {
			t.Errorf("%d refusals of the newest five minutes", sum)
		}
	})
}

func bytesIn(t *testing.T, dir string) (n int64) {
	t.Helper()
	for _, name := range []string{"access", "changes"} {
		all, err := files(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range all {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			n += info.Size()
		}
	}
	return n
}

// TestOldEntriesGo: an entry stays for the days that are set, at most an eighth
// longer, also if nothing happens any more.
func TestOldEntriesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), Folder)
		const days = 40
		began := time.Now()
		l, end := running(t, dir, Options{MaxMiB: MinMiB, KeepDays: days})
		for day := range 100 {
			if day < 50 {
				l.Note(Entry{Event: Asked, What: fmt.Sprint(day)})
			}
			time.Sleep(24 * time.Hour)
			entries, _, err := Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			now := time.Since(began)
			for d := range min(day+1, 50) {
				age := now - time.Duration(d)*24*time.Hour
				there := slices.ContainsFunc(entries, func(e Entry) bool { return e.What == fmt.Sprint(d) })
				if age <= days*24*time.Hour && !there || age > (days+days/parts+1)*24*time.Hour && there {
					t.Fatalf("on day %d the entry of day %d is there: %v", day+1, d, there)
				}
			}
		}
		end()
	})
}

// TestRuleChanges: a shorter rule deletes what is too old by it, at once and while
// the log is written.
func TestRuleChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), Folder)
		l, end := running(t, dir, Options{MaxMiB: MinMiB, KeepDays: 40})
		defer end()
		for day := range 20 { // a file in 5 days
			l.Note(Entry{Event: Asked, What: fmt.Sprint(day)})
			time.Sleep(24 * time.Hour)
		}
		for _, c := range []struct {
			days int
			left bool
		}{{40, true}, {0, true}, {10, false}} {
			l.Keep(MinMiB, 1000)
			l.Keep(MinMiB, c.days) // the newest counts
			synctest.Wait()
			if all := words(t, dir); slices.Contains(all, "asked   0 0") != c.left || !slices.Contains(all, "asked   19 0") {
				t.Errorf("kept for %d days: %d entries", c.days, len(all))
			}
		}
	})
}

// TestDiskThatFails: nobody waits for it; what was lost is counted once it takes
// bytes again.
func TestDiskThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), Folder)
		l, end := running(t, dir, Options{MaxMiB: MinMiB})
		l.Note(Entry{Event: Started})
		synctest.Wait()
		if err := l.changes.close(); err != nil { // the loop sleeps
			t.Fatal(err)
		}
		away := dir + ".away"
		if err := os.Rename(dir, away); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			l.Note(Entry{Event: Asked, What: "x"})
			synctest.Wait()
		}
		if l.Err() == nil {
			t.Error("nothing says that the folder is gone")
		}
		if err := os.Rename(away, dir); err != nil {
			t.Fatal(err)
		}
		l.Note(Entry{Event: Asked, What: "y"})
		synctest.Wait()
		if l.Err() != nil {
			t.Error(l.Err())
		}
		end()
		if got, want := words(t, dir), []string{"started    0", "asked   y 0", "lost    3"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestHalfALine: a crash costs the line that it cut, no other.
func TestHalfALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), Folder)
		for i := range 3 {
			l, end := running(t, dir, Options{MaxMiB: MinMiB})
			l.Note(Entry{Event: Asked, What: fmt.Sprint(i)})
			end()
			all, err := files(dir, "changes")
			if err != nil || len(all) != 1 {
				t.Fatalf("%v, %v", all, err)
			}
			f, err := os.OpenFile(all[0], os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.WriteString(`{"event":"as`)
			_ = f.Close()
		}
		entries, broken, err := Read(dir)
		if err != nil || broken != 3 || len(entries) != 3 || entries[2].What != "2" {
			t.Errorf("%d broken, %v, %v", broken, entries, err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "x"), Options{MaxMiB: MinMiB}); err == nil {
		t.Error("a folder in a file")
	}
	// What is no file of the log is neither read nor deleted.
	if err := syscall.Mkfifo(filepath.Join(dir, "access-20260101T000000.000000000Z.jsonl"), 0o600); err != nil {
		t.Fatal(err)
	}
	if entries, broken, err := Read(dir); err != nil || len(entries)+broken > 0 {
		t.Errorf("%v, %d, %v", entries, broken, err)
	}
	if _, _, err := Read(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there")
	}
}

// FuzzParse: no file makes the reader fail or grow.
func FuzzParse(f *testing.F) {
	f.Add([]byte("{\"event\":\"asked\",\"time\":\"2026-01-01T00:00:00Z\"}\n{\n\n"))
	f.Add(bytes.Repeat([]byte("x"), 3*maxLine))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, broken, err := parse(bytes.NewReader(text))
		if err != nil || len(entries)+broken > bytes.Count(text, []byte("\n"))+1 {
			t.Errorf("%d entries and %d broken lines, %v", len(entries), broken, err)
		}
	})
}
