package main

import (
	"path/filepath"
	"strings"
	"testing"

	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/pipeline"
)

// TestModelsRegistry adds two versions, promotes them in turn and goes back, by
// the commands; a daemon would serve each.
func TestModelsRegistry(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	serves := func(want string) {
		t.Helper()
		cfg := pipeline.DefaultConfig()
		cfg.StateDir = state
		net, card, problems, err := openServing(&cfg)
		if err != nil || len(problems) > 0 {
			t.Fatalf("%v, %v", err, problems)
		}
		if err := net.Close(); err != nil {
			t.Error(err)
		}
		if got := card.Name + "/" + card.Version; !strings.HasPrefix(got, want) {
			t.Errorf("%s serves, want %s", got, want)
		}
	}
	serves("edge/")
	for _, v := range []string{"1", "2"} {
		dir := saveShipped(t, func(c *model.Card) { c.Name, c.Version = "mine", v })
		if e := decodeJSON[registry.Entry](t, posefuse(t, "models", "add", dir, "--state", state, "--json")); e.State != registry.Candidate || e.Version != v {
			t.Errorf("added %+v", e)
		}
	}
	for _, v := range []string{"mine/1", "mine/2"} {
		posefuse(t, "models", "promote", v, "--state", state)
		serves(v)
	}
	x := decodeJSON[registry.Index](t, posefuse(t, "models", "list", "--state", state, "--json"))
	if x.Serving != "mine/2" || len(x.Entries) != 2 || x.Entries[0].State != registry.Retired {
		t.Errorf("%+v", x)
	}
	if v := decodeJSON[modelView](t, posefuse(t, "models", "show", "mine/1", "--state", state, "--json")); v.Version == nil || v.Version.State != registry.Retired || v.Card.Name != "mine" {
		t.Errorf("%+v", v.Version)
	}
	for _, part := range []string{"serving: mine/2", "mine/1", "retired", "replaced by mine/2"} {
		if out := posefuse(t, "models", "list", "--state", state); !strings.Contains(out, part) {
			t.Errorf("the table lacks %q:\n%s", part, out)
		}
	}
	if out := posefuse(t, "models", "show", "mine/1", "--state", state); !strings.Contains(out, "replaced by mine/2") {
		t.Errorf("show:\n%s", out)
	}
	posefuse(t, "models", "rollback", "--state", state)
	serves("mine/1")
	if out := posefuse(t, "models", "rollback", "--state", state); !strings.Contains(out, shippedName) {
		t.Error(out)
	}
	serves("edge/")
}
