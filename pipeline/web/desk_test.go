package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/pipeline/web/browser"
)

// office stands for what an engineer changes in a daemon: its recordings and models.
type office struct {
	mu    sync.Mutex
	asked []string // names of requests that change something
}

func (o *office) ask(_ context.Context, _, _, name string, request []byte) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var reply any
	switch name {
	case "sessions.list":
		reply = map[string]any{"sessions": []any{
			map[string]any{"id": "20261130T101500Z", "state": "complete", "subject": "P017", "seconds": 14.0},
			map[string]any{"id": "20261129T101500Z", "state": "interrupted", "subject": "<b>P3</b>", "seconds": 200.0}}}
	case "sessions.poses":
		var q struct {
			Session string
			FromS   float64 `json:"from_s"`
			LengthS float64 `json:"length_s"`
		}
		if err := json.Unmarshal(request, &q); err != nil {
			return nil, err
		}
		if q.Session != "20261130T101500Z" {
			return nil, errors.New("it cannot be read")
		}
		reply = map[string]any{"poses": recordedPoses(q.FromS, min(q.FromS+q.LengthS, 14))}
	case "record.start":
		o.asked = append(o.asked, name)
		reply = map[string]any{"id": "20261130T120000Z"}
	case "retrain.cancel":
		return nil, errors.New("nothing is being retrained")
	default:
		o.asked = append(o.asked, name+string(request))
		reply = map[string]any{}
	}
	return json.Marshal(reply)
}

// recordedPoses are of somebody who walks 0.1 m a second to the right, with a gap
// from second 5 to 7.
func recordedPoses(from, to float64) []map[string]any {
	list := []map[string]any{}
	for i := int(from * 10); i < int(to*10); i++ {
		if i >= 50 && i < 70 {
			continue
		}
		joints := standing
		for j := range joints {
			joints[j][0] += float64(i) / 100
		}
		list = append(list, map[string]any{"at_s": float64(i) / 10, "frame": "room", "coalition": "RLMW", "joints_m": joints})
	}
	return list
}

func (o *office) did() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked)
}

// TestDeskInBrowser: what an engineer changes asks once and says what happened; a
// recorded session can be looked through, and is never taken for the live person.
func TestDeskInBrowser(t *testing.T) {
	o := new(office)
	nc := startBus(t)
	srv := httptest.NewServer(Handler(nc, "room1", Options{Ask: o.ask}))
	t.Cleanup(srv.Close)
	page := browser.Open(t, "about:blank")
	page.Size(960, 640, false)
	page.Before(withoutWebGL) // the figure alone: its costs are those of a phone
	page.Goto(srv.URL + "/engineer")
	wait, read := page.Wait, page.Read
	is := func(id, text string) string {
		return `document.getElementById("` + id + `").textContent === "` + text + `"`
	}
	click := func(id string) { read(`(document.getElementById("` + id + `").click(), "")`) }
	answer := func(question, value string) {
		wait(question, `document.getElementById("ask").open && document.getElementById("question").textContent.startsWith("`+question+`")`)
		read(`(document.querySelector('#ask button[value="` + value + `"]').click(), "")`)
	}
	wait("the sessions are listed", `document.querySelectorAll("#sessions tbody tr").length === 2 && document.querySelector("#sessions tbody").textContent.includes("<b>P3</b>") && document.querySelector("#sessions tbody").textContent.includes("(interrupted)")`)
	publish(t, nc, "pose", poseMessage(1, "none"))
	publish(t, nc, "status", map[string]any{"room": "room1", "state": "online", "parts": []any{map[string]any{"part": "recorder", "code": "idle", "severity": "ok", "text": "nothing is recorded"}}, "model": map[string]string{"name": "edge", "version": "1"}})

	page.Read(`(document.getElementById("subject").value = "P/17", document.getElementById("consent").checked = true, document.getElementById("recordStart").requestSubmit(), "")`)
	wait("a path is no code", `document.getElementById("recordNote").textContent.startsWith("Give a code")`)
	page.Read(`(document.getElementById("subject").value = "P17", document.getElementById("recordStart").requestSubmit(), "")`)
	answer("Record P17", "no")
	page.Read(`(document.getElementById("recordStart").requestSubmit(), "")`)
	answer("Record P17", "yes")
	wait("it is said", is("recordNote", "Recording 20261130T120000Z."))
	click("retrain")
	answer("Train the model further", "yes")
	wait("the retraining is said", is("modelNote", "The retraining has begun."))
	click("retrainCancel")
	answer("Cancel the retraining", "yes")
	wait("what was refused is said", is("modelNote", "Not done: nothing is being retrained"))
	if got, want := o.did(), []string{"record.start", `retrain.start{}`}; !slices.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}

	figure := `document.querySelector("#flat g").getAttribute("visibility")`
	seek := func(s float64) {
		read(fmt.Sprintf(`(e => { e.value = "%.1f"; e.dispatchEvent(new Event("input")); return "" })(document.getElementById("replayAt"))`, s))
	}
	read(`(document.querySelector("#sessions button").click(), "")`)
	wait("it is called a replay", `document.getElementById("replayOf").textContent === "REPLAY, not live: 20261130T101500Z, P017" && document.getElementById("replay").offsetParent !== null`)
	wait("its begin shows", figure+` === "visible" && document.getElementById("replayTime").textContent === "0:00.0 of 0:14.0"`)
	for range 3 { // the live person stays out of it
		publish(t, nc, "pose", poseMessage(2, "none"))
	}
	seek(6.5)
	wait("nobody in the gap", figure+` === "hidden"`)
	seek(12)
	wait("there it goes on", figure+` === "visible" && document.getElementById("replayTime").textContent === "0:12.0 of 0:14.0"`)
	click("replayPlay")
	wait("it plays to its end", `document.getElementById("replayTime").textContent === "0:14.0 of 0:14.0" && document.getElementById("replayPlay").textContent === "Play"`)
	click("replayEnd")
	wait("back to live", `document.getElementById("replay").offsetParent === null`)
	testenv.Wait(t, "the live person", func() bool {
		publish(t, nc, "pose", poseMessage(3, "none"))
		return read(figure) == "visible"
	})
	read(`(document.querySelectorAll("#sessions button")[1].click(), "")`)
	wait("one that cannot be read says so", is("replayNote", "it cannot be read"))
}

// withoutWebGL takes WebGL from a page.
const withoutWebGL = `HTMLCanvasElement.prototype.getContext = ((get) => function (kind, ...more) { return kind.startsWith("webgl") ? null : get.call(this, kind, ...more); })(HTMLCanvasElement.prototype.getContext)`
