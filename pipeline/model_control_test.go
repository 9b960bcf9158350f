package pipeline

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"posefuse/internal/modeltest"
	"posefuse/internal/schematest"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/sensors/modality"
)

// numbered returns a network whose poses all have number metres everywhere, so
// that a pose tells which network made it.
func numbered(t testing.TB, cfg model.Config, number int) *model.Network {
	t.Helper()
	n, err := model.New(cfg, uint64(number))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range n.Parameters() {
		if p.Modality >= 0 {
			continue
		}
		for i := range p.Value {
			p.Value[i] = 0
			if len(p.Shape) == 1 && len(p.Value) == model.OutputDim {
				p.Value[i] = float32(number)
			}
		}
	}
	return n
}

// addModels adds version 1, 2, … of m to the registry in a state folder.
func addModels(t testing.TB, state string, nets ...*model.Network) *registry.Registry {
	t.Helper()
	r := registry.Open(state, nil)
	for i, n := range nets {
		dir := t.TempDir()
		if _, err := model.SaveCheckpoint(dir, n, model.Card{Name: "m", Version: fmt.Sprint(i + 1), Window: model.Causal}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Add(dir, "for a test"); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil { // paper size
			t.Fatal(err)
		}
	}
	return r
}

// modelDaemon is a daemon that may change its model; numbered(0) runs and is
// the one inside the program.
type modelDaemon struct {
	*daemonUnderTest
	nc     *nats.Conn
	events <-chan *nats.Msg
	poses  <-chan *nats.Msg
}

func startModelDaemon(t *testing.T, cfg Config, net model.Config, change func(*Options)) *modelDaemon {
	t.Helper()
	cfg.Pose = PoseConfig{} // poses as the network gives them
	cfg.Model.Contribution = false
	shipped := func() (*model.Network, model.Card, error) {
		return numbered(t, net, 0), model.Card{Name: "inside", Version: "0", Window: model.Causal, Config: net}, nil
	}
	n, card, _ := shipped()
	inf, err := NewInferer(n, card)
	if err != nil {
		t.Fatal(err)
	}
	d := &modelDaemon{daemonUnderTest: &daemonUnderTest{notes: &notes{}}}
	opt := Options{Config: cfg, Version: "0.1.0", Model: inf, Notify: d.notes.add, Registry: registry.Open(cfg.StateDir, nil), Shipped: shipped}
	for m := range modality.Count {
		period := cfg.Sync.TickPeriod()
		if m == modality.CSI {
			period /= 10
		}
		d.sources[m] = &fakeSource{modality: m, period: period}
		opt.Sources[m] = d.sources[m]
	}
	if change != nil {
		change(&opt)
	}
	d.start(t, opt)
	url, _, _ := d.Bus().Addresses()
	if d.nc, err = nats.Connect(url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.nc.Close)
	d.poses, d.events = d.subscribe(t, "pose"), d.subscribe(t, "model.event")
	return d
}

// request calls ctl.model.<what> and returns the reply or its error.
func (d *modelDaemon) request(t *testing.T, what, body string) (modelReply, string) {
	t.Helper()
	m, err := d.nc.Request("posefuse.room1.ctl.model."+what, []byte(body), testenv.Patience)
	if err != nil {
		t.Fatal(err)
	}
	if refused := m.Header.Get(micro.ErrorHeader); refused != "" {
		return modelReply{}, refused
	}
	var r modelReply
	if err := json.Unmarshal(m.Data, &r); err != nil {
		t.Fatal(err)
	}
	return r, ""
}

func (d *modelDaemon) swap(t *testing.T, version int) modelReply {
	t.Helper()
	r, refused := d.request(t, "swap", fmt.Sprintf(`{"name":"m","version":"%d"}`, version))
	if refused != "" {
		t.Fatal(refused)
	}
	return r
}

// event returns the next model.event, which must keep to its schema.
func (d *modelDaemon) event(t *testing.T) *message.ModelEvent {
	t.Helper()
	m := testenv.Receive(t, "model.event", d.events)
	if err := schematest.Validate(t, message.ModelEventSchema, m.Data); err != nil {
		t.Error(err)
	}
	e := &message.ModelEvent{}
	if err := json.Unmarshal(m.Data, e); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestModelsAreChangedOverNATS swaps, rolls back as far as the model inside the
// program, and asks for what is refused; poses go on throughout.
func TestModelsAreChangedOverNATS(t *testing.T) {
	cfg := testConfig(t)
	net := modeltest.Small()
	r := addModels(t, cfg.StateDir, numbered(t, net, 1), numbered(t, net, 2), numbered(t, net, 3))
	d := startModelDaemon(t, cfg, net, nil)
	next(t, d.poses, func(p *message.Pose) bool { return p.JointsM != nil && p.Model.Name == "inside" })
	if err := os.Truncate(filepath.Join(r.Dir(registry.ID{Name: "m", Version: "3"}), model.CardFile), 10); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, body, want string }{
		{"rollback", "", "no other model has served before"},
		{"swap", "", "NAME/VERSION"},
		{"swap", `{"name":"m","version":"9"}`, "not in the registry"},
		{"swap", `{"name":"m","version":"3"}`, "was changed after it was added"},
		{"swap", `{"name":"m"`, "request"},
		{"swap", `{"model":"m"}`, "unknown field"},
		{"swap", `{"name":"` + strings.Repeat("m", maxControlRequest) + `"}`, "bytes"},
	} {
		if _, refused := d.request(t, c.what, c.body); !strings.Contains(refused, c.want) {
			t.Errorf("%s %.40s: refused with %q, want %q in it", c.what, c.body, refused, c.want)
		}
	}
	steps := []struct {
		do    func() modelReply
		event string
		runs  string
	}{
		{func() modelReply { return d.swap(t, 1) }, "promoted", "m 1"},
		{func() modelReply { return d.swap(t, 2) }, "promoted", "m 2"},
		{func() modelReply { reply, _ := d.request(t, "rollback", ""); return reply }, "rolled_back", "m 1"},
		{func() modelReply { reply, _ := d.request(t, "rollback", "{}"); return reply }, "rolled_back", "inside 0"},
	}
	before := "inside 0"
	for i, s := range steps {
		reply := s.do()
		if got := reply.Model.Name + " " + reply.Model.Version; got != s.runs || reply.Before == nil || reply.Before.Name+" "+reply.Before.Version != before {
			t.Errorf("step %d: the reply says %+v", i, reply)
		}
		if e := d.event(t); e.Type != s.event || e.Model != reply.Model {
			t.Errorf("step %d: event %+v", i, e)
		}
		if p := d.Status().Model; p == nil || *p != reply.Model {
			t.Errorf("step %d: the status says %+v", i, p)
		}
		before = s.runs
	}
	if _, refused := d.request(t, "swap", `{"name":"m","version":"1"}`); refused != "" {
		t.Error(refused)
	}
	if _, refused := d.request(t, "swap", `{"name":"m","version":"1"}`); !strings.Contains(refused, "runs already") {
		t.Errorf("swapped in twice: %q", refused)
	}
	x, err := r.Index()
	if err != nil || x.Serving != "m/1" {
		t.Errorf("the registry says %+v, %v", x, err)
	}
}

func TestModelPathChoosesTheModel(t *testing.T) {
	cfg := testConfig(t)
	cfg.Model.Path = "somewhere"
	d := startModelDaemon(t, cfg, modeltest.Small(), nil)
	if _, refused := d.request(t, "swap", `{"name":"m","version":"1"}`); !strings.Contains(refused, "model.path") {
		t.Error(refused)
	}
}

// swaps is short enough for make test-full; -swaps 1000 takes three minutes.
var swaps = flag.Int("swaps", 200, "how often TestSwapsLoseNothing swaps the edge model")

// TestSwapsLoseNothing swaps models on request, one right after the other, under
// load: no seq is missing, and each pose is of the model that its message names.
func TestSwapsLoseNothing(t *testing.T) {
	type run struct {
		name  string
		net   model.Config
		swaps int
		hz    float64
	}
	runs := []run{{"small", modeltest.Small(), 20, 10}}
	if testenv.Full() && !testenv.Race {
		runs = []run{{"edge", model.Edge(), *swaps, 20}, {"paper", model.Paper(), 4, 2}}
	}
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.Sync.RateHz = r.hz
			reg := addModels(t, cfg.StateDir, numbered(t, r.net, 1), numbered(t, r.net, 2))
			sha := map[string]string{"0": ""}
			for _, v := range []string{"1", "2"} {
				e, err := reg.Entry(registry.ID{Name: "m", Version: v})
				if err != nil {
					t.Fatal(err)
				}
				sha[v] = e.SHA256
			}
			d := startModelDaemon(t, cfg, r.net, nil)
			next(t, d.poses, func(p *message.Pose) bool { return p.JointsM != nil })
			done, calm := make(chan struct{}), make(chan struct{}, r.swaps)
			go func() {
				defer close(done)
				for i := range r.swaps {
					if i > 0 && testenv.Full() { // until then the next one's building is not beside the ticks that are measured
						<-calm
					}
					if _, refused := d.request(t, "swap", fmt.Sprintf(`{"name":"m","version":"%d"}`, i%2+1)); refused != "" {
						t.Errorf("swap %d: %s", i, refused)
					}
				}
			}()
			var first, around, between []float64 // latencies, ms
			var seq uint64
			swapped, since, last := 0, 0, "0"
			for swapped < r.swaps { // each runs for a tick at least
				p := next(t, d.poses, func(*message.Pose) bool { return true })
				if seq != 0 && p.Seq != seq+1 {
					t.Fatalf("seq %d follows %d", p.Seq, seq)
				}
				seq = p.Seq
				if want, known := sha[p.Model.Version]; !known || want != p.Model.SHA256 {
					t.Fatalf("a pose of version %q and weights %q", p.Model.Version, p.Model.SHA256)
				}
				if p.JointsM != nil && fmt.Sprint(p.JointsM[3][1]) != p.Model.Version {
					t.Fatalf("a pose that says version %s has joint %v", p.Model.Version, p.JointsM[3])
				}
				if since++; since == 6 {
					calm <- struct{}{}
				}
				if p.Model.Version != last {
					swapped, since, last = swapped+1, 0, p.Model.Version
				}
				if p.JointsM != nil && since == 0 {
					first = append(first, p.LatencyMS.Total)
				}
				if p.JointsM != nil && since < 3 {
					around = append(around, p.LatencyMS.Total)
				} else if p.JointsM != nil {
					between = append(between, p.LatencyMS.Total)
				}
			}
			<-done
			t.Logf("%s: %d swaps, %d poses, none missing; latency p50 and p99 of the first tick after a swap %.1f and %.1f ms, of the first 3 %.1f and %.1f ms, of the others, some of which are beside the building of the next, %.1f and %.1f ms",
				r.name, swapped, len(around)+len(between), quantile(first, .5), quantile(first, .99), quantile(around, .5), quantile(around, .99), quantile(between, .5), quantile(between, .99))
		})
	}
}

