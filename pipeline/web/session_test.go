package web

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/pipeline/web/browser"
)

// therapy is a room in which somebody squats: what its daemon says, ten times a
// second, until it is stopped.
type therapy struct {
	mu                          sync.Mutex
	lost                        string // modality, "all" or "person"
	counts                      bool
	reps                        int
	fault                       bool
	finished                    int // sets
	paused, simulated, reported bool
}

func (s *therapy) set(change func(*therapy)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func setSummary(id string) map[string]any {
	return map[string]any{"id": id, "exercise": "A12", "name": "squat", "repetitions": 9, "target_repetitions": 10, "left": 0, "right": 0, "incomplete": 1, "not_judged": 0,
		"range_of_motion": map[string]any{"median": 88.4, "best": 97.6}, "range_unit": "deg", "tempo_s": map[string]any{"median": 2.13, "best": 1.9}, "regularity": 0.1, "symmetry": nil,
		"faults": []any{map[string]any{"key": "trunk_lean", "measured": 61.0, "limit": 50.0, "unit": "deg", "verdict": "fault", "text": "x"}}}
}

func (s *therapy) say(t *testing.T, nc *nats.Conn, seq int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused {
		return
	}
	lost := s.lost
	pose := poseMessage(seq, lost)
	if lost == "all" {
		for _, m := range pose["modalities"].(map[string]any) {
			m := m.(map[string]any)
			m["state"], m["presence"] = "stale", false
		}
		pose["coalition"] = "-"
	}
	if lost == "all" || lost == "person" {
		pose["joints_m"] = nil
	}
	publish(t, nc, "pose", pose)
	if s.counts {
		publish(t, nc, "exercise.live", map[string]any{"id": "set", "exercise": "A12", "name": "squat", "value": 40 + float64(seq%60), "value_name": "knee bend", "value_unit": "deg",
			"rest": 5, "target": 110, "zone_from": 89, "repetitions": s.reps, "target_repetitions": 10})
	}
	if seq%10 != 1 {
		return
	}
	for i, name := range []string{"camera", "lidar", "radar", "csi"} {
		publish(t, nc, "sensor."+name, map[string]any{"simulated": s.simulated, "name": name, "modality": "RLMW"[i : i+1], "state": "live", "rate_hz": 10.0, "counters": map[string]int{}})
	}
	publish(t, nc, "status", map[string]any{"room": "room1", "state": "online", "parts": []any{}})
	if !s.counts {
		return
	}
	publish(t, nc, "exercise.status", map[string]any{"state": "online", "looks_for": []string{"A12"}})
	event := map[string]any{"room": "room1", "type": "update", "id": "set", "name": "squat", "exercise": "A12", "phase": "out", "repetitions": s.reps, "target_repetitions": 10, "faults": []any{}}
	if s.fault {
		event["faults"] = []any{map[string]any{"key": "shallow", "measured": 62.0, "limit": 89.0, "unit": "deg", "verdict": "fault", "text": "x"}}
	}
	if s.finished == 0 {
		publish(t, nc, "exercise.event", event)
		return
	}
	if !s.reported {
		s.reported = true
		event["type"] = "end"
		publish(t, nc, "exercise.event", event)
		publish(t, nc, "exercise.summary", setSummary("set"))
	}
}

// run talks until ctx ends.
func (s *therapy) run(ctx context.Context, t *testing.T, nc *nats.Conn) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for seq := 1; ; seq++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.say(t, nc, seq)
		}
	}
}

const nasty = `P/0"1'<script>document.title="gone"</script>`

