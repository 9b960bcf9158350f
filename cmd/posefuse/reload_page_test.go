package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/pipeline"
	"posefuse/pipeline/foxglove"
	"posefuse/recording/sim"
	"posefuse/replay"
)

// reloading is a daemon whose file the test changes.
type reloading struct {
	*room
	t    *testing.T
	file string
	doc  string // of the file now
}

// change replaces a text of the file and reloads; it returns what the command says.
func (r *reloading) change(old, text string) (reply pipeline.Reloaded, out string, err error) {
	r.t.Helper()
	if strings.Count(r.doc, old) != 1 {
		r.t.Fatalf("the file has not one %q:\n%s", old, r.doc)
	}
	r.doc = strings.Replace(r.doc, old, text, 1)
	writeFile(r.t, r.file, []byte(r.doc))
	b, err := exec.Command(binary(r.t), "reload", "--nats", "nats://"+r.nats, "--json").CombinedOutput()
	if err == nil {
		err = json.Unmarshal(b, &reply)
	}
	return reply, string(b), err
}

// take is change where all is taken over.
func (r *reloading) take(old, text string) {
	r.t.Helper()
	if reply, out, err := r.change(old, text); err != nil || len(reply.Waiting) > 0 {
		r.t.Fatalf("%s: %v, %s", text, err, out)
	}
}

// get returns what the page's port answers.
func (r *reloading) get(path string) (status int, body string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.web+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// watch opens a feed, counts its messages, and tells when it ends.
func watch(t *testing.T, url string, protocols ...string) (n *atomic.Int64, ended chan struct{}) {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: protocols})
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(1 << 22)
	ctx, cancel := context.WithCancel(context.Background())
	n, ended = new(atomic.Int64), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
			n.Add(1)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return n, ended
}

// goesOn waits for more of a feed.
func goesOn(t *testing.T, what string, n *atomic.Int64) {
	t.Helper()
	before := n.Load()
	testenv.Wait(t, what, func() bool { return n.Load() > before+3 })
}

