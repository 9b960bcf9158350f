package model

import (
	"slices"
	"strings"
	"testing"

	"posefuse/sensors/modality"
)

func configOf(modalities, head string) Config {
	c := Edge().Room()
	c.Modalities, c.Head = modalities, head
	return c
}

func mustNew(t *testing.T, c Config, seed uint64) *Network {
	t.Helper()
	n, err := New(c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// value returns a tensor's values.
func (n *Network) value(name string) []float32 { return n.store.Lookup(name).Value }

func TestTakeFrom(t *testing.T) {
	for _, head := range []string{PrecisionHead, ReprojectionHead} {
		takesEncoderAndPart(t, head)
	}
	fused := mustNew(t, configOf("RLMW", PrecisionHead), 8)
	whole := mustNew(t, configOf("RLMW", PrecisionHead), 9)
	if err := whole.TakeFrom(fused, modality.All); err != nil {
		t.Fatal(err)
	}
	for _, x := range whole.store.All {
		if !slices.Equal(x.Value, fused.value(x.Name)) {
			t.Errorf("%s was not taken with the whole", x.Name)
		}
	}
	concat := mustNew(t, configOf("RLMW", ConcatHead), 9)
	kept := slices.Clone(concat.value("head.fc.weight"))
	if err := concat.TakeFrom(fused, modality.All); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(concat.value("head.fc.weight"), kept) || !slices.Equal(concat.value("head.fc.bias"), mustNew(t, configOf("RLMW", ConcatHead), 9).value("head.fc.bias")) {
		t.Error("the head of another kind was touched")
	}
}

// takesEncoderAndPart: an encoder comes with its part of the head, and nothing else.
func takesEncoderAndPart(t *testing.T, head string) {
	t.Helper()
	alone := mustNew(t, configOf("L", head), 7)
	for _, x := range alone.store.All { // nothing in it is a zero that both have
		for i := range x.Value {
			x.Value[i] += 0.5
		}
	}
	fused, before := mustNew(t, configOf("RLMW", head), 8), mustNew(t, configOf("RLMW", head), 8)
	if err := fused.TakeFrom(alone, modality.Of(modality.LiDAR)); err != nil {
		t.Fatal(err)
	}
	for _, x := range fused.store.All {
		want, from := before.value(x.Name), x.Name
		switch {
		case strings.HasPrefix(x.Name, "lidar."):
			want = alone.value(x.Name)
		case strings.HasPrefix(x.Name, "head.1."):
			from = "head.0." + strings.TrimPrefix(x.Name, "head.1.")
			want = alone.value(from)
		}
		if !slices.Equal(x.Value, want) {
			t.Errorf("%s is not that of %s", x.Name, from)
		}
	}
}

func TestTakeFromRefusals(t *testing.T) {
	wide := configOf("RLMW", PrecisionHead)
	wide.LiDAR.Planes = []int{32, 64, 128, 256, 512}
	paper := configOf("RLMW", PrecisionHead)
	paper.Recipe = RecipePaper
	for _, c := range []struct {
		name  string
		src   Config
		which modality.Set
		want  string
	}{
		{"a modality it lacks", configOf("RM", PrecisionHead), modality.Of(modality.LiDAR), "has RLMW, the other RM"},
		{"none", configOf("RM", PrecisionHead), 0, "take modalities"},
		{"another size", wide, modality.Of(modality.LiDAR), "the networks differ in lidar"},
		{"another recipe", paper, modality.Of(modality.LiDAR), "recipes room and paper"},
	} {
		err := mustNew(t, configOf("RLMW", PrecisionHead), 1).TakeFrom(mustNew(t, c.src, 2), c.which)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// A network with lines of sight that begins with one without gives its poses, with any
// sensors, and so do its encoder and part of the head alone.
func TestTakeFromMakesRoomForKeypoints(t *testing.T) {
	for _, c := range []struct{ from, to, which string }{{"RLMW", "RLMW", "RLMW"}, {"R", "RL", "R"}} {
		src, n := mustNew(t, configOf(c.from, PrecisionHead), 3), mustNew(t, configOf(c.to, ReprojectionHead), 5)
		which, err := modality.Parse(c.which)
		if err != nil {
			t.Fatal(err)
		}
		if err = n.TakeFrom(src, which); err != nil {
			t.Fatal(err)
		}
		if c.from != c.to { // what is not taken, so that only the camera says something
			copy(n.value("head.prior"), src.value("head.prior"))
			copy(n.value("head.bias"), src.value("head.bias"))
		}
		const batch = 4
		b := randomBatch(n.Config, batch)
		b.Present = []modality.Set{1, 1, 1, 1}
		if c.from == c.to {
			b.Present = []modality.Set{modality.All, 1, 2 | 4, 1 | 8}
		}
		poses := map[*Network][]float32{}
		for _, net := range []*Network{src, n} {
			run, err := NewRuntime(net)
			if err != nil {
				t.Fatal(err)
			}
			poses[net] = make([]float32, batch*OutputDim)
			if err = run.InferBatch(b, batch, poses[net]); err != nil {
				t.Fatal(err)
			}
		}
		if d := maxDiff(poses[n], poses[src]); d > 1e-5 {
			t.Errorf("%s into %s: poses differ by %g m", c.from, c.to, d)
		}
	}
	wide := configOf("R", PrecisionHead)
	wide.Camera.Channels = 512
	to := configOf("R", ReprojectionHead)
	to.Camera.Channels = 512
	err := mustNew(t, to, 1).TakeFrom(mustNew(t, wide, 2), modality.Of(modality.Camera))
	if err == nil || !strings.Contains(err.Error(), "rank of up to 256, and its feature only 203 values") {
		t.Errorf("a projection that is too wide: %v", err)
	}
}
