package train

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// With First the encoders are trained alone on the samples of the network, which
// begins with them; after an interruption finished ones are taken as they are.
func TestEncodersAloneFirst(t *testing.T) {
	lidar, _ := trainedJob(t, "L")
	job := jobOf(t, "LM")
	var loads atomic.Int64
	job.First = []AloneFirst{{Modality: modality.LiDAR, Epochs: 1}, {Modality: modality.Radar, Epochs: 1}}
	job.Options.Dropout = 0.5
	var trained []string
	var start *model.Network
	ctx, stop := context.WithCancel(t.Context())
	job.Loading = func(string, float64) { loads.Add(1) }
	job.Loaded = func(net *model.Network, trainData, _ *Data) {
		trained = append(trained, net.Config.Modalities)
		if got := trainData.cfg.Modalities; got != net.Config.Modalities {
			t.Errorf("the network of %s is trained on %s", net.Config.Modalities, got)
		}
		start, _ = net.Clone()
		if len(trained) == 2 { // the radar's
			stop()
		}
	}
	if err := job.CheckStart(); err != nil {
		t.Fatal(err)
	}
	var alone *AloneError
	if _, err := job.Run(ctx); !errors.Is(err, context.Canceled) || !errors.As(err, &alone) || alone.Out != filepath.Join(job.Out, AloneFolder, "M") {
		t.Fatalf("stopped in the radar's training: %v", err)
	}
	if err := job.CheckStart(); !errors.Is(err, ErrCheckpointExists) {
		t.Errorf("trained over what stopped: %v", err)
	}
	job.Options.Resume = true
	if err := job.CheckStart(); err != nil {
		t.Fatal(err)
	}
	perRun := loads.Load()
	if _, err := job.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(trained, " "); got != "L M M LM" || loads.Load() != 2*perRun {
		t.Errorf("trained %s, loaded %d clips, in one run %d", got, loads.Load(), perRun)
	}
	fused, card, err := model.LoadCheckpoint(job.Out)
	if err != nil {
		t.Fatal(err)
	}
	first, own, err := model.LoadCheckpoint(filepath.Join(job.Out, AloneFolder, "L"))
	if err != nil {
		t.Fatal(err)
	}
	equalBits(t, first, lidar.From)
	for _, p := range start.Parameters() {
		for _, q := range first.Parameters() {
			if q.Name == p.Name && strings.HasPrefix(p.Name, "lidar.") && !equalValues(p.Value, q.Value) {
				t.Errorf("%s did not begin with the encoder's own", p.Name)
			}
		}
	}
	if len(fused.Parameters()) <= len(first.Parameters()) || card.Began["L"] != own.SHA256 || card.Metrics["val_L_alone_mpjpe_mm"] != own.Metrics["val_L_mpjpe_mm"] {
		t.Errorf("card: began with %v, metrics %v; the LiDAR's own %v", card.Began, card.Metrics, own.Metrics)
	}
}

func TestAloneFirstRefused(t *testing.T) {
	for _, c := range []struct {
		network string
		first   []AloneFirst
		want    string
	}{
		{"LM", []AloneFirst{{modality.LiDAR, 0}}, "L alone: 0 epochs"},
		{"LM", []AloneFirst{{modality.Camera, 1}}, "R alone: the network is of LM"},
		{"L", []AloneFirst{{modality.LiDAR, 1}}, "L alone: the network is of L"},
		{"LM", []AloneFirst{{modality.LiDAR, 1}, {modality.LiDAR, 2}}, "L alone: comes twice"},
	} {
		job := jobOf(t, c.network)
		job.First = c.first
		if err := job.CheckStart(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s first %v: %v, want %q", c.network, c.first, err, c.want)
		}
	}
}
