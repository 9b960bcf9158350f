package model

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// ruleH is the fill rule of model.md 6.9.
func ruleH(t, i uint64) float64 {
	z := t<<32 + i + 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	return float64(z>>11) / (1 << 53)
}

func TestRuleHCheckValues(t *testing.T) {
	for i, want := range []float64{0.8833108082136426, 0.5665615751722809, 0.5911897341980794, 0.11345034205715454} {
		if got := ruleH(0, uint64(i)); got != want {
			t.Errorf("u(0,%d) = %v, want %v", i, got, want)
		}
	}
	if got := ruleH(7, 0); got != 0.7377056182045093 {
		t.Errorf("u(7,0) = %v", got)
	}
}

// fillRuleH sets every tensor of the network as model.md 6.9 says.
func fillRuleH[T nn.Float](t *testing.T, s *nn.Store[T]) {
	t.Helper()
	fillRuleHFrom(t, s, 5000, 2)
}

// fillTensorRuleH sets one tensor, whose number is n.
func fillTensorRuleH[T nn.Float](t *testing.T, x *nn.Tensor[T], n uint64) {
	t.Helper()
	for i := range x.Value {
		u := 2*ruleH(n, uint64(i)) - 1
		switch x.Kind {
		case nn.Weight, nn.WeightHe, nn.WeightXavier:
			u *= math.Sqrt(6 / float64(x.FanIn))
		case nn.NormWeight, nn.RunningVar:
			u = 1 + 0.1*u
		case nn.Bias, nn.BiasTiny, nn.NormBias, nn.RunningMean, nn.Position:
			u *= 0.1
		default:
			t.Fatalf("tensor %s has kind %d", x.Name, x.Kind)
		}
		x.Value[i] = T(u)
	}
}

// fillRuleHFrom takes the base and the number of the head's tensors.
func fillRuleHFrom[T nn.Float](t *testing.T, s *nn.Store[T], headBase uint64, headTensors int) {
	t.Helper()
	number := map[string]uint64{"camera": 1000, "lidar": 2000, "radar": 3000, "csi": 4000, "head": headBase}
	counts := map[string]int{}
	for _, x := range s.All {
		if x.Unused {
			continue
		}
		part, _, _ := strings.Cut(x.Name, ".")
		n := number[part]
		number[part]++
		counts[part]++
		fillTensorRuleH(t, x, n)
	}
	for part, want := range map[string]int{"camera": 37, "lidar": 227, "radar": 227, "csi": 207, "head": headTensors} {
		if got := counts[part]; got != 0 && got != want {
			t.Fatalf("%s has %d tensors, want %d", part, got, want)
		}
	}
}

const vectorBatch = 4

func vectorInput[T nn.Float](m modality.Kind) []T {
	n := [modality.Count]int{KeypointsValues, 1024 * 3, 128 * 5, CSIValues}[m]
	x := make([]T, vectorBatch*n)
	for i := range x {
		u := ruleH(6000+uint64(m), uint64(i))
		if m != modality.CSI {
			u = 2*u - 1
		}
		x[i] = T(u)
	}
	return x
}

func vectorTarget[T nn.Float]() []T {
	x := make([]T, vectorBatch*OutputDim)
	for i := range x {
		x[i] = T(2*ruleH(6004, uint64(i)) - 1)
	}
	return x
}

// vectorWant is one row of the table of features: their sum, Euclidean norm
// and first values.
type vectorWant struct {
	sum, norm float64
	first     []float64
}

var evalWant = [modality.Count]vectorWant{
	modality.Camera: {172.117749364, 130.931414709, []float64{1.442865237, -1.785904246, 11.073579393, -3.118641778, -3.560347296, 3.042480873}},
	modality.LiDAR:  {-327.240015649, 384.898327665, []float64{19.739092090, 19.736893295, -1.694806919, 7.317214371, -.401230521, 27.846678736}},
	modality.Radar:  {2052.430727886, 468.762802063, []float64{-7.569366264, 5.853893430, 6.148251861, -15.315212041, 9.475357934, 26.574599103}},
	modality.CSI:    {-144.952310511, 34.212258007, []float64{1.164321322, 1.404857971, .752342051, -1.361383400, -.292533340, -.186296474}},
}

var trainWant = [modality.Count]vectorWant{
	modality.Camera: {106.269191024, 95.183770850, []float64{3.400468208, .518975816, 6.744098409}},
	modality.LiDAR:  {-.113607393, 85.521700912, []float64{2.981262844, 3.548669219, -1.290496639}},
	modality.Radar:  {136.026239708, 71.759448790, []float64{-1.092465484, .403631108, 2.203083138}},
	modality.CSI:    {-51.349817085, 16.789355466, []float64{.391166202, -.510336391, -.374203735}},
}

