package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"posefuse/pipeline/web/browser"
)

// shelf stands for a daemon's registry with four versions of a model.
type shelf struct {
	mu      sync.Mutex
	serving string // version of edge that serves
	fixed   string
	asked   []string
}

func (s *shelf) list(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gate := map[string]any{"time": "2026-11-30T12:10:00Z", "against": "edge/2", "passed": true, "reason": "better: new recordings, all, 61.2 mm instead of 80.5 (-24.0 %, between -30.1 and -18.2 by 5 clips)",
		"sessions": []string{"20261129T101500Z", "20261129T143000Z"}, "figures": []any{
			map[string]any{"set": "new", "group": "all", "frames": 900, "before_mm": 80.5, "after_mm": 61.2, "units": 5, "of": "clips", "interval": map[string]any{"low_percent": -30.1, "high_percent": -18.2}, "verdict": "better"},
			map[string]any{"set": "old", "group": "activity A12", "frames": 300, "before_mm": 70.0, "after_mm": 70.7, "verdict": "cannot tell"}}}
	versions := []any{}
	for _, v := range []map[string]any{
		{"version": "4", "state": "candidate", "reason": "retrained from edge/2", "gate": gate, "data": "edge 2, trained further on 2,000 frames of 2 recorded sessions of 1 people"},
		{"version": "3", "state": "rejected", "reason": "<b>not better</b> by the margin of 2 %"},
		{"version": "2", "state": "retired", "reason": "replaced by edge/4", "past": []any{map[string]any{"state": "candidate", "reason": "added by hand", "changed": "2026-11-20T10:00:00Z"}}},
	} {
		v["name"], v["changed"], v["added"] = "edge", "2026-11-30T12:12:00Z", "2026-11-30T12:10:00Z"
		if v["version"] == s.serving {
			v["state"], v["reason"] = "promoted", "promoted by a request to the daemon"
			versions = slices.Insert(versions, 0, any(v))
		} else {
			versions = append(versions, v)
		}
	}
	reply := map[string]any{"serving": "edge/" + s.serving, "versions": versions, "left_out": 3}
	if s.serving == "4" {
		reply["earlier"] = "edge/2"
	}
	if s.fixed != "" {
		reply["fixed"] = s.fixed
	}
	text, _ := json.Marshal(reply)
	_ = m.Respond(text)
}

func (s *shelf) ask(_ context.Context, _, _, name string, request []byte) ([]byte, error) {
	if name == "sessions.list" {
		return []byte(`{"sessions":[]}`), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, name+string(request))
	model := func(version string) map[string]string { return map[string]string{"name": "edge", "version": version} }
	var r struct{ Version string }
	switch err := json.Unmarshal(request, &r); {
	case err != nil:
		return nil, err
	case name == "model.shadow":
		return []byte(`{"ticks":200}`), nil
	case name == "model.swap" && r.Version == "3":
		return nil, errors.New("model edge/3: weights.safetensors was changed after it was added")
	case name == "model.rollback":
		r.Version = "2"
	}
	before := s.serving
	s.serving = r.Version
	return json.Marshal(map[string]any{"model": model(s.serving), "before": model(before)})
}

