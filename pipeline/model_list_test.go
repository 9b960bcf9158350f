package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/model/registry"
)

// TestModelListIsBounded: of years of versions the newest fit into a message, and the
// one that serves is always among them.
func TestModelListIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ versions, reason, want int }{
		"none": {0, 0, 0}, "few": {3, 10, 3}, "many": {mostVersions + 9, 10, mostVersions}, "long ones": {40, 60_000, 13},
	} {
		t.Run(name, func(t *testing.T) {
			x := &registry.Index{}
			for i := range c.versions {
				x.Entries = append(x.Entries, &registry.Entry{ID: registry.ID{Name: "m", Version: fmt.Sprint(i)}, State: registry.Candidate, Reason: strings.Repeat("x", c.reason)})
			}
			if c.versions > 0 {
				x.Serving, x.Entries[0].State = "m/0", registry.Promoted
			}
			got, err := newModelList(x)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(got)
			if err != nil || len(text) > 1<<20 {
				t.Errorf("%v, %d bytes", err, len(text))
			}
			if len(got.Versions) != c.want || got.LeftOut != c.versions-c.want {
				t.Errorf("%d versions and %d left out, want %d of %d", len(got.Versions), got.LeftOut, c.want, c.versions)
			}
			var versions []string
			for _, v := range got.Versions {
				var e registry.Entry
				if err := json.Unmarshal(v, &e); err != nil {
					t.Fatal(err)
				}
				versions = append(versions, e.Version)
			}
			if n := len(versions); n > 2 && !slices.Equal(versions[:3], []string{"0", fmt.Sprint(c.versions - 1), fmt.Sprint(c.versions - 2)}) {
				t.Errorf("in the order %v", versions)
			}
		})
	}
}

// TestModelList: a daemon says which versions there are, what became of them, and to
// which a roll-back goes.
func TestModelList(t *testing.T) {
	cfg := testConfig(t)
	net := modeltest.Small()
	reg := addModels(t, cfg.StateDir, numbered(t, net, 1), numbered(t, net, 2))
	gate := &registry.Gate{Against: registry.Shipped, Passed: true, Reason: "better", Figures: []registry.Figure{}, Sessions: []string{"20261130T101500Z"}}
	if err := reg.Judged(registry.ID{Name: "m", Version: "2"}, gate); err != nil {
		t.Fatal(err)
	}
	d := startModelDaemon(t, cfg, net, nil)
	check := func(step, want string) {
		t.Helper()
		m, err := d.nc.Request("posefuse.room1.ctl.model.list", nil, testenv.Patience)
		if err != nil {
			t.Fatal(err)
		}
		var l struct {
			Serving, Earlier string
			Versions         []registry.Entry
		}
		if err := json.Unmarshal(m.Data, &l); err != nil {
			t.Fatalf("%s: %v: %s", step, err, m.Data)
		}
		got := l.Serving + " < " + l.Earlier
		for _, e := range l.Versions {
			got += fmt.Sprintf(", %s %s", e.ID, e.State)
			if e.Gate != nil {
				got += fmt.Sprint(" ", e.Gate.Sessions)
			}
		}
		if got != want {
			t.Errorf("%s: %s\nwant: %s", step, got, want)
		}
	}
	check("at first", "shipped < , m/2 candidate [20261130T101500Z], m/1 candidate")
	for _, step := range []struct{ what, body, want string }{
		{"swap", `{"name":"m","version":"1"}`, "m/1 < shipped, m/1 promoted, m/2 candidate [20261130T101500Z]"},
		{"swap", `{"name":"m","version":"2"}`, "m/2 < m/1, m/2 promoted [20261130T101500Z], m/1 retired"},
		{"rollback", "", "m/1 < shipped, m/1 promoted, m/2 retired [20261130T101500Z]"},
		{"rollback", "", "shipped < , m/2 retired [20261130T101500Z], m/1 retired"},
	} {
		if _, refused := d.request(t, step.what, step.body); refused != "" {
			t.Fatal(refused)
		}
		check(step.what, step.want)
	}
}
