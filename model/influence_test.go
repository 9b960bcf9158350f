package model

import (
	"math"
	"math/bits"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/sensors/modality"
)

// headRuntimes returns a runtime for every head and several sets of modalities.
func headRuntimes(t testing.TB, modalities ...string) []*Runtime {
	t.Helper()
	var out []*Runtime
	for _, head := range []string{ConcatHead, MLPHead, AttentionHead} {
		for i, mods := range modalities {
			cfg := small()
			cfg.Head, cfg.Modalities = head, mods
			net, err := New(cfg, uint64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			rt, err := NewRuntime(net)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, rt)
		}
	}
	return out
}

// stage puts features in place of encoders' work.
func stage(rt *Runtime, feature func(m modality.Kind) []float32) {
	rt.Begin()
	for _, m := range rt.inst.slots {
		rt.staged[m] = stagedFeature{feature(m), time.Nanosecond}
	}
}

// bruteSpread is the definition, written down again: two passes in float64.
func bruteSpread(d SpreadDefinition, of modality.Set, pose func(modality.Set) []float32) (spread [NumJoints]float64) {
	var counted []modality.Set
	for s := range modality.All + 1 {
		lacks := bits.OnesCount8(uint8(of)) - bits.OnesCount8(uint8(s))
		if s&^of == 0 && (s == 0 && d.Empty || s != 0 && lacks >= d.LeastAbsent && lacks <= d.MostAbsent) {
			counted = append(counted, s)
		}
	}
	for j := range spread {
		for k := 3 * j; k < 3*j+3; k++ {
			about := float64(pose(of)[k])
			if !d.AboutPose {
				about = 0
				for _, s := range counted {
					about += float64(pose(s)[k]) / float64(len(counted))
				}
			}
			for _, s := range counted {
				spread[j] += math.Pow(float64(pose(s)[k])-about, 2) / float64(len(counted))
			}
		}
		spread[j] = 1000 * math.Sqrt(spread[j])
	}
	return spread
}

// TestInfluenceEqualsBruteForce infers each coalition on its own.
func TestInfluenceEqualsBruteForce(t *testing.T) {
	runtimes := headRuntimes(t, "RLMW", "LMW", "RW", "M")
	rapid.Check(t, func(t *rapid.T) {
		rt := rapid.SampledFrom(runtimes).Draw(t, "network")
		present := modality.Set(rapid.IntRange(0, int(modality.All)).Draw(t, "present"))
		features := [modality.Count][]float32{}
		seed := rapid.Float32Range(0.1, 3)
		for m := range features {
			features[m] = make([]float32, FeatureDim)
			a, b := seed.Draw(t, "a"), seed.Draw(t, "b")
			for i := range features[m] {
				features[m][i] = a * float32(math.Sin(float64(b)*float64(i)))
			}
		}
		stage(rt, func(m modality.Kind) []float32 { return features[m] })
		var got Influence
		rt.Influence(present, &got)
		of := present & rt.mask
		if got.Of != of {
			t.Fatalf("influence of %s, want %s", got.Of, of)
		}
		if bits.OnesCount8(uint8(of)) < 2 {
			if want := (Influence{Of: of}); got != want {
				t.Fatalf("influence of fewer than two: %+v", got)
			}
			return
		}
		var poses [1 << modality.Count][]float32
		var out Output
		for s := range modality.All + 1 {
			if err := rt.Finish(s, &out); err != nil {
				t.Fatal(err)
			}
			poses[s] = append(poses[s], out.Pose[:]...)
		}
		pose := func(s modality.Set) []float32 { return poses[s] }
		for m := range modality.Count {
			want := 0.0
			if of.Has(m) {
				for j := range NumJoints {
					var square float64
					for k := 3 * j; k < 3*j+3; k++ {
						square += math.Pow(float64(poses[of][k])-float64(poses[of&^(1<<m)][k]), 2)
					}
					want += 1000 * math.Sqrt(square) / NumJoints
				}
			}
			if d := math.Abs(got.InfluenceMM[m] - want); !(d <= 0.02+1e-5*want) {
				t.Fatalf("%s head: influence of %s among %s is %g mm, want %g", rt.net.Config.Head, m.String(), of, got.InfluenceMM[m], want)
			}
		}
		want := bruteSpread(PublishedSpread, of, pose)
		for j, v := range got.SpreadMM {
			if d := math.Abs(v - want[j]); !(d <= 0.02+1e-5*want[j]) {
				t.Fatalf("%s head: spread of joint %d among %s is %g mm, want %g", rt.net.Config.Head, j, of, v, want[j])
			}
		}
		for _, d := range SpreadDefinitions {
			var spread [NumJoints]float64
			d.Spread(of, pose, &spread)
			want := bruteSpread(d, of, pose)
			for j, v := range spread {
				if diff := math.Abs(v - want[j]); !(diff <= 1e-3+1e-6*want[j]) {
					t.Fatalf("%s: joint %d among %s: %g mm, want %g", d.Name, j, of, v, want[j])
				}
			}
		}
	})
}

