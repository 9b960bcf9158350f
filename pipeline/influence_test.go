package pipeline

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// messages returns the loop's messages for ticks in which only the modalities
// of each mask are fused.
func messages(t *testing.T, c *Core, masks ...modality.Set) []message.Pose {
	t.Helper()
	var out []message.Pose
	c.ticks.publish = func(buf []byte, p *message.Pose) ([]byte, error) {
		payload, err := message.AppendPose(buf[:0], p)
		if err != nil {
			return payload, err
		}
		var copied message.Pose
		if err := json.Unmarshal(payload, &copied); err != nil {
			t.Fatal(err)
		}
		out = append(out, copied)
		return payload, nil
	}
	for i, mask := range masks {
		tick := fullTick()
		tick.Seq = uint64(i + 1)
		for m := range modality.Count {
			if !mask.Has(m) {
				tick.Slots[m] = timesync.Slot{State: timesync.Stale}
			}
		}
		c.ticks.tick(tick)
	}
	if len(out) != len(masks) {
		t.Fatalf("%d messages for %d ticks", len(out), len(masks))
	}
	return out
}

func gauges(t *testing.T, c *Core, name string) map[string]float64 {
	t.Helper()
	families, err := prometheus.Gatherers{c.metrics.registry}.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				label := ""
				if len(m.GetLabel()) > 0 {
					label = m.GetLabel()[0].GetValue()
				}
				out[label] = m.GetGauge().GetValue()
			}
		}
	}
	return out
}

// TestPosesTellInfluence sends every set of sensors: influence for those
// present among several, nothing for a sensor alone or absent.
func TestPosesTellInfluence(t *testing.T) {
	for name, inf := range map[string]Inferer{"whole": newFakeModel("fake"), "staged": newStagedModel("staged")} {
		t.Run(name, func(t *testing.T) {
			c, err := New(Options{Config: unsearched(), Model: inf})
			if err != nil {
				t.Fatal(err)
			}
			if g := gauges(t, c, "posefuse_influence_meters"); len(g) != 0 {
				t.Errorf("before the first pose: %v", g)
			}
			for mask := range modality.All + 1 {
				p := messages(t, c, mask)[0]
				several := mask&(mask-1) != 0
				if (p.SpreadMM != nil) != several || (p.SpreadMeanMM != nil) != several {
					t.Fatalf("%s: spread %v, mean %v", mask, p.SpreadMM, p.SpreadMeanMM)
				}
				if several && (p.SpreadMM[5] != 5 || *p.SpreadMeanMM != 8) {
					t.Errorf("%s: spread %v, mean %v", mask, *p.SpreadMM, *p.SpreadMeanMM)
				}
				influence, spread := gauges(t, c, "posefuse_influence_meters"), gauges(t, c, "posefuse_spread_meters")
				if (len(spread) == 1 && spread[""] == 0.008) != several {
					t.Errorf("%s: spread metric %v", mask, spread)
				}
				for _, e := range c.cfg.Sensors.list() {
					m := e.modality
					v := p.Modalities[m.Letter()].InfluenceMM
					g, told := influence[e.name]
					if want := several && mask.Has(m); (v != nil) != want || told != want {
						t.Fatalf("%s: influence of %s is %v, its metric %v %v", mask, e.name, v, told, g)
					}
					if v != nil && (*v != float64(m+1) || g != *v/1e3) {
						t.Errorf("%s: influence of %s is %v, its metric %v", mask, e.name, *v, g)
					}
				}
			}
		})
	}
}

func TestInfluenceCanBeOff(t *testing.T) {
	cfg, err := ParseConfig([]byte("model: {contribution: false}\nperson: {enabled: false}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Config: cfg, Model: newFakeModel("fake")})
	if err != nil {
		t.Fatal(err)
	}
	p := messages(t, c, modality.All)[0]
	if p.JointsM == nil || p.SpreadMM != nil || p.SpreadMeanMM != nil || p.Modalities["R"].InfluenceMM != nil {
		t.Errorf("pose %+v", p)
	}
}

// brokenInfluencer tells numbers that no message can carry.
type brokenInfluencer struct{ *fakeModel }

func (brokenInfluencer) Influence(present modality.Set, c *model.Influence) {
	*c = model.Influence{Of: present}
	c.SpreadMM[3] = math.Inf(1)
}

func TestInfluenceThatIsNotFiniteCostsNoPose(t *testing.T) {
	c, err := New(Options{Config: unsearched(), Model: brokenInfluencer{newFakeModel("fake")}})
	if err != nil {
		t.Fatal(err)
	}
	if p := messages(t, c, modality.All)[0]; p.JointsM == nil || p.SpreadMM != nil {
		t.Errorf("pose %+v", p)
	}
}

// realEngine is the live path with a network of every encoder and a head.
func realEngine(t testing.TB, head string) *Core {
	t.Helper()
	cfg := model.Edge()
	cfg.Head = head
	cfg.Camera.Channels = 16
	cfg.LiDAR.Points, cfg.LiDAR.Planes = 64, []int{8, 16, 16, 16, 24}
	cfg.LiDAR.Strides = []int{1, 2, 2, 2, 2}
	cfg.Radar.Points, cfg.Radar.Planes = 32, []int{8, 16, 16, 16, 16}
	cfg.CSI.Height, cfg.CSI.Width, cfg.CSI.Base = 24, 8, 4
	net, err := model.New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	inf, err := NewInferer(net, model.Card{Name: head, Version: "1", SHA256: strings.Repeat("0", 64), Config: cfg, Window: model.Causal})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Config: unsearched(), Model: inf})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLiveInfluenceIsThatOfThePoses takes the sensors away one at a time:
// the pose then moves by what the message said.
func TestLiveInfluenceIsThatOfThePoses(t *testing.T) {
	for _, head := range []string{model.ConcatHead, model.MLPHead, model.AttentionHead} {
		c := realEngine(t, head)
		all := messages(t, c, modality.All)[0]
		for m := range modality.Count {
			without := messages(t, c, modality.All&^(1<<m))[0]
			var want float64
			for j := range model.NumJoints {
				a, b := all.JointsM[j], without.JointsM[j]
				want += 1000 * math.Sqrt((a[0]-b[0])*(a[0]-b[0])+(a[1]-b[1])*(a[1]-b[1])+(a[2]-b[2])*(a[2]-b[2])) / model.NumJoints
			}
			got := all.Modalities[m.Letter()].InfluenceMM
			if got == nil || math.Abs(*got-want) > 0.03+1e-4*want {
				t.Errorf("%s head: influence of %s is %v mm, the pose moves by %g", head, m.Letter(), got, want)
			}
		}
	}
}

func TestLiveInfluenceAllocatesNothing(t *testing.T) {
	for _, head := range []string{model.ConcatHead, model.MLPHead, model.AttentionHead} {
		c := realEngine(t, head)
		e, tick := c.ticks.engine.Load(), fullTick()
		var r result
		run := func() {
			if _, err := e.run(tick, nil, nil, &r); err != nil || r.influence == nil {
				t.Fatal(err, r.influence)
			}
		}
		run()
		if n := testenv.AllocsPerRun(20, run); n != 0 && !testenv.Race {
			t.Errorf("%s head: %v allocations per tick", head, n)
		}
	}
}
