package web

import (
	"context"
	"encoding/csv"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/pipeline/web/browser"
)

// sleepy gives a page a clock that is a day behind, and lets it sleep: no message of
// its open sockets arrives any more, as of a tablet whose network went away unnoticed,
// and when it wakes an hour has gone by.
const sleepy = `
window.skipped = 0;
window.away = false;
{
  const now = performance.now.bind(performance), date = Date.now;
  performance.now = () => now() + window.skipped;
  Date.now = () => date() + window.skipped - 86_400_000;
  Object.defineProperty(Document.prototype, "hidden", { get: () => window.away });
  const sockets = [];
  window.WebSocket = class extends WebSocket {
    constructor(...args) { super(...args); sockets.push(this); }
    set onmessage(take) { super.onmessage = (e) => { if (!this.lost) take(e); }; }
  };
  window.sleep = () => { window.away = true; for (const s of sockets) s.lost = true; document.dispatchEvent(new Event("visibilitychange")); };
  window.wake = () => { window.skipped += 3_600_000; window.away = false; document.dispatchEvent(new Event("visibilitychange")); };
  window.saved = [];
  URL.createObjectURL = (blob) => { blob.text().then((text) => window.saved.push(text)); return "#"; };
  URL.revokeObjectURL = () => {};
}`

// TestTabletInBrowser: a tablet whose clock is wrong, that slept for an hour, and
// beside which another one is used shows what is so; its patient codes are no formulas
// in a spreadsheet.
func TestTabletInBrowser(t *testing.T) {
	c := &chooser{chosen: []string{"A12"}}
	nc := startBus(t)
	c.list(t, nc)
	srv := httptest.NewServer(Handler(nc, "room1", Options{Ask: c.choose}))
	t.Cleanup(srv.Close)
	room := &therapy{counts: true, reps: 7}
	ctx, cancel := context.WithCancel(t.Context())
	var talking sync.WaitGroup
	t.Cleanup(func() { cancel(); talking.Wait() })
	talking.Go(func() { room.run(ctx, t, nc) })

	page := browser.Open(t, "about:blank")
	page.Size(1024, 768, true)
	page.Before(sleepy)
	page.Goto(srv.URL)
	wait, read := page.Wait, page.Read
	measuring := `document.getElementById("state").textContent === "Measuring with 4 of 4 sensors"`
	count := func(n string) string { return `document.getElementById("count").textContent === "` + n + `"` }
	wait("a wrong clock does no harm", measuring+` && `+count("7"))

	read(`(window.sleep(), "")`)
	room.set(func(s *therapy) { s.reps, s.finished = 9, 1 })
	testenv.Wait(t, "the set ends meanwhile", func() bool { room.mu.Lock(); defer room.mu.Unlock(); return room.reported })
	if got := read(`document.getElementById("count").textContent`); got != "7" {
		t.Errorf("a page that sleeps counts %s", got)
	}
	read(`(window.wake(), "")`)
	wait("after an hour it finds back", measuring)
	wait("the set that ended meanwhile is listed", count("9")+` && document.querySelectorAll("#sets tbody tr").length === 1`)

	if _, err := c.choose(t.Context(), "", "", "exercise", []byte(`{"exercises":["A09"]}`)); err != nil { // on another tablet
		t.Fatal(err)
	}
	publish(t, nc, "exercise.status", map[string]any{"state": "online", "looks_for": []string{"A09"}})
	wait("what the other tablet chose shows", `document.getElementById("choice").value === "A09"`)

	for i, code := range []string{`=HYPERLINK("http://x";"y")`, "+1+1", "-1", "@SUM(A1)", "a,\"b\"\nc", nasty} {
		text := read(`(e => { e.value = ` + quoteJS(code) + `; e.dispatchEvent(new Event("input")); return e.value })(document.getElementById("code"))`)
		read(`(document.getElementById("csv").click(), "")`)
		wait("the file of "+code, `window.saved.length === `+string(rune('1'+i)))
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(read(`window.saved.at(-1)`), "\ufeff"))).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%q: %v, %d rows", code, err, len(rows))
		}
		want := text
		if strings.ContainsRune("=+-@", rune(text[0])) {
			want = "'" + text
		}
		if rows[1][0] != want || rows[1][2] != "A12" {
			t.Errorf("%q: %q", code, rows[1])
		}
	}

	// A German spreadsheet takes 104.5 for text, and 104,5 in a file of commas for two cells.
	read(`(document.getElementById("language").value = "de", document.getElementById("language").dispatchEvent(new Event("change")), document.getElementById("csv").click(), "")`)
	wait("the file in German", `window.saved.length === 7`)
	german := csv.NewReader(strings.NewReader(strings.TrimPrefix(read(`window.saved.at(-1)`), "\ufeff")))
	german.Comma = ';'
	rows, err := german.ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("in German: %v, %d rows", err, len(rows))
	}
	fractions := 0
	for k, text := range rows[1] {
		switch rows[0][k] {
		case "range_median", "range_best", "tempo_median_s", "tempo_best_s", "regularity", "symmetry":
			if strings.Contains(text, ".") {
				t.Errorf("in German %s is %q", rows[0][k], text)
			}
			if strings.Contains(text, ",") {
				fractions++
			}
		case "time":
			if !strings.Contains(text, ".") {
				t.Errorf("in German the time is %q", text)
			}
		}
	}
	if fractions == 0 {
		t.Errorf("in German there is no number with a comma in %q", rows[1])
	}
	page.CheckConsole()
}

// quoteJS writes a string as JavaScript.
func quoteJS(s string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`", "$", "\\$").Replace(s) + "`"
}