func norm[T nn.Float](x []T) float64 {
	var s float64
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return math.Sqrt(s)
}

// check compares features within tol times their root mean square; the sum of
// n values may be off by tol times the norm times sqrt(n) at most.
func (w vectorWant) check(t *testing.T, name string, x []float32, tol float64) {
	t.Helper()
	var sum float64
	for _, v := range x {
		sum += float64(v)
	}
	n := norm(x)
	if d := math.Abs(n - w.norm); !(d <= tol*w.norm) {
		t.Errorf("%s: norm %.9f, want %.9f", name, n, w.norm)
	}
	if d := math.Abs(sum - w.sum); !(d <= tol*w.norm*math.Sqrt(float64(len(x)))) {
		t.Errorf("%s: sum %.9f, want %.9f", name, sum, w.sum)
	}
	rms := w.norm / math.Sqrt(float64(len(x)))
	for i, f := range w.first {
		if d := math.Abs(float64(x[i]) - f); !(d <= tol*max(rms, math.Abs(f))) {
			t.Errorf("%s: value %d is %.9f, want %.9f", name, i, x[i], f)
		}
	}
	t.Logf("%s: sum %.6f (%.6f), norm %.6f (%.6f)", name, sum, w.sum, n, w.norm)
}

func near(t *testing.T, name string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.9f, want %.9f", name, got, want)
	}
}

// vectorEncoder is one encoder at full size, filled, and its tensors.
func vectorEncoder(t *testing.T, m modality.Kind, ctx *nn.Context) (*encoder[float32], *nn.Store[float32]) {
	t.Helper()
	cfg := Paper()
	cfg.Modalities = modality.Set(1 << m).String()
	s := nn.NewStore[float32](1)
	inst, err := newInstance(cfg, s, ctx)
	if err != nil {
		t.Fatal(err)
	}
	fillRuleH(t, s)
	return inst.encoders[m], s
}

// The encoders one by one with normalisation applied as in training; W is left
// to the next tests, and where it is folded.
func TestFullSizeEncodersEval(t *testing.T) {
	for m := range modality.CSI {
		e, _ := vectorEncoder(t, m, &nn.Context{Mode: nn.Eval})
		evalWant[m].check(t, m.String(), e.forward(vectorInput[float32](m), vectorBatch), 1e-4)
	}
}

// One sample of W, which does not depend on the others in this mode: what an
// emulated CPU computes in a minute.
func TestFullSizeWiFiEvalOfOneSample(t *testing.T) {
	testenv.NoRace(t, "32 GFLOP: the numbers are checked without the race detector")
	e, _ := vectorEncoder(t, modality.CSI, &nn.Context{Mode: nn.Eval})
	f := e.forward(vectorInput[float32](modality.CSI)[:CSIValues], 1)
	rms := evalWant[modality.CSI].norm / math.Sqrt(vectorBatch*FeatureDim)
	for i, want := range evalWant[modality.CSI].first {
		near(t, fmt.Sprintf("value %d", i), float64(f[i]), want, 1e-4*max(rms, math.Abs(want)))
	}
}

// The forward pass of training, encoder by encoder; W is left to the test of
// the whole network.
func TestFullSizeEncodersTrain(t *testing.T) {
	for m := range modality.CSI {
		e, s := vectorEncoder(t, m, &nn.Context{Mode: nn.Train, NoDropout: true})
		trainWant[m].check(t, m.String(), e.forward(vectorInput[float32](m), vectorBatch), 1e-3)
		if m == modality.Camera {
			near(t, "running mean", norm(s.Lookup("camera.expand_bn.running_mean").Value), 1.678359128, 2e-5)
			near(t, "running variance", norm(s.Lookup("camera.expand_bn.running_var").Value), 30.960097862, 3e-4)
		}
	}
}

