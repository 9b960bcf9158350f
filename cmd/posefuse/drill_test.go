package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"posefuse/pipeline/bus"
	"posefuse/pipeline/web/browser"
	"posefuse/replay"
	"posefuse/replay/mmfi"
	"posefuse/replay/sim"
	"posefuse/sensors"
)

// play runs a simulated clip of five minutes on fake sensors until the test
// ends.
func (r *room) play(t *testing.T, key mmfi.ClipKey) *replay.Player {
	t.Helper()
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi", FramesPerClip: 3000, Subjects: []int{key.Subject}, Activities: []int{key.Activity}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.fakes()
	cfg.Data = ds
	player, err := replay.NewPlayer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- player.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("fake sensors: %v", err)
		}
	})
	return player
}

// TestSensorsComeAndGo unplugs each fake sensor in turn, then two at once:
// poses go on with the coalition named, and a sensor that is back is fused
// within three seconds.
func TestSensorsComeAndGo(t *testing.T) {
	r := startDaemon(t, "ouster")
	p := r.subscribeNATS(t)
	player := r.play(t, mmfi.ClipKey{Subject: 5, Activity: 12})

	eventually(t, 15*time.Second, "all four sensors are fused", func() bool { return p.latest().Coalition == "RLMW" })
	drills := [][]sensors.Modality{{sensors.RGB}, {sensors.LiDAR}, {sensors.MmWave}, {sensors.WiFi}, {sensors.RGB, sensors.MmWave}, {sensors.LiDAR, sensors.WiFi}}
	for _, gone := range drills {
		left := "RLMW"
		for _, m := range gone {
			left = strings.Replace(left, m.Letter(), "", 1)
			player.Stop(m)
		}
		start := time.Now()
		eventually(t, 2*time.Second, "coalition "+left, func() bool { return p.latest().Coalition == left })
		t.Logf("without %v: coalition %s after %.2f s", gone, left, time.Since(start).Seconds())
		before := len(p.snapshot())
		time.Sleep(2 * time.Second)
		got := p.snapshot()[before:]
		t.Logf("without %v: %d poses in 2 s", gone, len(got))
		if len(got) < 17 || len(got) > 23 {
			t.Errorf("without %v: %d poses in 2 s, want about 20", gone, len(got))
		}
		for _, pose := range got {
			if pose.JointsM == nil {
				t.Fatalf("without %v: a pose without joints, coalition %s", gone, pose.Coalition)
			}
		}
		for _, m := range gone {
			player.Start(m)
		}
		start = time.Now()
		eventually(t, 8*time.Second, "everything fused again", func() bool { return p.latest().Coalition == "RLMW" })
		back := time.Since(start)
		t.Logf("with %v back: fused after %.2f s", gone, back.Seconds())
		if back > 3*time.Second {
			t.Errorf("%v fused only %.1f s after its return, want 3", gone, back.Seconds())
		}
		time.Sleep(500 * time.Millisecond)
	}
	p.check(t, "NATS")
}

