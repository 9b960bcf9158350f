package web

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/pipeline/web/browser"
)

// raised is a person in a picture of 640 x 480 whose right ankle is a guess.
var raised = [17][3]float64{{320, 90, .9}, {326, 84, .8}, {314, 84, .8}, {334, 88, .7}, {306, 88, .7}, {352, 140, .9}, {288, 140, .9}, {360, 190, .9}, {280, 190, .9},
	{364, 236, .9}, {276, 60, .9}, {340, 240, .9}, {300, 240, .9}, {340, 315, .9}, {300, 315, .9}, {340, 385, .9}, {300, 385, .05}}

// showCamera publishes what the camera sees at 10 Hz until ctx ends: a person,
// nobody or others, as view says.
func showCamera(ctx context.Context, t *testing.T, nc *nats.Conn, view *atomic.Value) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for seq := 1; ; seq++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m := map[string]any{"schema": "posefuse.image_keypoints.v1", "room": "room1", "capture_ns": seq, "width": 640, "height": 480, "keypoints": raised, "others": false}
		pose := poseMessage(seq, "none")
		switch view.Load() {
		case "nobody":
			m["keypoints"] = nil
			pose = poseMessage(seq, "R")
		case "others":
			m["others"] = true
		case "silent":
			continue
		}
		publish(t, nc, "image_keypoints", m)
		publish(t, nc, "pose", pose)
	}
}

// openCamera opens the page in a real browser over a camera that sees a person.
// It returns what the camera sees, to be changed, and how often the browser
// asked for pictures, which pictures answers.
func openCamera(t *testing.T, opt Options, pictures http.HandlerFunc) (page *browser.Page, view *atomic.Value, asked *atomic.Int64) {
	t.Helper()
	if _, err := os.Stat("dist/index.html"); err != nil {
		t.Fatal("the page is not built: run make web")
	}
	nc := startBus(t)
	handler := Handler(nc, "room1", opt)
	asked = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "camera") {
			asked.Add(1)
			if pictures != nil {
				pictures(w, r)
				return
			}
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	view = &atomic.Value{}
	view.Store("person")
	ctx, cancel := context.WithCancel(t.Context())
	var feeding sync.WaitGroup
	feeding.Go(func() { showCamera(ctx, t, nc, view) })
	t.Cleanup(func() { cancel(); feeding.Wait() })
	return browser.Open(t, srv.URL+"/engineer"), view, asked
}

// TestFigureInBrowser: the page draws the joints that the camera found, says
// when nobody or somebody else is in view, and never asks for a picture.
func TestFigureInBrowser(t *testing.T) {
	page, view, asked := openCamera(t, Options{}, nil)
	wait := page.Wait
	caption := `document.getElementById("inView").textContent`
	box := `document.querySelector("#camera > div").getBoundingClientRect()`
	wait("17 joints and their bones are drawn", `document.querySelectorAll("#figure circle[cx]").length === 17 && document.querySelectorAll("#figure line[x1]").length === 16`)
	wait("joints lie where the camera saw them", `(c => c.getAttribute("cx") === "276" && c.getAttribute("cy") === "60")(document.querySelectorAll("#figure circle")[10])`)
	wait("the figure has the picture's shape", `Math.abs(`+box+`.width / `+box+`.height - 640 / 480) < 0.02 && `+box+`.width > 150`)
	wait("the raised hand is above the nose on the screen", `(c => c[10].getBoundingClientRect().top < c[0].getBoundingClientRect().top)(document.querySelectorAll("#figure circle"))`)
	wait("a guessed joint is faint", `(c => c[16].getAttribute("opacity") < 0.25 && c[15].getAttribute("opacity") > 0.85)(document.querySelectorAll("#figure circle"))`)
	if got := page.Read(caption); got != "" {
		t.Errorf("the page says %q of one person", got)
	}
	page.Screenshot("figure.png")
	view.Store("others")
	wait("another person is told", caption+` === "another person in view"`)
	view.Store("nobody")
	wait("nobody is told", caption+` === "nobody in view" && document.getElementById("figure").classList.contains("empty")`)
	wait("the camera is not lost", `document.querySelector('#sensors tr[data-modality="R"] .state').textContent === "nobody" && document.getElementById("notice").textContent === ""`)
	view.Store("silent")
	wait("a silent camera is told", caption+` === "no picture"`)
	view.Store("person")
	wait("the person is back", caption+` === "" && !document.getElementById("figure").classList.contains("empty")`)
	if n := page.Read(`String(document.images.length + performance.getEntriesByType("resource").filter((e) => e.initiatorType === "img" || e.name.includes("camera")).length)`); n != "0" || asked.Load() != 0 {
		t.Errorf("%s pictures in the page, %d asked of the daemon", n, asked.Load())
	}
	page.CheckConsole()
}

// TestPictureInBrowser: with web.show_image the page shows the camera's
// pictures behind the figure, one after the other.
func TestPictureInBrowser(t *testing.T) {
	page, _, asked := openCamera(t, Options{ShowImage: func() bool { return true }}, func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 640, 480)), nil); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(b.Bytes())
	})
	page.Wait("the picture is shown", `document.images.length === 1 && document.images[0].naturalWidth === 640`)
	page.Wait("the figure lies on it", `(f => f("#camera svg").left === f("#camera img").left && f("#camera svg").width === f("#camera img").width)((s) => document.querySelector(s).getBoundingClientRect())`)
	seen := asked.Load()
	page.Wait("further pictures follow", fmt.Sprintf(`performance.getEntriesByType("resource").filter((e) => e.initiatorType === "img").length > %d`, seen+2))
	page.Wait("the page says so", `document.getElementById("imageNote").textContent.includes("web.show_image")`)
	page.Screenshot("picture.png")
	page.CheckConsole()
}

// TestNoPictureFromThePage: the page's own handler has no picture to give.
func TestNoPictureFromThePage(t *testing.T) {
	srv := httptest.NewServer(Handler(startBus(t), "room1", Options{}))
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/api/camera.jpg")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("answered with %d", resp.StatusCode)
	}
}
