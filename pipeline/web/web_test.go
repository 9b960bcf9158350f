package web

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/pipeline/web/browser"
)

// startBus runs a real broker on a free loopback port.
func startBus(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(testenv.Patience) {
		t.Fatal("broker not ready")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); s.Shutdown(); s.WaitForShutdown() })
	return nc
}

func publish(t *testing.T, nc *nats.Conn, what string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("posefuse.room1."+what, b); err != nil {
		t.Fatal(err)
	}
}

// standing is a person 3 m in front of the sensors, room frame.
var standing = [17][3]float64{{0, 3.1, .95}, {-.1, 3.1, .93}, {-.1, 3.1, .5}, {-.1, 3.1, .08}, {.1, 3.1, .93}, {.1, 3.1, .5}, {.1, 3.1, .08}, {0, 3.1, 1.2},
	{0, 3.1, 1.45}, {0, 3.05, 1.57}, {0, 3.1, 1.72}, {.2, 3.1, 1.42}, {.25, 3.1, 1.13}, {.26, 3.05, .88}, {-.2, 3.1, 1.42}, {-.25, 3.1, 1.13}, {-.26, 3.05, .88}}

func poseMessage(seq int, lost string) map[string]any {
	joints := standing
	joints[13][2] = 1.3 + 0.5*math.Sin(float64(seq)/5)
	joints[12][2] = 1.3
	spread := make([]float64, 17)
	modalities := map[string]any{}
	coalition := ""
	for _, m := range "RLMW" {
		k := string(m)
		if k == lost || k == "L" && lost == "late L" && seq%2 == 0 {
			state := "stale"
			if k != lost {
				state = "late"
			}
			modalities[k] = map[string]any{"state": state, "presence": false, "age_ms": nil, "skew_ms": nil}
			continue
		}
		coalition += k
		modalities[k] = map[string]any{"state": "fused", "presence": true, "age_ms": 40.5 + float64(seq%7), "skew_ms": 1.5,
			"influence_mm": map[string]float64{"R": 131, "L": 43.6, "M": 18.9, "W": 3.7}[k] * (1 + 0.1*math.Sin(float64(seq)/9))}
	}
	for j := range spread {
		spread[j] = 25
	}
	spread[12], spread[13] = 70, 140 // the arm that moves
	return map[string]any{"schema": "posefuse.pose.v1", "room": "room1", "seq": seq, "frame": "room", "joints_m": joints, "spread_mm": spread, "coalition": coalition,
		"modalities": modalities, "model": map[string]any{"name": "edge", "version": "1", "sha256": strings.Repeat("ab", 32)}, "latency_ms": map[string]any{"align": 1.0, "infer": 5.0, "total": 8 + float64(seq%5)}}
}

// feedRoom publishes poses, points and sensor states at 10 Hz until ctx ends.
func feedRoom(ctx context.Context, t *testing.T, nc *nats.Conn, lost *string, mu *sync.Mutex) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for seq := 1; ; seq++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		mu.Lock()
		gone := *lost
		mu.Unlock()
		publish(t, nc, "pose", poseMessage(seq, gone))
		cloud := make([][3]float64, 300)
		for i := range cloud {
			a := float64(i)
			cloud[i] = [3]float64{0.3 * math.Sin(a), 3 + 0.1*math.Cos(a), 1.7 * a / 300}
		}
		publish(t, nc, "points", map[string]any{"room": "room1", "frame": "room", "lidar": cloud, "radar": [][4]float64{{0, 3, 1, .4}, {.2, 3, 1.2, -.3}}})
		if seq%10 == 1 {
			for i, name := range []string{"camera", "lidar", "radar", "csi"} {
				publish(t, nc, "sensor."+name, map[string]any{"simulated": name == "lidar", "name": name, "modality": "RLMW"[i : i+1], "state": "live", "rate_hz": 10.0, "age_ms": 40.0, "skew_ms": 1.0, "counters": map[string]int{"in": seq, "late": 2}})
			}
			publish(t, nc, "status", map[string]any{"state": "online", "parts": []map[string]string{{"part": "model", "text": "edge model loaded", "severity": "ok"}, {"part": "sensor.radar", "text": "live", "severity": "ok"}}})
			publish(t, nc, "exercise.status", map[string]any{"state": "online"})
			publish(t, nc, "exercise.event", map[string]any{"type": "update", "name": "squat", "exercise": "A12", "phase": "out", "repetitions": seq / 10, "angles_deg": map[string]float64{"kneeFlexion": 72.4, "trunkLean": 21}, "faults": []any{}})
		}
	}
}