// TestReloadOfPageExercisesAndLog: what a reload of a whole daemon takes over is seen
// to act, what it cannot is named, and no pose is missing. The sensors are simulated.
func TestReloadOfPageExercisesAndLog(t *testing.T) {
	start := startRoom(t, "ouster", "log: {format: text}\n")
	r := &reloading{room: start, t: t, file: filepath.Join(start.dir, "posefuse.yaml")}
	doc, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	r.doc = string(doc)
	p := r.subscribeNATS(t)
	var events atomic.Int64
	var state atomic.Value
	r.subscribeMQTT(t, "posefuse/room1/exercise/event", func([]byte) { events.Add(1) })
	r.subscribeMQTT(t, "posefuse/room1/exercise/status", func(b []byte) {
		var s message.ExerciseStatus
		if json.Unmarshal(b, &s) == nil {
			state.Store(s.State)
		}
	})
	cfg := r.fakes()
	cfg.Data, cfg.Loop, cfg.Pause = sim.Programme{Subject: 5, Seed: 1, Sets: []sim.ProgrammeSet{{Activity: 12, Reps: 5}}}, true, -1
	player, err := replay.NewPlayer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	played := make(chan error, 1)
	go func() { played <- player.Run(ctx) }()
	defer func() {
		cancel()
		if playErr := <-played; playErr != nil {
			t.Error(playErr)
		}
	}()

	// The page moves: whoever looks sees on, the old port is free.
	seen, ended := watch(t, "ws://"+r.web+"/ws")
	goesOn(t, "the page's feed", seen)
	old := r.web
	r.web = testenv.FreeAddr(t)
	r.take("web: {listen: \""+old+"\"}", "web: {listen: \""+r.web+"\"}")
	if code, body := r.get("/healthz"); code != http.StatusOK {
		t.Errorf("the page at its new port: %d, %s", code, body)
	}
	l, err := net.Listen("tcp", old)
	if err != nil {
		t.Fatalf("the old port is not free: %v", err)
	}
	goesOn(t, "the feed that was open", seen)

	// A port that another program has, and a word that is none, change nothing.
	for _, c := range [][3]string{
		{"web: {listen: \"" + r.web + "\"}", "web: {listen: \"" + old + "\"}", "web.listen"},
		{"log: {format: text}", "log: {format: xml}", "log.format"},
	} {
		if _, out, refused := r.change(c[0], c[1]); refused == nil || !strings.Contains(out, c[2]) {
			t.Errorf("%s: %v, %s", c[1], refused, out)
		}
		testenv.Wait(t, "the status that says so of "+c[2], func() bool { // it is made ten times a second
			_, body := r.get("/api/status")
			return strings.Contains(body, "the changed file cannot be used, the last good configuration runs on") && strings.Contains(body, c[2])
		})
		r.doc = strings.Replace(r.doc, c[1], c[0], 1)
	}
	_ = l.Close()

	// Exercises end, and begin again.
	more := func(what string) {
		t.Helper()
		before := events.Load()
		testenv.Wait(t, what, func() bool { return events.Load() > before && state.Load() == message.Online })
	}
	more("events of exercises")
	r.take("exercise: {enabled: true}", "exercise: {enabled: false}")
	testenv.Wait(t, "the exercises end", func() bool { return state.Load() == message.Stopped })
	before, poses := events.Load(), len(p.snapshot())
	if code, body := r.get("/api/exercise"); code != http.StatusNoContent {
		t.Errorf("exercises that may be chosen while nobody counts: %d, %s", code, body)
	}
	testenv.Wait(t, "poses", func() bool { return len(p.snapshot()) > poses+60 })
	if n := events.Load() - before; n > 0 {
		t.Errorf("%d events while exercise.enabled is false", n)
	}
	if code, body := r.get("/metrics"); code != http.StatusOK || strings.Contains(body, "posefuse_exercise_sets_total") {
		t.Errorf("nobody counts, and the metrics do: %d", code)
	}
	r.take("exercise: {enabled: false}", "exercise: {enabled: true, language: de}")
	more("events of exercises again")
	if _, body := r.get("/api/exercise"); !strings.Contains(body, "Linke Hand heben") {
		t.Errorf("exercises in German: %s", body)
	}

	// The log changes its form, and the camera's pictures are asked for or not.
	r.take("log: {format: text}", "log: {format: json}")
	r.take("log: {format: json}", "log: {format: text}")
	if _, body := r.get("/engineer"); strings.Contains(body, "data-show-image") {
		t.Error("the page asks for pictures")
	}
	r.take("\"}\nexercise", "\", show_image: true}\nexercise")
	if _, body := r.get("/engineer"); !strings.Contains(body, "data-show-image") {
		t.Errorf("the page does not ask for pictures: %s", body)
	}
	r.take("\", show_image: true}", "\"}")

	// Foxglove's port opens, keeps its programs as it moves, and closes.
	at, next := testenv.FreeAddr(t), testenv.FreeAddr(t)
	r.take("\"}\nexercise", "\", foxglove: \""+at+"\"}\nexercise")
	_, gone := watch(t, "ws://"+at, foxglove.Subprotocol)
	r.take("foxglove: \""+at+"\"", "foxglove: \""+next+"\"")
	_, alsoGone := watch(t, "ws://"+next, foxglove.Subprotocol)
	select {
	case <-gone:
		t.Error("a program of Foxglove's was cut as the port moved")
	default:
	}
	r.take("foxglove: \""+next+"\"", "foxglove: \""+next+"\", foxglove_origins: [\"https://app.foxglove.dev\"]")
	testenv.Receive(t, "the end of programs as the origins change", alsoGone)
	r.take(", foxglove: \""+next+"\", foxglove_origins: [\"https://app.foxglove.dev\"]", "")
	if c, dialErr := net.Dial("tcp", next); dialErr == nil {
		_ = c.Close()
		t.Error("Foxglove's port is still open")
	}

	// A port of the daemon's own, which only a restart frees, waits and is named.
	mine := r.web
	r.doc = strings.Replace(r.doc, "nats: {listen: \""+r.nats+"\"}", "nats: {listen: \""+at+"\"}", 1)
	reply, out, err := r.change("web: {listen: \""+mine+"\"", "web: {listen: \""+r.nats+"\"")
	if want := []string{"bus.nats.listen", "web.listen"}; err != nil || !slices.Equal(reply.Waiting, want) || slices.Contains(reply.Applied, "web.listen") {
		t.Errorf("%v, %s; want %v to wait", err, out, want)
	}
	testenv.Wait(t, "the status that names what waits", func() bool {
		_, body := r.get("/api/status")
		return strings.Contains(body, "running differs from the file in bus.nats.listen, web.listen")
	})
	r.doc = strings.Replace(r.doc, "nats: {listen: \""+at+"\"}", "nats: {listen: \""+r.nats+"\"}", 1)
	r.take("web: {listen: \""+r.nats+"\"", "web: {listen: \""+mine+"\"")

	// The same port of another host takes over, and the feeds of the one before end.
	select {
	case <-ended:
		t.Error("the feed was cut without need")
	default:
	}
	host, port, err := net.SplitHostPort(mine)
	if err != nil || host != "127.0.0.1" {
		t.Fatal(mine, err)
	}
	_, cut := watch(t, "ws://"+mine+"/ws")
	r.web = "localhost:" + port
	r.take("web: {listen: \""+mine+"\"", "web: {listen: \""+r.web+"\"")
	testenv.Receive(t, "the end of a feed of the host before", cut)
	if code, body := r.get("/healthz"); code != http.StatusOK {
		t.Errorf("the page at localhost: %d, %s", code, body)
	}

	// It closes and opens.
	r.take("web: {listen", "web: {enabled: false, listen")
	if code, _ := r.get("/healthz"); code != 0 {
		t.Errorf("the page is off and answers %d", code)
	}
	r.take("web: {enabled: false, listen", "web: {listen")
	seen, _ = watch(t, "ws://"+r.web+"/ws")
	goesOn(t, "a feed of the page that is back", seen)

	// Users: the page gets a login. The subscribers of this test, who have none, end.
	if code, _ := r.get("/login"); code == http.StatusOK {
		t.Error("a login without users")
	}
	p.check(t, "NATS")
	if n := len(p.snapshot()); n < 100 {
		t.Errorf("%d poses", n)
	}
	writeFile(t, r.file, []byte(strings.Replace(r.doc, "bus: {", "bus: {users: [{name: anna, password: long-enough-word, role: control}], ", 1)))
	if err = r.cmd.Process.Signal(syscall.SIGHUP); err != nil { // a command's connection would end, too
		t.Fatal(err)
	}
	testenv.Wait(t, "a login", func() bool {
		code, _ := r.get("/login")
		return code == http.StatusOK
	})
	goesOn(t, "the feed on this machine, which needs no login", seen)

	cancel()
	r.stop(t)
	var forms []string
	for line := range bytes.Lines(r.log.Bytes()) {
		if bytes.Contains(line, []byte("configuration read again")) {
			form := "text"
			if json.Valid(line) {
				form = "json"
			}
			if n := len(forms); n == 0 || forms[n-1] != form {
				forms = append(forms, form)
			}
		}
	}
	if want := []string{"text", "json", "text"}; !slices.Equal(forms, want) {
		t.Errorf("the log's forms are %v, want %v", forms, want)
	}
}
