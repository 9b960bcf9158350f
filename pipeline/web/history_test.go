package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/pipeline/web/browser"
)

// archive stands for the daemon's history: who is kept, and what was asked for.
type archive struct {
	chooser
	mu      sync.Mutex
	keeping string
	sets    map[string][]map[string]any // lines by person
	deleted []string
}

func (a *archive) ask(ctx context.Context, user, password, name string, request []byte) ([]byte, error) {
	if name == "exercise" {
		return a.choose(ctx, user, password, name, request)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var q struct {
		Subject string
		Consent bool
	}
	if err := json.Unmarshal(request, &q); err != nil {
		return nil, err
	}
	reply := map[string]any{}
	switch name {
	case "history.begin":
		if !q.Consent {
			return nil, errors.New("nothing is kept without consent")
		}
		a.keeping = q.Subject
	case "history.end":
		a.keeping = ""
	case "history.delete":
		a.deleted = append(a.deleted, q.Subject)
		delete(a.sets, q.Subject)
	case "history.get":
		reply["keeping"], reply["subjects"] = a.keeping, slices.Sorted(maps.Keys(a.sets))
		if q.Subject != "" {
			reply = map[string]any{"sets": a.sets[q.Subject], "left_out": 7}
		}
	default:
		return nil, fmt.Errorf("the page asks for %s", name)
	}
	return json.Marshal(reply)
}

func (a *archive) whose() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keeping
}

