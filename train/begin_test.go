package train

import (
	"path/filepath"
	"strings"
	"testing"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
)

// jobOf is a small job on simulated sensors.
func jobOf(t *testing.T, modalities string) *Job {
	t.Helper()
	ds, err := sim.NewDataset(sim.Config{Seed: 5, Preset: "mmfi", FramesPerClip: 30})
	if err != nil {
		t.Fatal(err)
	}
	some := Selection{Data: ds, Keys: []recording.Key{{Subject: 1, Activity: 12}, {Subject: 2, Activity: 7}}}
	cfg := tiny(model.PrecisionHead)
	cfg.Modalities = modalities
	out := t.TempDir()
	return &Job{Config: cfg.Room(), FoundBy: modality.All, Window: model.Causal, Split: Split{Train: some, Validation: some}, Stride: 3, ValStride: 9,
		Options: Options{Epochs: 1, Batch: 8, LR: 1e-3, Seed: 2, MeanStart: true, Checkpoint: filepath.Join(out, "resume")}, Out: out}
}

// trainedJob runs a small job and returns its checkpoint, and what the network held
// before the first step.
func trainedJob(t *testing.T, modalities string, begin ...Begin) (done Begin, start *model.Network) {
	t.Helper()
	job := jobOf(t, modalities)
	job.Begin = begin
	job.Loaded = func(net *model.Network, trainData, _ *Data) {
		var err error
		if start, err = net.Clone(); err != nil {
			t.Error(err)
		}
		if got := trainData.cfg.Modalities; got != modalities {
			t.Errorf("the network of %s is trained on %s", modalities, got)
		}
	}
	_, err := job.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if done.From, done.Card, err = model.LoadCheckpoint(job.Out); err != nil {
		t.Fatal(err)
	}
	return done, start
}

// An encoder trained alone goes into a network of all sensors, and a whole network
// goes on; the card says where the weights came from.
func TestTrainingBeginsWithCheckpoints(t *testing.T) {
	lidar, _ := trainedJob(t, "L")
	lidar.Modalities = modality.Of(modality.LiDAR)
	fused, start := trainedJob(t, "RLMW", lidar)
	for _, p := range start.Parameters() {
		if !strings.HasPrefix(p.Name, "lidar.") {
			continue
		}
		for _, q := range lidar.From.Parameters() {
			if q.Name == p.Name && !equalValues(p.Value, q.Value) {
				t.Errorf("%s did not begin with the encoder's own", p.Name)
			}
		}
	}
	if got := fused.Card.Began["L"]; got != lidar.Card.SHA256 || fused.Card.Parent != "" {
		t.Errorf("card: began with %v, parent %q; want L from %s and no parent", fused.Card.Began, fused.Card.Parent, lidar.Card.SHA256)
	}

	own, of := fused.Card.Metrics["val_L_alone_mpjpe_mm"], lidar.Card.Metrics["val_L_mpjpe_mm"]
	if own == 0 || own != of {
		t.Errorf("card: the LiDAR alone is %g mm off, its own card says %g", own, of)
	}

	further, start := trainedJob(t, "RLMW", fused)
	equalBits(t, start, fused.From)
	if further.Card.Parent != fused.Card.SHA256 || further.Card.Began != nil {
		t.Errorf("card of a training that went on: parent %q, began %v", further.Card.Parent, further.Card.Began)
	}
}

func equalValues(a, b []float32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}