// TestSpreadByHand has three modalities whose leave-one-out poses put joint 0
// at 0, 30 and 60 mm along x: a standard deviation of 30·sqrt(2/3) mm.
func TestSpreadByHand(t *testing.T) {
	poses := map[modality.Set][]float32{0b111: make([]float32, OutputDim), 0b110: make([]float32, OutputDim), 0b101: make([]float32, OutputDim), 0b011: make([]float32, OutputDim)}
	poses[0b101][0], poses[0b011][0] = 0.03, 0.06
	var spread [NumJoints]float64
	PublishedSpread.Spread(0b111, func(s modality.Set) []float32 { return poses[s] }, &spread)
	if want := 30 * math.Sqrt(2.0/3); math.Abs(spread[0]-want) > 1e-4 || spread[1] != 0 {
		t.Errorf("spread %v, want %g for joint 0 and 0 for the others", spread[:2], want)
	}
	if got := InfluenceMM(poses[0b111], poses[0b011]); math.Abs(got-60.0/NumJoints) > 1e-4 {
		t.Errorf("influence %g mm, want %g", got, 60.0/NumJoints)
	}
}

func TestInfluenceAllocatesNothing(t *testing.T) {
	for _, rt := range headRuntimes(t, "RLMW") {
		f := make([]float32, FeatureDim)
		stage(rt, func(modality.Kind) []float32 { return f })
		var c Influence
		rt.Influence(modality.All, &c)
		present := modality.Set(0)
		if n := testenv.AllocsPerRun(32, func() {
			present = (present + 1) & modality.All
			rt.Influence(present, &c)
		}); n != 0 && !testenv.Race {
			t.Errorf("%s head: %v allocations", rt.net.Config.Head, n)
		}
	}
}

// The pose of a sample does not depend on whether its influence is told.
func TestInfluenceLeavesThePoseAlone(t *testing.T) {
	net, b := trained(t)
	rt, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	var before, after Output
	var c Influence
	for i := range 3 {
		in := sample(net.Config, b, i)
		if err := rt.Infer(in, &before); err != nil {
			t.Fatal(err)
		}
		rt.Influence(modality.All, &c)
		if c.Of != modality.All || c.SpreadMM[0] == 0 {
			t.Errorf("sample %d: influence %+v", i, c)
		}
		if err := rt.Finish(modality.All, &after); err != nil {
			t.Fatal(err)
		}
		if after.Pose != before.Pose {
			t.Errorf("sample %d: another pose after its influence was told", i)
		}
	}
}

// BenchmarkInfluence times what the daemon adds to a tick.
func BenchmarkInfluence(b *testing.B) {
	for _, rt := range headRuntimes(b, "RLMW") {
		b.Run(rt.net.Config.Head, func(b *testing.B) {
			f := make([]float32, FeatureDim)
			for i := range f {
				f[i] = float32(math.Sin(float64(i)))
			}
			stage(rt, func(modality.Kind) []float32 { return f })
			var c Influence
			b.ReportAllocs()
			for b.Loop() {
				rt.Influence(modality.All, &c)
			}
		})
	}
}
