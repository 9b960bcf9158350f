package pipeline

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posefuse/audit"
	"posefuse/pipeline/bus"
)

// Parts make ready before anything changes, take over in the order in which they
// came, and one that cannot leaves all as it is.
func TestReloadOfParts(t *testing.T) {
	opt := Options{Config: testConfig(t), Notify: func(string) error { return nil }}
	next := opt.Config
	var done []string
	opt.Reload = func() (Config, error) { return next, nil }
	opt.SetLog = func(l LogConfig) { done = append(done, "level "+l.Level) }
	d := &daemonUnderTest{}
	d.start(t, opt)
	d.OnReload(Reloadable{Keys: []string{"exercise.language"}, Prepare: func(next *Config) (func(), error) {
		return func() { done = append(done, "language "+next.Exercise.Language) }, nil
	}})
	broken := errors.New("exercise.targets: none of these")
	d.OnReload(Reloadable{Keys: []string{"exercise.targets"}, Prepare: func(next *Config) (func(), error) {
		if len(next.Exercise.Targets) > 0 {
			return nil, broken
		}
		return nil, nil // nothing to do
	}})
	for _, c := range []struct {
		edit    func(*Config)
		done    string // in this order
		waiting []string
		refused error
	}{
		{func(c *Config) { c.Exercise.Language = "de" }, "level info, language de", nil, nil},
		{func(c *Config) {
			c.Log.Level = "warn"
			c.Exercise.Language = "fr"
			c.Exercise.Targets = map[string]ExerciseTarget{"squat": {}}
		}, "", nil, broken},
		{func(c *Config) { c.Log.Level = "warn"; c.Exercise.Language = "fr"; c.Sync.HoldMS = 61 }, "level warn, language fr", []string{"sync.hold_ms"}, nil},
		{func(c *Config) { c.Audit.KeepDays, c.Audit.MaxMiB = 7, 8; c.Record.KeepDays = 1 }, "level info, language en", []string{"record.keep_days"}, nil},
	} {
		next, done = opt.Config, nil
		c.edit(&next)
		before := d.reloads.running
		applied, waiting, err := d.Reload()
		if !errors.Is(err, c.refused) || strings.Join(done, ", ") != c.done || !slices.Equal(waiting, c.waiting) {
			t.Errorf("did %v, waiting %v, %v; want %s, waiting %v, %v", done, waiting, err, c.done, c.waiting, c.refused)
		}
		if c.refused != nil && len(differences(&before, &d.reloads.running)) > 0 {
			t.Errorf("refused, but changed: %v", differences(&before, &d.reloads.running))
		}
		if c.refused == nil && !slices.Contains(applied, "exercise.language") {
			t.Errorf("applied %v", applied)
		}
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
}

// A reload applies what it can, names what waits for a restart, and a file that
// cannot be used changes nothing, however often good and bad take turns.
func TestReload(t *testing.T) {
	opt := Options{Config: testConfig(t), Version: "0.1.0", Notify: func(string) error { return nil }}
	next, broken := opt.Config, error(nil)
	level := ""
	opt.Reload = func() (Config, error) { return next, broken }
	opt.SetLog = func(l LogConfig) { level = l.Level }
	d := &daemonUnderTest{}
	d.start(t, opt)
	part := func() (code, text string) {
		for _, p := range d.health() {
			if p.Part == "configuration" {
				return p.Code, p.Text
			}
		}
		t.Fatal("no part configuration")
		return "", ""
	}
	if code, _ := part(); code != "ok" {
		t.Errorf("at the start: %s", code)
	}
	for range 20 {
		next = opt.Config
		next.Log.Level, next.Sync.RateHz = "warn", 17
		next.Bus.Users = []bus.User{{Name: "a", Password: "b", Role: bus.Viewer}}
		_, waiting, err := d.Reload()
		if err != nil || !slices.Equal(waiting, []string{"sync.rate_hz"}) || level != "warn" {
			t.Fatalf("waiting %v, level %q, %v", waiting, level, err)
		}
		if code, text := part(); code != "differs" || !strings.Contains(text, "sync.rate_hz") {
			t.Fatalf("%s: %s", code, text)
		}
		next.Log.Level, next.Sync.HoldMS = "error", -1
		if _, _, err = d.Reload(); err == nil || !strings.Contains(err.Error(), "sync.hold_ms") || level != "warn" {
			t.Fatalf("a bad value: level %q, %v", level, err)
		}
		if code, text := part(); code != "refused" || !strings.Contains(text, "sync.hold_ms") {
			t.Fatalf("%s: %s", code, text)
		}
		broken = errors.New("line 1: no YAML")
		if _, _, err = d.Reload(); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		broken = nil
	}
	next = opt.Config
	reply, err := d.reloadControl(nil)
	if err != nil {
		t.Fatal(err)
	}
	var r Reloaded
	if err = json.Unmarshal(reply, &r); err != nil || len(r.Waiting) != 0 || !slices.Contains(r.Applied, "bus.users") {
		t.Errorf("%s, %v", reply, err)
	}
	if code, _ := part(); code != "ok" || level != opt.Config.Log.Level {
		t.Errorf("back again: %s, level %q", code, level)
	}
	if err = d.stop(); err != nil {
		t.Fatal(err)
	}
	// The audit log has each of them, and how the daemon came and went.
	entries, torn, err := audit.Read(filepath.Join(opt.Config.StateDir, audit.Folder))
	if err != nil || torn != 0 {
		t.Fatalf("%d broken lines, %v", torn, err)
	}
	count := map[string]int{}
	for _, e := range entries {
		what, _, _ := strings.Cut(e.What, ":")
		count[string(e.Event)+" "+what]++
	}
	for _, want := range []string{"started version 0.1.0, room " + opt.Config.Room, "stopped "} {
		if count[want] != 1 {
			t.Errorf("%q is not in the audit once: %v", want, count)
		}
	}
	if count["reloaded applied"] != 21 || count["reloaded refused"] != 40 {
		t.Errorf("the audit has %v", count)
	}
}