func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return v[int(q*float64(len(v)-1))]
}

// TestShadow compares candidates with the serving model on live ticks: one whose
// joints are 5 cm off along each axis is sane, one that is a metre off is
// rejected, and one that cannot be compared is refused.
func TestShadow(t *testing.T) {
	cfg := testConfig(t)
	net := modeltest.Small()
	near, other := numbered(t, net, 0), modeltest.Small()
	for _, p := range near.Parameters() {
		if p.Modality < 0 && len(p.Shape) == 1 {
			for i := range p.Value {
				p.Value[i] = 0.05
			}
		}
	}
	other.Radar.Points *= 2
	r := addModels(t, cfg.StateDir, near, numbered(t, net, 1), numbered(t, other, 0))
	d := startModelDaemon(t, cfg, net, nil)
	next(t, d.poses, func(p *message.Pose) bool { return p.JointsM != nil })
	for _, c := range []struct{ body, want string }{
		{`{"name":"m","version":"9"}`, "not in the registry"},
		{`{"name":"m","version":"3"}`, "other inputs"},
		{`{"name":"m","version":"1","ticks":-1}`, "ticks"},
		{`{"name":"m"}`, "NAME/VERSION"},
	} {
		if _, refused := d.request(t, "shadow", c.body); !strings.Contains(refused, c.want) {
			t.Errorf("%s: refused with %q, want %q in it", c.body, refused, c.want)
		}
	}
	for _, c := range []struct {
		version, event string
		state          registry.State
		meanMM         float64
	}{
		{"1", "shadow", registry.Candidate, 1000 * 0.05 * math.Sqrt(3)},
		{"2", "rejected", registry.Rejected, 1000 * math.Sqrt(3)},
	} {
		if _, refused := d.request(t, "shadow", `{"name":"m","version":"`+c.version+`","ticks":3}`); refused != "" {
			t.Fatal(refused)
		}
		e := d.event(t)
		if e.Type != c.event || e.Model.Version != c.version || math.Abs(e.MetricsMM["shadow.mean"]-c.meanMM) > 0.1 || len(e.MetricsMM) != 1+model.NumJoints {
			t.Errorf("event %+v, want %s with %.1f mm", e, c.event, c.meanMM)
		}
		entry, err := r.Entry(registry.ID{Name: "m", Version: c.version})
		if err != nil || entry.State != c.state || entry.Shadow == nil || entry.Shadow.Ticks != 3 || entry.Shadow.Against != "inside/0" {
			t.Errorf("%+v, %v", entry, err)
		}
		testenv.Wait(t, "the end of the shadow", func() bool { return d.Status().Shadow == nil })
	}
	if p := d.Status().Model; p.Name != "inside" {
		t.Errorf("%+v serves", p)
	}
	if _, refused := d.request(t, "shadow", `{"name":"m","version":"1","ticks":10000}`); refused != "" {
		t.Fatal(refused)
	}
	if s := d.Status().Shadow; s == nil || s.OfTicks != 10000 || len(s.JointsMM) != model.NumJoints {
		t.Errorf("status %+v", s)
	}
	if _, refused := d.request(t, "shadow", `{"name":"m","version":"2"}`); !strings.Contains(refused, "already") {
		t.Errorf("a second one: %q", refused)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	entry, err := r.Entry(registry.ID{Name: "m", Version: "1"})
	if err != nil || entry.State != registry.Candidate || !entry.Shadow.Partial || !strings.Contains(entry.Shadow.Reason, "stopped") {
		t.Errorf("%+v, %v", entry, err)
	}
}

// TestRetrainingIsTold: what a retraining reports is published, in its schema,
// and its end is a model.event, too.
func TestRetrainingIsTold(t *testing.T) {
	d := startModelDaemon(t, testConfig(t), modeltest.Small(), nil)
	told := d.subscribe(t, "retrain")
	ask := func(body string) string {
		m, err := d.nc.Request("posefuse.room1.ctl.retrain.report", []byte(body), testenv.Patience)
		if err != nil {
			t.Fatal(err)
		}
		return m.Header.Get(micro.ErrorHeader)
	}
	for body, want := range map[string]string{
		`{"stage":"dreaming"}`:             "stage",
		`{"stage":"training","share":2}`:   "share",
		`{"stage":"training","epoch":-1}`:  "epoch",
		`{"stage":"training","joints":17}`: "unknown field",
		`{"stage":"done"}`:                 "model",
	} {
		if refused := ask(body); !strings.Contains(refused, want) {
			t.Errorf("%s: refused with %q, want %q in it", body, refused, want)
		}
	}
	sha := strings.Repeat("ab", 32)
	for _, body := range []string{
		`{"stage":"training","share":0.5,"epoch":2,"epochs":12,"train_mpjpe_mm":70,"stop_mpjpe_mm":72,"shapley":{"R":20,"M":3}}`,
		`{"stage":"done","share":1,"state":"rejected","reason":"worse","model":{"name":"m","version":"1","sha256":"` + sha + `"}}`,
	} {
		if refused := ask(body); refused != "" {
			t.Error(refused)
		}
		m := testenv.Receive(t, "retrain", told)
		if err := schematest.Validate(t, message.RetrainSchema, m.Data); err != nil {
			t.Error(err)
		}
	}
	if e := d.event(t); e.Type != "rejected" || e.Reason != "worse" || e.Model.SHA256 != sha {
		t.Errorf("event %+v", e)
	}
}

// TestFailedModelIsRolledBack: a model that passes its trial on zeros and gives
// no finite pose in the room is replaced by the one before it, by itself.
func TestFailedModelIsRolledBack(t *testing.T) {
	cfg := testConfig(t)
	cfg.Sync.RateHz = 4 // no machine is so slow
	net := modeltest.Small()
	bad := numbered(t, net, 2)
	for _, p := range bad.Parameters() {
		if p.Modality < 0 && len(p.Shape) == 2 {
			for i := range p.Value {
				p.Value[i] = math.MaxFloat32
			}
		}
	}
	r := addModels(t, cfg.StateDir, numbered(t, net, 1), bad)
	d := startModelDaemon(t, cfg, net, nil)
	d.swap(t, 1)
	d.event(t)
	next(t, d.poses, func(p *message.Pose) bool { return p.JointsM != nil && p.Model.Version == "1" })
	if _, refused := d.request(t, "swap", `{"name":"m","version":"2"}`); !strings.Contains(refused, "not finite") {
		t.Errorf("a model without poses was swapped in: %q", refused)
	}
	for _, s := range d.sources { // nobody is there to try it on
		s.silent.Store(true)
	}
	next(t, d.poses, func(p *message.Pose) bool { return p.JointsM == nil })
	d.swap(t, 2)
	if e := d.event(t); e.Type != "promoted" || e.Model.Version != "2" {
		t.Errorf("event %+v", e)
	}
	for _, s := range d.sources {
		s.silent.Store(false)
	}
	if e := d.event(t); e.Type != "rolled_back" || e.Model.Version != "1" || !strings.Contains(e.Reason, "not finite") {
		t.Errorf("event %+v", e)
	}
	next(t, d.poses, func(p *message.Pose) bool { return p.JointsM != nil && p.Model.Version == "1" })
	x, err := r.Index()
	if err != nil || x.Serving != "m/1" || x.Entries[1].State != registry.Rejected {
		t.Errorf("the registry says %+v, %v", x, err)
	}
	var part message.PartHealth
	for _, p := range d.Status().Parts {
		if p.Part == "model" {
			part = p
		}
	}
	if part.Code != "rolled_back" || part.Severity != severityWarning || !strings.Contains(part.Text, "not finite") {
		t.Errorf("status %+v", part)
	}
}

// TestInstallCloses: whatever the order of installs, trials and ticks, every
// engine is closed once, and none while it is in use.
func TestInstallCloses(t *testing.T) {
	var engines []*engine
	var models []*stagedModel
	build := func() *engine {
		s := newStagedModel(fmt.Sprint(len(models)))
		e, err := newEngine(s, false)
		if err != nil {
			t.Fatal(err)
		}
		models, engines = append(models, s), append(engines, e)
		return e
	}
	l := newTickLoop("room1", 10, nil, nil)
	l.onError = func(err error) { t.Error(err) }
	ended := 0
	on := func() *trial { return newTrial(func(*trial) { ended++ }) }
	l.install(build(), nil)
	l.adopt()
	l.install(build(), on()) // 1 on trial, falls back on 0
	l.install(build(), on()) // 2 in its place: 1 never ran
	if models[1].closed.Load() != 1 || models[0].closed.Load() != 0 {
		t.Errorf("1 was closed %d times, 0 %d times", models[1].closed.Load(), models[0].closed.Load())
	}
	l.adopt()
	for range maxTrialFails {
		l.judge(l.current, fmt.Errorf("broken"), 0)
	}
	l.adopt()
	if l.current != engines[0] || models[2].closed.Load() != 1 || models[0].closed.Load() != 0 {
		t.Errorf("after the failure of 2: %v", l.current.card.Name)
	}
	l.install(build(), on())
	l.adopt()
	for range trialTicks {
		l.judge(l.current, nil, 0)
	}
	if models[0].closed.Load() != 1 {
		t.Errorf("0 stays open after the trial of 3")
	}
	l.install(build(), on())
	l.adopt()
	l.closeEngines()
	l.install(build(), nil) // too late
	for i, m := range models {
		if n := m.closed.Load(); n != 1 {
			t.Errorf("model %d was closed %d times", i, n)
		}
	}
	if ended != 2 {
		t.Errorf("%d trials ended, want 2", ended)
	}
}
