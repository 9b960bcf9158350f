package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"posefuse/internal/schematest"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

func TestPosesFlow(t *testing.T) {
	d := startDaemon(t, testConfig(t), newFakeModel("fake"))
	all := d.subscribe(t, ">")
	names := map[string]bool{}
	var lastSeq uint64
	var fused *message.Pose
	for deadline := time.Now().Add(testenv.Patience); (fused == nil || len(names) < 5) && time.Now().Before(deadline); {
		m := <-all
		var head struct{ Schema string }
		if err := json.Unmarshal(m.Data, &head); err != nil {
			t.Fatal(err)
		}
		if err := schematest.Validate(t, head.Schema, m.Data); err != nil {
			t.Fatalf("%s: %v", m.Subject, err)
		}
		names[head.Schema] = true
		if head.Schema != message.PoseSchema {
			continue
		}
		var p message.Pose
		if err := json.Unmarshal(m.Data, &p); err != nil {
			t.Fatal(err)
		}
		if lastSeq != 0 && p.Seq != lastSeq+1 {
			t.Fatalf("seq %d after %d", p.Seq, lastSeq)
		}
		lastSeq = p.Seq
		if p.Coalition == "RLMW" {
			fused = &p
		}
	}
	for _, want := range []string{message.PoseSchema, message.StatusSchema, message.SensorSchema, message.PointsSchema, message.ImageKeypointsSchema} {
		if !names[want] {
			t.Errorf("no message %s", want)
		}
	}
	if fused == nil {
		t.Fatal("no pose of all four modalities")
	}
	if fused.Frame != "camera" || fused.JointsM[0] != [3]float64{4, 2, 3} || fused.Model.Name != "fake" || fused.SpreadMM == nil {
		t.Errorf("pose %+v", fused)
	}
	if fused.LatencyMS.Total < 0 || fused.LatencyMS.Total > 5000 || fused.LatencyMS.Align < 0 {
		t.Errorf("latency %+v", fused.LatencyMS)
	}
}

func TestSensorsComeAndGo(t *testing.T) {
	d := startDaemon(t, testConfig(t), newFakeModel("fake"))
	poses, statuses := d.subscribe(t, "pose"), d.subscribe(t, "status")
	next(t, poses, func(p *message.Pose) bool { return p.Coalition == "RLMW" })
	d.sources[modality.Radar].broken.Store(true)
	p := next(t, poses, func(p *message.Pose) bool { return p.Coalition == "RLW" })
	if p.Modalities["M"].Presence || p.JointsM[0][0] != 3 {
		t.Errorf("pose without radar: %+v", p)
	}
	s := next(t, statuses, func(s *message.Status) bool { return code(s, "sensor.radar") == "down" })
	for _, h := range s.Parts {
		if h.Part == "sensor.radar" && (h.Severity != "error" || !strings.Contains(h.Text, "unplugged")) {
			t.Errorf("health %+v", h)
		}
	}
	for _, m := range []modality.Kind{modality.Camera, modality.LiDAR, modality.CSI} {
		d.sources[m].silent.Store(true)
	}
	p = next(t, poses, func(p *message.Pose) bool { return p.Coalition == "-" && p.Modalities["W"].State == "stale" })
	if p.JointsM != nil || p.SpreadMM != nil {
		t.Errorf("pose without any modality: %+v", p)
	}
	next(t, statuses, func(s *message.Status) bool {
		return code(s, "pipeline") == "no_sensor" && code(s, "sensor.csi") == "stale"
	})
	d.sources[modality.Radar].broken.Store(false)
	for _, f := range d.sources {
		f.silent.Store(false)
	}
	next(t, poses, func(p *message.Pose) bool { return p.Coalition == "RLMW" })
}

func code(s *message.Status, part string) string {
	for _, h := range s.Parts {
		if h.Part == part {
			return h.Code
		}
	}
	return ""
}

func TestCountersAddUp(t *testing.T) {
	d := startDaemon(t, testConfig(t), newFakeModel("fake"))
	states := d.subscribe(t, "sensor.*")
	for range 8 {
		s := next(t, states, func(s *message.Sensor) bool { return true })
		var sum uint64
		for outcome, n := range s.Counters {
			if outcome != "in" {
				sum += n
			}
		}
		if sum != s.Counters["in"] {
			t.Errorf("%s: in %d, sum of outcomes %d: %v", s.Name, s.Counters["in"], sum, s.Counters)
		}
	}
}

func TestSwapKeepsEveryTick(t *testing.T) {
	d := startDaemon(t, testConfig(t), newFakeModel("old"))
	poses := d.subscribe(t, "pose")
	first := next(t, poses, func(p *message.Pose) bool { return p.Model.Name == "old" && p.JointsM != nil })
	if err := d.SwapModel(newFakeModel("new")); err != nil {
		t.Fatal(err)
	}
	seq, swapped := first.Seq, false
	for range 20 {
		p := next(t, poses, func(*message.Pose) bool { return true })
		if p.Seq != seq+1 {
			t.Fatalf("seq %d after %d", p.Seq, seq)
		}
		seq = p.Seq
		if swapped && p.Model.Name == "old" {
			t.Error("the old model came back")
		}
		swapped = swapped || p.Model.Name == "new"
	}
	if !swapped {
		t.Error("the new model made no pose")
	}
}

