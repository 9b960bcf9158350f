package train

import (
	"math"
	"testing"

	"posefuse/frame"
	"posefuse/internal/modeltest"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
)

// TestWindowsHoldOnePerson: a window does not reach back, or ahead, to frames
// that show somebody else.
func TestWindowsHoldOnePerson(t *testing.T) {
	const frames, change = 100, 60
	c := &ClipData{CameraFrom: make([]int32, frames)}
	for i := range frames {
		if i >= change {
			c.CameraFrom[i] = change
		}
		var at [model.KeypointValues]float32
		at[0] = float32(i)
		c.Camera = append(c.Camera, at[:]...)
	}
	dst := make([]float32, model.KeypointsValues)
	for _, window := range []model.Window{model.Causal, model.Centred} {
		d := &Data{window: window}
		for _, target := range []int{0, 30, change - 1, change, change + 20, frames - 1} {
			d.fillCamera(dst, c, target)
			for i := range model.CameraWindow {
				if frame := int(dst[i*model.KeypointValues]); frame >= change != (target >= change) {
					t.Fatalf("%s window of frame %d holds frame %d at %d", window, target, frame, i)
				}
			}
		}
	}
}

// TestSomebodyElseDoesNotStayInTheWindow: in this clip the camera and, in the
// first sweeps, the LiDAR take the therapist for the patient. What the network
// sees afterwards is the patient alone.
func TestSomebodyElseDoesNotStayInTheWindow(t *testing.T) {
	keys := []recording.Key{{Subject: 5, Activity: 12}}
	ds, err := sim.NewDataset(sim.Config{Seed: 77, Preset: "mmfi", FramesPerClip: 40, Subjects: []int{5}, Activities: []int{12},
		Degradations: []sim.Degradation{{Kind: sim.SecondPerson, Severity: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Load(t.Context(), ds, keys, modeltest.Small(), LoadOptions{Window: model.Causal, Stage: PersonStage(frame.Simulated)})
	if err != nil {
		t.Fatal(err)
	}
	b := d.NewBatch(1)
	for row := 5; row < 40; row++ {
		d.Fill(b, 0, SampleRef{0, row})
		for i := range model.CameraWindow {
			// Half a metre is 0.3 of the screen.
			if nose := float64(b.Camera[i*model.KeypointValues]); math.Abs(nose) > 0.3 {
				t.Fatalf("frame %d: the nose is at %.2f of the screen in entry %d of the window", row, nose, i)
			}
		}
	}
}