// TestLivePage opens the daemon's page in a real browser: the skeleton moves,
// and a sensor taken away shows as lost within a second.
func TestLivePage(t *testing.T) {
	if _, err := os.Stat("../../pipeline/web/dist/index.html"); err != nil {
		t.Fatal("the page is not built: run make web")
	}
	r := startDaemon(t, "ouster")
	player := r.play(t, mmfi.ClipKey{Subject: 10, Activity: 13})

	page := browser.Open(t, "http://"+r.web)
	page.Wait("the page goes live", `document.getElementById("link").textContent === "live"`)
	page.Wait("four sensors are fused", `document.getElementById("coalition").textContent === "RLMW"`)
	before := page.Read(`document.getElementById("view").dataset.wrist`)
	page.Wait("the skeleton moves", fmt.Sprintf(`document.getElementById("view").dataset.wrist !== %q`, before))
	page.Wait("points are drawn", `Number(document.getElementById("view").dataset.lidar) > 100`)
	rates := `[...document.querySelectorAll("#sensors tbody tr td:nth-child(3)")].map((c) => c.textContent).join(" ")`
	seen := page.Read(rates)
	page.Wait("the numbers change", fmt.Sprintf(`%s !== %q`, rates, seen))
	page.Wait("the exercise shows", `Number(document.getElementById("reps").textContent) >= 1`)
	page.Screenshot("live.png")
	for name, m := range map[string]sensors.Modality{"L": sensors.LiDAR, "W": sensors.WiFi} {
		player.Stop(m)
		took := page.Wait("sensor "+name+" shows as lost", fmt.Sprintf(`document.querySelector('#sensors tr[data-modality="%s"] .state').textContent === "lost"`, name))
		t.Logf("%s shows as lost after %.2f s", m, took.Seconds())
		if took > time.Second {
			t.Errorf("%s shows as lost only after %.2f s, want 1", m, took.Seconds())
		}
		player.Start(m)
		page.Wait("sensor "+name+" is back", fmt.Sprintf(`document.querySelector('#sensors tr[data-modality="%s"] .state').textContent === "live"`, name))
	}
	page.CheckConsole()
}

// TestLiveExerciseOverMQTT plays a set of squats into the daemon and reads
// the count that its exercise subscriber publishes.
func TestLiveExerciseOverMQTT(t *testing.T) {
	const reps = 5
	r := startDaemon(t, "ouster")
	results := make(chan []byte, 64)
	r.subscribeMQTT(t, "posefuse/room1/exercise/summary", func(b []byte) { results <- b })
	events := make(chan []byte, 1024)
	r.subscribeMQTT(t, "posefuse/room1/exercise/event", func(b []byte) { events <- b })
	set := programme{subject: 5, seed: 1, sets: []struct{ activity, reps int }{{12, reps}}}
	cfg := r.fakes()
	cfg.Data = set
	player, err := replay.NewPlayer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := player.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var summary bus.ExerciseSummary
	select {
	case b := <-results:
		validate(t, "posefuse.exercise.summary.v1.json", b, &summary)
	case <-time.After(15 * time.Second):
		t.Fatal("no exercise summary within 15 s of the set's end")
	}
	types := map[string]int{}
	for types["end"] == 0 {
		select {
		case b := <-events:
			var e bus.ExerciseEvent
			validate(t, "posefuse.exercise.event.v1.json", b, &e)
			types[e.Type]++
			continue
		case <-time.After(5 * time.Second):
			t.Fatalf("no end of the set among the events: %v", types)
		}
	}
	if types["new"] == 0 || types["update"] == 0 || types["end"] == 0 {
		t.Errorf("events by type: %v, want some new, update and end", types)
	}
	t.Logf("simulated sensors: %s, %d repetitions of %d", summary.Exercise, summary.Repetitions, reps)
	if summary.Exercise != "A12" || summary.Repetitions < reps-1 || summary.Repetitions > reps+1 {
		t.Errorf("summary says %d of %s, want %d (within one) of A12", summary.Repetitions, summary.Exercise, reps)
	}
}

func TestDaemonWithoutSensorsStillPublishes(t *testing.T) {
	r := startDaemon(t, "livox")
	p := r.subscribeNATS(t)
	eventually(t, 5*time.Second, "ten poses", func() bool { return len(p.snapshot()) >= 10 })
	if m := p.latest(); m.JointsM != nil || m.Coalition != "-" {
		t.Errorf("without sensors the pose says coalition %q, joints %v", m.Coalition, m.JointsM)
	}
	p.check(t, "NATS")
	for path, want := range map[string]string{"/api/status": `"room":"room1"`, "/metrics": "posefuse_"} {
		resp, err := http.Get("http://" + r.web + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !strings.Contains(strings.ReplaceAll(string(body), `": "`, `":"`), want) {
			t.Errorf("%s: %v, body lacks %q", path, err, want)
		}
	}
}