// The whole network as it runs live: normalisation folded into the weights.
func TestFullSizeInference(t *testing.T) {
	testenv.NoRace(t, "hundreds of GFLOP: the numbers are checked without the race detector, smaller networks run with it")
	net, err := New(Paper(), 1)
	if err != nil {
		t.Fatal(err)
	}
	fillRuleH(t, net.store)
	rt, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	b := &Batch{Camera: vectorInput[float32](modality.Camera), LiDAR: vectorInput[float32](modality.LiDAR), Radar: vectorInput[float32](modality.Radar), CSI: vectorInput[float32](modality.CSI)}
	pose := make([]float32, vectorBatch*OutputDim)
	if err := rt.InferBatch(b, vectorBatch, pose); err != nil {
		t.Fatal(err)
	}
	for m, f := range rt.Features() {
		evalWant[m].check(t, modality.Kind(m).String()+" folded", f, 1e-4)
	}
	var sum float64
	for _, v := range pose {
		sum += float64(v)
	}
	near(t, "sum of the output", sum, -93.539069837, 2e-3)
	for i, want := range []float64{-2.863936018, 2.577939939, -30.326473079, 3.694802146, 5.234123976, -5.477597541} {
		near(t, fmt.Sprintf("output %d", i), float64(pose[i]), want, 2e-4)
	}
	near(t, "mpjpe", MPJPE(pose, vectorTarget[float32]()), 20.987494517, 2e-4)
}

func TestFullSizeTraining(t *testing.T) {
	testenv.NoRace(t, "hundreds of GFLOP: the numbers are checked without the race detector, smaller networks run with it")
	net, err := New(Paper(), 1)
	if err != nil {
		t.Fatal(err)
	}
	fillRuleH(t, net.store)
	tr, err := NewTrainer(net, vectorBatch, TrainerOptions{NoDropout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	loss, err := tr.ForwardBackward(&Batch{Camera: vectorInput[float32](modality.Camera), LiDAR: vectorInput[float32](modality.LiDAR),
		Radar: vectorInput[float32](modality.Radar), CSI: vectorInput[float32](modality.CSI), Target: vectorTarget[float32]()})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", loss, 5.380993599, 5e-4)
	for m, f := range tr.Features() {
		trainWant[m].check(t, modality.Kind(m).String(), f, 1e-3)
	}
	grads := map[string]float64{}
	var enc [modality.Count]float64
	var tensors [modality.Count]int
	for _, p := range net.Parameters() {
		n := norm(p.Grad)
		grads[p.Name] = n
		if p.Modality >= 0 && !p.NoGrad {
			enc[p.Modality] += n * n
			tensors[p.Modality]++
		}
	}
	for m, want := range []float64{21.488989859, 23.230904255, 21.967421240, 4.746672464} {
		near(t, modality.Kind(m).String()+" gradient norm", math.Sqrt(enc[m]), want, 2e-3*want)
	}
	if tensors != [modality.Count]int{23, 157, 157, 133} {
		t.Errorf("tensors with a gradient: %v", tensors)
	}
	for name, want := range map[string]float64{
		"head.fc.weight": 13.801508221, "head.fc.bias": .206630823,
		"camera.expand_conv.weight": 3.253862487, "camera.projection.2.weight": 6.780216051,
		"lidar.stages.0.down.linear.weight": 4.506844559, "lidar.stages.4.block.linear3.weight": 1.196624736,
		"radar.stages.0.down.linear.weight": 4.871974675,
		"csi.conv1.weight":                  .280587723, "csi.position_embedding": .012233314,
		"csi.transformer.ffn.fc2.weight": 2.356742424, "csi.projection.0.weight": 1.153313182,
	} {
		got, ok := grads[name]
		if !ok {
			t.Errorf("no parameter %s", name)
		}
		near(t, name+" gradient norm", got, want, 2e-3*want)
	}
	stats := map[string]float64{}
	for _, b := range net.Buffers() {
		stats[b.Name] = norm(b.Value)
	}
	for name, want := range map[string]float64{
		"camera.expand_bn.running_mean": 1.678359128, "camera.expand_bn.running_var": 30.960097862,
		"csi.bn1.running_mean": 1.531551931, "csi.bn1.running_var": 6.050589496,
	} {
		near(t, name+" norm", stats[name], want, 1e-5*want)
	}
}

func TestParameterCounts(t *testing.T) {
	testenv.SlowRace(t)
	for _, c := range []struct {
		modalities string
		want       int
	}{{"RL", 15569357}, {"RLM", 17768615}, {"RLMW", 44084839}} {
		cfg := Paper()
		cfg.Modalities = c.modalities
		n, err := New(cfg, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.NumParameters(); got != c.want {
			t.Errorf("%s: %d parameters, want %d", c.modalities, got, c.want)
		}
	}
	n, err := New(Edge(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := n.NumParameters(); got > 1_950_000 {
		t.Errorf("edge: %d parameters do not fit 8 MB", got)
	} else {
		t.Logf("edge: %d parameters", got)
	}
}