func (s *shelf) did() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// TestModelsInBrowser: the page lists the versions of the model with what became of
// them and why; who may control changes the one in use, others only look.
func TestModelsInBrowser(t *testing.T) {
	s := &shelf{serving: "2"}
	nc := startBus(t)
	if _, err := nc.Subscribe("posefuse.room1.ctl.model.list", s.list); err != nil {
		t.Fatal(err)
	}
	room := Handler(nc, "room1", Options{Ask: s.ask})
	srv := httptest.NewServer(room)
	t.Cleanup(srv.Close)
	page := browser.Open(t, "about:blank")
	page.Size(1440, 900, false)
	page.Before(withoutWebGL)
	page.Goto(srv.URL + "/engineer")
	wait, read := page.Wait, page.Read
	states := func(want string) string {
		return `[...document.querySelectorAll("#versions .of")].map((e) => e.children[0].textContent + " " + e.children[1].textContent).join() === "` + want + `"`
	}
	note := func(want string) string { return `document.getElementById("modelNote").textContent === "` + want + `"` }
	press := func(label string) {
		read(`(document.querySelector('#versions button[aria-label="` + label + `"]').click(), "")`)
	}
	answer := func(question, value string) {
		wait(question, `document.getElementById("ask").open && document.getElementById("question").textContent === "`+question+`"`)
		read(`(document.querySelector('#ask button[value="` + value + `"]').click(), "")`)
	}
	publish(t, nc, "status", map[string]any{"room": "room1", "state": "online", "parts": []any{}, "model": map[string]string{"name": "edge", "version": "2"}})
	wait("the versions are listed", states("edge 2 promoted,edge 4 candidate,edge 3 rejected"))
	wait("who serves at first has nothing to go back to", `document.getElementById("rollback").disabled && !document.getElementById("retrain").disabled`)
	if got := read(`[...document.querySelectorAll("#versions li")].map((e) => e.querySelectorAll("button").length + e.querySelector("p").textContent).join("|")`); got != "0promoted by a request to the daemon|2retrained from edge/2|2<b>not better</b> by the margin of 2 %" {
		t.Errorf("reasons: %s", got)
	}
	read(`(document.querySelector('#versions summary[data-version="edge/4"]').click(), "")`)
	details := `document.querySelector("#versions details[open]").textContent`
	for what, text := range map[string]string{"the sessions": "Sessions20261129T101500Z, 20261129T143000Z", "the data": "2 recorded sessions of 1 people", "the gate's word": "passed against edge 2, 30 Nov 2026, "} {
		wait(what, details+`.includes("`+text+`")`)
	}
	if got := read(`[...document.querySelectorAll("#versions details[open] tbody tr")].map((r) => [...r.cells].map((c) => c.textContent).join("/")).join("|")`); got != "new, all/80.5/61.2/−24.0−30.1 to −18.2/better|old, activity A12/70.0/70.7/+1.0/cannot tell" {
		t.Errorf("figures: %s", got)
	}
	read(`(document.getElementById("serving").parentElement.scrollIntoView(), "")`)
	axe := browser.AxeScript(t)
	page.CheckAccess(axe, "the versions")
	page.Screenshot("models.png")
	if over := read(`String(document.querySelector("aside").scrollWidth - document.querySelector("aside").clientWidth)`); over != "0" {
		t.Errorf("the panels are %s px wider than their column", over)
	}

	press("Promote: edge 4")
	answer("Let edge 4 make the poses from now on?", "no")
	press("Run beside: edge 4")
	answer("Let edge 4 run beside the model in use?", "yes")
	wait("the comparison is said", note("It runs beside for 200 poses; then its distance is told here."))
	press("Promote: edge 4")
	answer("Let edge 4 make the poses from now on?", "yes")
	wait("the promotion is said", note("edge 4 makes the poses; before it was edge 2."))
	wait("and shown", states("edge 4 promoted,edge 3 rejected,edge 2 retired"))
	wait("what was open stays open", `document.querySelector("#versions li").querySelector("details").open`)
	press("Promote: edge 3")
	answer("edge 3 was rejected: <b>not better</b> by the margin of 2 %. Let it make the poses all the same?", "yes")
	wait("what was refused is said", note("Not done: model edge/3: weights.safetensors was changed after it was added"))
	read(`(document.getElementById("rollback").click(), "")`)
	answer("Let edge 2, which made the poses before, make them again?", "yes")
	wait("the way back is said", note("edge 2 makes the poses again."))
	wait("and shown too", states("edge 2 promoted,edge 4 candidate,edge 3 rejected"))
	if got, want := s.did(), []string{`model.shadow{"name":"edge","version":"4","ticks":200}`, `model.swap{"name":"edge","version":"4"}`, `model.swap{"name":"edge","version":"3"}`, `model.rollback{}`}; !slices.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
	s.mu.Lock()
	s.serving, s.fixed = "4", "/models/own"
	s.mu.Unlock()
	publish(t, nc, "model.event", map[string]any{"type": "promoted", "model": map[string]string{"name": "edge", "version": "4"}, "reason": "by another screen"})
	wait("what another screen did shows", states("edge 4 promoted,edge 3 rejected,edge 2 retired"))
	wait("model.path forbids changes", `document.getElementById("versionsNote").textContent.startsWith("model.path is /models/own: ") && document.getElementById("rollback").disabled && [...document.querySelectorAll("#versions button")].every((b) => b.disabled)`)

	viewer := Visitor{Name: "screen", Valid: func() bool { return true }}
	looks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(context.WithValue(r.Context(), guarded{}, true), visitorKey{}, viewer)
		room.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(looks.Close)
	page.Goto(looks.URL + "/engineer")
	wait("a viewer sees them", states("edge 4 promoted,edge 3 rejected,edge 2 retired"))
	wait("and changes nothing", `document.querySelectorAll("#versions button").length === 0 && document.getElementById("rollback").disabled`)
}
