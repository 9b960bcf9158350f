package train

import (
	"slices"
	"testing"

	"posefuse/model"
)

// A network with a ReprojectionHead begins at the mean pose and without a
// correction, and trains with a balancing method, variation and modality dropout
// until it has one.
func TestReprojectionTrains(t *testing.T) {
	job := jobOf(t, "RLMW")
	job.Config.Head = model.ReprojectionHead
	var set MethodSettings
	set.Set(awcFisherBatches, 1)
	method, err := NewMethod(AWC, set)
	if err != nil {
		t.Fatal(err)
	}
	job.Options.Method, job.Options.Dropout, job.Options.Replicas = method, 0.5, 2
	job.Options.Vary = UsualVariation(job.Config.Mask())
	nonzero := func(net *model.Network, name string) bool {
		for _, p := range net.Parameters() {
			if p.Name == name {
				return slices.ContainsFunc(p.Value, func(v float32) bool { return v != 0 })
			}
		}
		t.Fatalf("no tensor %s", name)
		return false
	}
	var net *model.Network
	job.Loaded = func(n *model.Network, _, _ *Data) { net = n }
	job.Options.Start = func(StartInfo) {
		if !nonzero(net, "head.bias") {
			t.Error("the head does not begin at the mean pose")
		}
		for _, name := range []string{"head.correction.2.weight", "head.correction.2.bias"} {
			if nonzero(net, name) {
				t.Errorf("%s is not zero before the first step", name)
			}
		}
	}
	if _, err = job.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, _, err := model.LoadCheckpoint(job.Out)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"head.correction.2.weight", "head.correction.2.bias"} {
		if !nonzero(got, name) {
			t.Errorf("%s is zero after training", name)
		}
	}
}