// health publishes the part of the status, as the daemon's keeper makes it.
func (a *archive) health(t *testing.T, nc *nats.Conn, code, severity string) {
	t.Helper()
	publish(t, nc, "status", map[string]any{"room": "room1", "state": "online", "parts": []any{map[string]any{"part": "history", "code": code, "severity": severity, "text": code + a.whose()}}})
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestHistoryInBrowser: the page says what is kept and what not, keeps with consent
// only, shows how the movement went, and deletes.
func TestHistoryInBrowser(t *testing.T) {
	axe := browser.AxeScript(t)
	a := &archive{sets: map[string][]map[string]any{}}
	for i, best := range []float64{80, 84, 95, 101} {
		set := setSummary(fmt.Sprint("s", i))
		set["range_of_motion"] = map[string]any{"median": best - 4, "best": best}
		a.sets["P017"] = append(a.sets["P017"], map[string]any{"subject": "P017", "kept": time.Date(2026, 9, 1+9*i, 10, 0, 0, 0, time.UTC), "set": set})
	}
	nc := startBus(t)
	a.list(t, nc)
	srv := httptest.NewServer(Handler(nc, "room1", Options{Ask: a.ask}))
	t.Cleanup(srv.Close)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	page := browser.Open(t, srv.URL)
	page.Wait("without a history nothing is kept, and that is said", `document.getElementById("kept").textContent.startsWith("Not kept: the history is off") && document.getElementById("keep").offsetParent === null`)
	a.health(t, nc, "idle", "ok")
	page.Wait("it is on", `document.getElementById("kept").textContent.startsWith("Not kept: nobody") && document.getElementById("keep").offsetParent !== null`)

	code := func(code string) {
		page.Read(`(e => { e.value = "` + code + `"; e.dispatchEvent(new Event("input")); return "" })(document.getElementById("code"))`)
	}
	click := func(id string) { page.Read(`(document.getElementById("` + id + `").click(), "")`) }
	answer := func(what, question, value string) {
		page.Wait(what, `document.getElementById("ask").open && document.getElementById("question").textContent.includes("`+question+`")`)
		page.Read(`(document.querySelector('#ask button[value="` + value + `"]').click(), "")`)
		page.Wait(what+", answered", `!document.getElementById("ask").open`)
	}
	code("../P017")
	click("keep")
	page.Wait("a path is no pseudonym", `document.getElementById("historyNote").textContent.includes("letters, digits") && !document.getElementById("ask").open`)
	code("P017")
	click("keep")
	answer("it asks whether the person agreed", "Only if the person has agreed", "no")
	if got := a.whose(); got != "" {
		t.Fatalf("%s is kept although nobody agreed", got)
	}
	click("keep")
	answer("it asks again", "sets of P017", "yes")
	testenv.Wait(t, "P017 is kept", func() bool { return a.whose() == "P017" })
	a.health(t, nc, "keeping", "ok")
	page.Wait("it is said whose", `document.getElementById("kept").textContent === "The sets of P017 are kept." && document.getElementById("keep").offsetParent === null`)
	code("P018")
	page.Wait("another code is a warning", `document.getElementById("kept").textContent === "Careful: the sets of P017 are kept, not those of P018."`)
	code("P017")
	a.health(t, nc, "unwritable", "error")
	page.Wait("a full disk is said", `document.getElementById("kept").className === "bad" && document.getElementById("kept").textContent.includes("The session goes on")`)
	a.health(t, nc, "read_only", "error")
	page.Wait("a disk that was read-only from the start is said", `document.getElementById("kept").className === "bad" && document.getElementById("kept").textContent.startsWith("Nothing is kept: the computer's disk")`)
	a.health(t, nc, "keeping", "ok")

	click("showHistory")
	page.Wait("four sets are listed, the newest first", `document.querySelectorAll("#history tbody tr").length === 4 && document.querySelector("#history tbody tr").textContent.includes("101°")`)
	for _, width := range []int64{1440, 820, 390} {
		page.Size(width, 1180, width < 1000)
		for _, language := range []string{"de", "fr", "zh", "en"} {
			page.Read(`(document.getElementById("language").value = "` + language + `", document.getElementById("language").dispatchEvent(new Event("change")), "")`)
			page.Wait(fmt.Sprintf("at %d pixels in %s nothing is beside the screen and no button on a heading", width, language), fmt.Sprintf(`document.documentElement.scrollWidth <= %d &&
				["sets", "history"].every((id) => { const h = document.querySelector("#" + id + " h2").getBoundingClientRect();
					return [...document.querySelectorAll("#" + id + " button")].filter((b) => b.offsetParent).map((b) => b.getBoundingClientRect()).every((b) => b.right <= %[1]d && (b.left >= h.right || b.top >= h.bottom)) })`, width)) // innerWidth grows with what is too wide
		}
	}
	page.Size(1280, 800, false)
	page.Wait("the trend rises", `((p) => p.length === 4 && p.every((v, i) => i === 0 || v[0] > p[i - 1][0] && v[1] < p[i - 1][1]))(document.querySelector("#trends polyline").getAttribute("points").split(" ").map((v) => v.split(",").map(Number)))`)
	page.Wait("what is not shown is told", `document.getElementById("historyOf").textContent.startsWith("History of P017: 4 sets · 7 older")`)
	page.CheckAccess(axe, "the history")
	page.Screenshot("history.png")
	if text, _ := page.Printed(); !containsAll(text, "History of P017", "range of each set, 76° to 97°", "101°") {
		t.Errorf("the history is not on paper: %s", text)
	}
	click("historyDelete")
	answer("it asks before it deletes", "cannot be brought back", "yes")
	page.Wait("nothing is kept any more", `document.getElementById("historyNote").textContent === "Nothing is kept of P017 any more." && document.querySelector("#history table").offsetParent === null`)
	click("showHistory")
	page.Wait("nothing is there", `document.getElementById("historyNote").textContent === "Nothing is kept of P017."`)
	publish(t, nc, "exercise.summary", setSummary("set"))
	page.Wait("a set is listed", `!document.getElementById("clear").disabled`)
	click("clear")
	answer("a new patient", "Begin anew", "yes")
	testenv.Wait(t, "a new patient ends the keeping", func() bool { return a.whose() == "" })
	page.CheckConsole()
}

func containsAll(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
}
