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

// A reload applies what it can, names what waits for a restart, and a file that
// cannot be used changes nothing, however often good and bad take turns.
func TestReload(t *testing.T) {
	opt := Options{Config: testConfig(t), Version: "0.1.0", Notify: func(string) error { return nil }}
	next, broken := opt.Config, error(nil)
	level := ""
	opt.Reload = func() (Config, error) { return next, broken }
	opt.SetLogLevel = func(l string) { level = l }
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
		waiting, err := d.Reload()
		if err != nil || !slices.Equal(waiting, []string{"sync.rate_hz"}) || level != "warn" {
			t.Fatalf("waiting %v, level %q, %v", waiting, level, err)
		}
		if code, text := part(); code != "differs" || !strings.Contains(text, "sync.rate_hz") {
			t.Fatalf("%s: %s", code, text)
		}
		next.Log.Level, next.Sync.HoldMS = "error", -1
		if _, err = d.Reload(); err == nil || !strings.Contains(err.Error(), "sync.hold_ms") || level != "warn" {
			t.Fatalf("a bad value: level %q, %v", level, err)
		}
		if code, text := part(); code != "refused" || !strings.Contains(text, "sync.hold_ms") {
			t.Fatalf("%s: %s", code, text)
		}
		broken = errors.New("line 1: no YAML")
		if _, err = d.Reload(); !errors.Is(err, broken) {
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