func TestModelsThatCannotRun(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fakeModel)
		want   string
	}{
		"centred":  {func(f *fakeModel) { f.card.Window = model.Centred }, "camera window is centred"},
		"config":   {func(f *fakeModel) { f.card.Config.LiDAR.Points = -1 }, "points"},
		"error":    {func(f *fakeModel) { f.err = errors.New("no kernel") }, "no kernel"},
		"not real": {func(f *fakeModel) { f.nan = true }, "not finite"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeModel("bad")
			c.change(f)
			_, err := New(Options{Config: testConfig(t), Model: f})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "bad 1") {
				t.Errorf("error %v, want %q and the model's name", err, c.want)
			}
		})
	}
}

func TestInferenceErrorsDoNotStopPoses(t *testing.T) {
	f := newFakeModel("fake")
	d := startDaemon(t, testConfig(t), f)
	poses := d.subscribe(t, "pose")
	next(t, poses, func(p *message.Pose) bool { return p.JointsM != nil })
	broken := newFakeModel("broken")
	e, err := newEngine(broken, true)
	if err != nil {
		t.Fatal(err)
	}
	broken.nan = true
	d.ticks.engine.Store(e)
	p := next(t, poses, func(p *message.Pose) bool { return p.Model.Name == "broken" })
	q := next(t, poses, func(*message.Pose) bool { return true })
	if p.JointsM != nil || q.JointsM != nil || q.Seq != p.Seq+1 {
		t.Errorf("poses %+v, %+v", p, q)
	}
}

func TestHTTP(t *testing.T) {
	d := startDaemon(t, testConfig(t), newFakeModel("fake"))
	poses := d.subscribe(t, "pose")
	for range 2 { // a pose is counted after it was sent
		next(t, poses, func(p *message.Pose) bool { return p.Coalition == "RLMW" })
	}
	get := func(path, host string) (int, string) {
		req, err := http.NewRequest(http.MethodGet, d.WebURL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	defer http.DefaultClient.CloseIdleConnections()
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ok", "/api/status": `"sensors":[{"schema":"posefuse.sensor.v1"`,
		"/metrics": `posefuse_latency_seconds_bucket{stage="total",le="0.03"}`,
	} {
		if status, body := get(path, "localhost"); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, want %q in %.200s", path, status, want, body)
		}
	}
	if _, body := get("/metrics", "localhost"); !strings.Contains(body, `posefuse_sensor_samples_total{outcome="fused",sensor="radar"}`) ||
		!strings.Contains(body, `posefuse_sensor_ticks_total{sensor="csi",state="fused"}`) {
		t.Error("metrics of sensors are missing")
	}
	if status, _ := get("/api/status", "evil.example"); status != http.StatusMisdirectedRequest {
		t.Errorf("a foreign host name was answered with %d", status)
	}
}

func TestServiceManagerHearsProgress(t *testing.T) {
	d := startDaemon(t, testConfig(t), newFakeModel("fake"))
	poses := d.subscribe(t, "pose")
	for d.notes.count("WATCHDOG=1") < 3 {
		next(t, poses, func(*message.Pose) bool { return true })
	}
	if d.notes.count("READY=1") != 1 {
		t.Errorf("ready was told %d times", d.notes.count("READY=1"))
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if d.notes.count("STOPPING=1") != 1 {
		t.Error("stopping was not told")
	}
}

// TestWatchdogStarvesWithoutPoses calls the reporter while no pose comes.
func TestWatchdogStarvesWithoutPoses(t *testing.T) {
	var n notes
	c, err := New(Options{Config: testConfig(t), Model: newFakeModel("fake"), Notify: n.add, WatchdogInterval: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	r := newReporter(c, nil)
	r.progress(1)
	if len(n.list) != 0 {
		t.Fatalf("told %v before the first pose", n.list)
	}
	c.ticks.progress.note(1)
	r.progress(2)
	r.progress(3)
	r.progress(4)
	if n.count("WATCHDOG=1") != 1 || n.count("READY=1") != 1 {
		t.Errorf("one pose fed the watchdog %v", n.list)
	}
}

func TestControlStatus(t *testing.T) {
	d := startDaemon(t, testConfig(t), newFakeModel("fake"))
	m, err := d.Bus().Conn().Request("posefuse.room1.ctl.status", nil, testenv.Patience)
	if err != nil {
		t.Fatal(err)
	}
	var s message.Status
	if err := json.Unmarshal(m.Data, &s); err != nil || s.State != message.Online || code(&s, "model") != "ok" {
		t.Errorf("%s, %v", m.Data, err)
	}
}

func TestWebPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cfg := testConfig(t)
	cfg.Web.Listen = l.Addr().String()
	c, err := New(Options{Config: cfg, Model: newFakeModel("fake")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); !errors.Is(err, setting.ErrInUse) || !strings.Contains(err.Error(), "web.listen") {
		t.Errorf("error %v", err)
	}
	if err := c.Run(t.Context()); err == nil {
		t.Error("run twice")
	}
}

func TestStagesStopInReverse(t *testing.T) {
	var mu sync.Mutex
	var order []string
	mk := func(name string, fail error) stage {
		return stage{name, func(ctx context.Context) error {
			if fail != nil {
				return fail
			}
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return nil
		}}
	}
	boom := errors.New("boom")
	err := runStages(t.Context(), []stage{mk("a", nil), mk("b", nil), mk("c", boom), mk("d", nil)})
	if !errors.Is(err, boom) || err.Error() != "c: boom" {
		t.Errorf("error %v", err)
	}
	if got := fmt.Sprint(order); got != "[d b a]" {
		t.Errorf("stopped in order %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := runStages(ctx, []stage{mk("a", nil)}); err != nil {
		t.Errorf("stopped from outside: %v", err)
	}
	if err := runStages(t.Context(), []stage{{"x", func(context.Context) error { return nil }}}); err == nil || err.Error() != "x ended by itself" {
		t.Errorf("stage that ends: %v", err)
	}
}