// TestPageInBrowser opens the real page in a real Chromium.
func TestPageInBrowser(t *testing.T) {
	if _, err := os.Stat("dist/index.html"); err != nil {
		t.Fatal("the page is not built: run make web")
	}
	nc := startBus(t)
	srv := httptest.NewServer(Handler(nc, "room1", Options{}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	lost := ""
	var feeding sync.WaitGroup
	defer feeding.Wait()
	stop, stopFeed := context.WithCancel(ctx)
	defer stopFeed()
	feeding.Go(func() { feedRoom(stop, t, nc, &lost, &mu) })

	page := browser.Open(t, srv.URL+"/engineer")
	page.Size(960, 640, false) // what is drawn without a GPU costs by its size
	wait, read := page.Wait, page.Read
	wait("the page goes live", `document.getElementById("link").textContent === "Measuring with 4 of 4 sensors"`)
	wait("what is made up is called so", `document.getElementById("simulated").textContent === "SIMULATED: LiDAR"`)
	before := read(`document.getElementById("view").dataset.wrist`)
	wait("the skeleton moves", fmt.Sprintf(`document.getElementById("view").dataset.wrist !== %q`, before))
	wait("points are drawn", `document.getElementById("view").dataset.lidar === "300" && document.getElementById("view").dataset.radar === "2"`)
	wait("four sensors are live", `document.querySelectorAll("#sensors .state.live").length === 4`)
	wait("only the simulated sensor is called so", `[...document.querySelectorAll("#sensors td small")].map((e) => e.textContent).join() === ",simulated,,"`)
	wait("poses arrive at 10 Hz", `Math.abs(parseFloat(document.getElementById("fps").textContent) - 10) < 1`)
	wait("the exercise counts", `parseInt(document.getElementById("reps").textContent) >= 1 && document.getElementById("exercise").textContent === "squat"`)
	bar := func(m string) string {
		return fmt.Sprintf(`document.querySelector('#influence li[data-modality="%s"] i').getBoundingClientRect().width`, m)
	}
	wait("influence is drawn to scale", bar("R")+` > 2 * `+bar("L")+` && `+bar("L")+` > `+bar("M")+` && `+bar("M")+` > `+bar("W")+` && `+bar("W")+` > 0`)
	wait("influence is told in mm", `/^1[0-9][0-9]$/.test(document.querySelector('#influence li[data-modality="R"] b').textContent) && document.getElementById("influenceNote").textContent === ""`)
	if over := read(`String(document.querySelector("aside").scrollWidth - document.querySelector("aside").clientWidth)`); over != "0" {
		t.Errorf("the panels are %s px wider than their column", over)
	}
	page.Screenshot("page.png")
	wait("joints are white", `document.getElementById("view").dataset.wristColour === "ffffff"`)
	read(`document.getElementById("colourSpread").click(), ""`)
	wait("the uncertain wrist turns red", `(c => parseInt(c.slice(0, 2), 16) > 240 && parseInt(c.slice(2, 4), 16) < 130)(document.getElementById("view").dataset.wristColour)`)
	page.Screenshot("spread.png")
	read(`document.getElementById("colourSpread").click(), ""`)
	set := func(s string) { mu.Lock(); lost = s; mu.Unlock() }
	set("late L")
	wait("a late LiDAR is late", `document.querySelector('#sensors tr[data-modality="L"] .state').textContent === "late"`)
	if notice := read(`document.getElementById("notice").textContent`); strings.Contains(notice, "missing") {
		t.Errorf("the page says %q of a sensor that is late for every second pose", notice)
	}
	set("M")
	wait("the lost radar shows", `document.querySelector('#sensors tr[data-modality="M"] .state').textContent === "lost" && document.getElementById("notice").textContent === "Radar missing, still measuring"`)
	wait("the lost radar has no influence", `document.querySelector('#influence li[data-modality="M"] b').textContent === "–" && `+bar("M")+` < 1`)
	set("")
	wait("the radar is back", `document.querySelectorAll("#sensors .state.live").length === 4 && document.getElementById("notice").textContent === ""`)
	stopFeed()
	feeding.Wait()
	wait("a silent daemon shows", `/^Stopped [0-9]+ s ago$/.test(document.getElementById("link").textContent) && document.getElementById("view").dataset.stale === "true"`)
	wait("no sensor is called live", `document.querySelectorAll("#sensors .state.live").length === 0`)
	drawn := read(`document.getElementById("view").dataset.drawn`)
	wait("the top is shown", `(document.dispatchEvent(new KeyboardEvent("keydown", {key: "3"})), document.getElementById("view").dataset.view === "top")`)
	wait("it is drawn", `Number(document.getElementById("view").dataset.drawn) > `+drawn)
	page.Screenshot("top.png")
	page.CheckConsole()
}

func TestPageLoadsNothingFromElsewhere(t *testing.T) {
	srv := httptest.NewServer(Handler(startBus(t), "room1", Options{}))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got := resp.Header.Get("Content-Security-Policy"); got != contentPolicy {
		t.Fatalf("content security policy %q", got)
	}
}

func TestViewerThatNeverReadsIsCut(t *testing.T) {
	nc := startBus(t)
	srv := httptest.NewServer(Handler(nc, "room1", Options{}))
	defer srv.Close()
	base := nc.NumSubscriptions() // to what is kept
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	stuck, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stuck.CloseNow() }()
	testenv.Wait(t, "the viewer's subscription", func() bool { return nc.NumSubscriptions() > base })
	big := map[string]string{"text": strings.Repeat("x", 64<<10)}
	testenv.Wait(t, "the viewer that never reads loses its subscription", func() bool {
		publish(t, nc, "status", big)
		return nc.NumSubscriptions() == base
	})
}

func TestPageOfAnotherOriginGetsNoFeed(t *testing.T) {
	srv := httptest.NewServer(Handler(startBus(t), "room1", Options{}))
	defer srv.Close()
	_, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http")+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}})
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Fatalf("got %v, %v; want 403", resp, err)
	}
}

// Other programs may publish below the room's subjects; what would break a
// frame stays out of the feed.
func TestFeedIsJSON(t *testing.T) {
	nc := startBus(t)
	srv := httptest.NewServer(Handler(nc, "room1", Options{}))
	defer srv.Close()
	base := nc.NumSubscriptions()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	viewer, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = viewer.CloseNow() }()
	testenv.Wait(t, "the viewer's subscription", func() bool { return nc.NumSubscriptions() > base })
	for subject, text := range map[string]string{"status": "{", "pose": "", `x"y`: "{}", `x\y`: "{}", "ctl.status": "{}", "keypoints": "{}"} {
		if err = nc.Publish("posefuse.room1."+subject, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, nc, "status", map[string]string{"state": "online"})
	_, frame, err := viewer.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(frame), `{"s":"status","m":{"state":"online"}}`; got != want {
		t.Errorf("first frame %s, want %s", got, want)
	}
}