// TestSessionInBrowser: a session as therapist and patient see it, in one browser.
func TestSessionInBrowser(t *testing.T) {
	c := &chooser{chosen: []string{"A12"}}
	nc := startBus(t)
	c.list(t, nc)
	srv := httptest.NewServer(Handler(nc, "room1", Options{Ask: c.choose}))
	t.Cleanup(srv.Close)
	room := &therapy{simulated: true}
	ctx, cancel := context.WithCancel(t.Context())
	var talking sync.WaitGroup
	t.Cleanup(func() { cancel(); talking.Wait() })
	talking.Go(func() { room.run(ctx, t, nc) })

	page := browser.Open(t, srv.URL)
	wait, read := page.Wait, page.Read
	is := func(id, text string) string {
		return `document.getElementById("` + id + `").textContent === "` + text + `"`
	}
	wait("all four measure", is("state", "Measuring with 4 of 4 sensors"))
	wait("what is made up is called so", is("simulated", "SIMULATED"))
	wait("nobody counts", is("advice", "Nobody counts: exercise is off")+" && "+is("count", "–"))
	wait("the figure stands", `document.querySelector("#figure g").getAttribute("visibility") === "visible"`)
	wait("the left hand is on the right, as seen from the camera", `Number(document.querySelectorAll("#figure text")[0].getAttribute("x")) > Number(document.querySelectorAll("#figure text")[1].getAttribute("x"))`)

	room.set(func(s *therapy) { s.counts, s.reps = true, 7 })
	wait("the count shows", is("count", "7")+" && "+is("of", "of 10")+" && "+is("name", "squat"))
	wait("it is read from three metres", `parseFloat(getComputedStyle(document.getElementById("count")).fontSize) >= 160`)
	wait("the bar moves", `!document.getElementById("bar").hidden && parseFloat(document.getElementById("value").style.height) > 20 && parseFloat(document.getElementById("zone").style.height) > 10 && document.getElementById("reading").textContent.includes("target 110°")`)
	room.set(func(s *therapy) { s.fault = true })
	wait("one sentence says what to do", is("advice", "Go further: 62°, at least 89° is wanted."))
	page.Screenshot("session.png")
	pick := func(id, value string) {
		read(`(e => { e.value = "` + value + `"; e.dispatchEvent(new Event("change")); return "" })(document.getElementById("` + id + `"))`)
	}
	for _, l := range [][2]string{{"de", "Messung mit 4 von 4 Sensoren"}, {"fr", "Mesure avec 4 "}, {"zh", "正在用 4 个传感器中的 4 个测量"}, {"en", "Measuring with 4 of 4 sensors"}} {
		lang, want := l[0], l[1]
		pick("language", lang)
		wait(lang, `document.getElementById("state").textContent.startsWith("`+want+`") && document.documentElement.lang === "`+lang+`"`)
	}
	room.set(func(s *therapy) { s.fault = false })

	read(`(e => { e.value = ` + "`" + nasty + "`" + `; e.dispatchEvent(new Event("input")); return "" })(document.getElementById("code"))`)
	wait("the exercise can be started", `!document.getElementById("start").disabled`)
	read(`(document.getElementById("fewer").click(), "")`)
	wait("the set goes on", is("count", "7"))
	for _, q := range [][3]string{{"stop", "End the set that is going on (7)?", "no"}, {"stop", "End the set that is going on (7)?", "yes"}, {"start", "A set is going on (7). End it and start squat?", "yes"}} {
		read(`(document.getElementById("` + q[0] + `").click(), "")`)
		wait(q[0]+" asks while a set goes on", `document.getElementById("ask").open && `+is("question", q[1]))
		read(`(document.querySelector('#ask button[value="` + q[2] + `"]').click(), "")`)
		wait("the answer is taken", `!document.getElementById("ask").open`)
	}
	wait("the start is confirmed", is("note", "Started: squat"))
	if got := c.looksFor(); got != "A12" {
		t.Errorf("looks for %q", got)
	}
	page.Reload()
	wait("a reload in mid-set keeps the count", is("count", "7")+` && document.getElementById("code").value.startsWith("P/0")`)

	for _, l := range [][2]string{{"M", "Radar missing, still measuring"}, {"person", "Nobody in view"}, {"all", "No sensor, not measuring"}, {"", "Measuring with 4 of 4 sensors"}} {
		lost, want := l[0], l[1]
		room.set(func(s *therapy) { s.lost = lost })
		wait(want, is("state", want))
	}
	room.set(func(s *therapy) { s.finished = 1 })
	wait("the set is listed", `document.querySelectorAll("#sets tbody tr").length === 1 && document.querySelector("#sets tbody").textContent.includes("98° (median 88°)") && document.querySelector("#sets tbody").textContent.includes("Keep the trunk upright")`)
	wait("the patient rests", `/^Rest 0:0[0-9]$/.test(document.getElementById("rest").textContent)`)
	page.Screenshot("finished.png")
	page.Reload()
	wait("the list survives a reload, once", `document.querySelectorAll("#sets tbody tr").length === 1 && document.title === "posefuse" && `+is("room", "room1")+" && "+is("state", "Measuring with 4 of 4 sensors"))
	text, pdf := page.Printed()
	for _, want := range []string{nasty, "squat", "9 / 10", "Keep the trunk upright", "not a medical device", "room1", "Session report", "SIMULATED"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q: %s", want, text)
		}
	}
	if strings.Contains(text, "Download") || strings.Contains(text, "Measuring") || pdf < 5000 {
		t.Errorf("the report shows what is for the screen, or nothing (%d bytes): %s", pdf, text)
	}
	room.set(func(s *therapy) { s.paused = true })
	wait("a stopped daemon shows", `/^Stopped [0-9]+ s ago$/.test(document.getElementById("state").textContent) && document.body.classList.contains("stale")`)
	page.Reload()
	wait("a page that comes meanwhile shows the last pose, as an old one", `/^Stopped [0-9]+ s ago$/.test(document.getElementById("state").textContent) && document.body.classList.contains("stale") && document.querySelector("#figure g").getAttribute("visibility") === "visible"`)
	room.set(func(s *therapy) { s.paused = false })
	wait("it is back", is("state", "Measuring with 4 of 4 sensors"))
	page.CheckConsole()
}
