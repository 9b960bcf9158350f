package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/pipeline/web/browser"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/replay"
	"posefuse/sensors/modality"
)

// play runs a simulated clip of five minutes on fake sensors until the test
// ends.
func (r *room) play(t *testing.T, key recording.Key) *replay.Player {
	t.Helper()
	return r.playIn(t, key, nil)
}

// playIn is play in a room of its own.
func (r *room) playIn(t *testing.T, key recording.Key, w *sim.World) *replay.Player {
	t.Helper()
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi", FramesPerClip: 3000, Subjects: []int{key.Subject}, Activities: []int{key.Activity}, World: w})
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.fakes()
	cfg.Data, cfg.Loop = ds, true
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
// again; the log says how soon. Times are those of the poses' capture, so that
// it does not matter when this process gets to look.
func TestSensorsComeAndGo(t *testing.T) {
	r := startDaemon(t, "ouster")
	p := r.subscribeNATS(t)
	player := r.play(t, recording.Key{Subject: 5, Activity: 12})

	testenv.Wait(t, "all four sensors are fused", func() bool { return p.latest().Coalition == "RLMW" })
	drills := [][]modality.Kind{{modality.Camera}, {modality.LiDAR}, {modality.Radar}, {modality.CSI}, {modality.Camera, modality.Radar}, {modality.LiDAR, modality.CSI}}
	for _, gone := range drills {
		left := "RLMW"
		before := len(p.snapshot())
		for _, m := range gone {
			left = strings.Replace(left, m.Letter(), "", 1)
			player.Stop(m)
		}
		first := awaitPose(t, p, before, left)
		// Its last samples may still come, and on a starved machine all the
		// fakes may be late for a tick.
		var got []message.Pose
		testenv.Wait(t, fmt.Sprintf("20 poses without %v", gone), func() bool {
			got = p.snapshot()[first:]
			got = got[max(0, len(got)-20):]
			whole, with := 0, 0
			for _, pose := range got {
				if pose.JointsM != nil {
					whole++
				}
				if slices.ContainsFunc(gone, func(m modality.Kind) bool { return strings.Contains(pose.Coalition, m.Letter()) }) {
					with++
				}
			}
			return len(got) == 20 && whole >= 18 && with == 0
		})
		span := captured(t, got[19]).Sub(captured(t, got[0]))
		t.Logf("without %v: coalition %s, then 20 poses in %.2f s", gone, left, span.Seconds())
		if span < 1600*time.Millisecond {
			t.Errorf("without %v: 20 poses in %.2f s, want 2", gone, span.Seconds())
		}
		start, before := time.Now(), len(p.snapshot())
		for _, m := range gone {
			player.Start(m)
		}
		fused := awaitPose(t, p, before, "RLMW")
		back := captured(t, p.snapshot()[fused]).Sub(start)
		t.Logf("with %v back: fused after %.2f s", gone, back.Seconds())
		all := len(p.snapshot())
		testenv.Wait(t, "five poses more", func() bool { return len(p.snapshot()) >= all+5 })
	}
	p.check(t, "NATS")
}

// awaitPose returns the index of the first pose of a coalition, at from or
// after it.
func awaitPose(t *testing.T, p *poses, from int, coalition string) int {
	t.Helper()
	found := -1
	testenv.Wait(t, "coalition "+coalition, func() bool {
		found = slices.IndexFunc(p.snapshot()[from:], func(m message.Pose) bool { return m.Coalition == coalition })
		return found >= 0
	})
	return from + found
}

func captured(t *testing.T, p message.Pose) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, p.CaptureTime)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestLivePage opens the daemon's page in a real browser: the skeleton moves, the
// person's points are told from the room's, and a sensor taken away shows as lost;
// the log says how soon.
func TestLivePage(t *testing.T) {
	if _, err := os.Stat("../../pipeline/web/dist/index.html"); err != nil {
		t.Fatal("the page is not built: run make web")
	}
	r := startRoom(t, "ouster", simulatedPlaces)
	w := sim.WholeRoom(sim.ScanRows, sim.MeasuredClutter)
	player := r.playIn(t, recording.Key{Subject: 10, Activity: 13}, &w)

	page := browser.Open(t, "http://"+r.web+"/engineer")
	page.Wait("the page goes live", `document.getElementById("link").textContent === "Measuring with 4 of 4 sensors"`)
	page.Wait("four sensors are fused", `document.getElementById("coalition").textContent === "RLMW"`)
	before := page.Read(`document.getElementById("view").dataset.wrist`)
	page.Wait("the skeleton moves", fmt.Sprintf(`document.getElementById("view").dataset.wrist !== %q`, before))
	page.Wait("points are drawn", `Number(document.getElementById("view").dataset.lidar) > 100`)
	page.Wait("the person's points are drawn, and more of the room", `((d) => Number(d.person) > 100 && Number(d.lidar) > 3 * Number(d.person) && Number(d.personRadar) > 0)(document.getElementById("view").dataset)`)
	page.Wait("the legend says so", `!document.getElementById("legend").hidden && /^[0-9.]+ % · [0-9]+$/.test(document.getElementById("sharePerson").textContent) && /^9[0-9.]+ % · 2[0-9],[0-9]{3}$/.test(document.getElementById("shareRoom").textContent) && /^[0-9]+ of [0-9]+ the person's$/.test(document.getElementById("shareRadar").textContent)`)
	rates := `[...document.querySelectorAll("#sensors tbody tr td:nth-child(3)")].map((c) => c.textContent).join(" ")`
	seen := page.Read(rates)
	page.Wait("the numbers change", fmt.Sprintf(`%s !== %q`, rates, seen))
	page.Wait("the exercise shows", `Number(document.getElementById("reps").textContent) >= 1`)
	page.Screenshot("live.png")
	for name, m := range map[string]modality.Kind{"L": modality.LiDAR, "W": modality.CSI} {
		state := fmt.Sprintf(`document.querySelector('#sensors tr[data-modality="%s"] .state').textContent`, name)
		page.WaitSteady("sensor "+name+" is live", state+` === "live"`)
		player.Stop(m)
		took := page.WaitSteady("sensor "+name+" shows as lost", state+` === "lost"`)
		t.Logf("%s shows as lost after %.2f s", m, took.Seconds())
		player.Start(m)
		page.WaitSteady("sensor "+name+" is back", state+` === "live"`)
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
	states := make(chan []byte, 16)
	r.subscribeMQTT(t, "posefuse/room1/exercise/status", func(b []byte) { states <- b })
	events := make(chan []byte, 1024)
	r.subscribeMQTT(t, "posefuse/room1/exercise/event", func(b []byte) { events <- b })
	select {
	case b := <-states: // retained, or on its way
		var state message.ExerciseStatus
		validate(t, "posefuse.exercise.status.v1.json", b, &state)
		if state.State != message.Online {
			t.Errorf("exercise status %s", b)
		}
	case <-time.After(testenv.Patience):
		t.Fatal("the exercise subscriber does not say that it is there")
	}
	set := sim.Programme{Subject: 5, Seed: 1, Sets: []sim.ProgrammeSet{{Activity: 12, Reps: reps}}}
	cfg := r.fakes()
	cfg.Data = set
	player, err := replay.NewPlayer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := player.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var summary message.ExerciseSummary
	select {
	case b := <-results:
		validate(t, "posefuse.exercise.summary.v1.json", b, &summary)
	case <-time.After(testenv.Patience):
		t.Fatalf("no exercise summary within %s of the set's end", testenv.Patience)
	}
	types := map[string]int{}
	for types["end"] == 0 {
		select {
		case b := <-events:
			var e message.ExerciseEvent
			validate(t, "posefuse.exercise.event.v1.json", b, &e)
			types[e.Type]++
			continue
		case <-time.After(testenv.Patience):
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
	testenv.Wait(t, "ten poses", func() bool { return len(p.snapshot()) >= 10 })
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
