package train

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/internal/modeltest"
	"posefuse/model"
	"posefuse/person"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
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

// TestAFolderKeepsWhatTheStageNeeds: a simulated room, written to a folder and read
// again, gives the network the same input: places, lens and scores are kept.
func TestAFolderKeepsWhatTheStageNeeds(t *testing.T) {
	w := sim.DefaultWorld()
	w.Camera.RoomFromCamera = frame.CameraPose{PositionM: [3]float64{0.1, 0, 1.25}, TiltDeg: -4}
	w.Camera.FocalPx, w.Person.FartherM = 700, 0.6
	w.Camera.Missing.Joints = []string{"left_wrist"}
	ds, err := sim.NewDataset(sim.Config{Seed: 5, Preset: "movenet-1", FramesPerClip: 30, Subjects: []int{2}, Activities: []int{12}, World: &w,
		Degradations: []sim.Degradation{{Kind: sim.DarkRoom, Severity: 2, StartS: 1, EndS: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err = ds.Write(t.Context(), dir, sim.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	folder, err := mmfi.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if lines := folder.Lacks(); len(lines) != 1 {
		t.Errorf("lacks %q: a cropped room has no background, all else is there", lines)
	}
	load := func(from recording.Dataset) *ClipData {
		d, err := Load(t.Context(), from, ds.Keys(), modeltest.Small(), LoadOptions{Window: model.Causal, Stage: PersonStage(frame.Simulated)})
		if err != nil {
			t.Fatal(err)
		}
		return d.Clips[0]
	}
	want, got := load(ds), load(folder)
	absent := 0
	for _, p := range want.Present {
		if !p.Has(modality.Camera) {
			absent++
		}
	}
	if absent == 0 || absent > 25 {
		t.Errorf("the camera is absent in %d of 30 frames", absent)
	}
	if !slices.Equal(got.Camera, want.Camera) || !slices.Equal(got.LiDAR, want.LiDAR) || !slices.Equal(got.Radar, want.Radar) || !slices.Equal(got.Present, want.Present) {
		t.Errorf("the folder gives another input; present %v, want %v", got.Present, want.Present)
	}
}

// TestTheBackgroundComesWithTheRecording: what a daemon had learned of the room is
// known in the first frame; a file of another room is refused.
func TestTheBackgroundComesWithTheRecording(t *testing.T) {
	w := sim.WholeRoom(sim.ScanRows, 0)
	clip, err := sim.NewClip(sim.Config{Seed: 5, Preset: "mmfi", FramesPerClip: 300, World: &w}, sim.NewProcedural(5, recording.Key{Subject: 2, Activity: 12}, sim.MotionOptions{Frames: 300}))
	if err != nil {
		t.Fatal(err)
	}
	stage := PersonStage(frame.Simulated)
	look := func(c recording.Clip, frames int) *intake.Intake {
		t.Helper()
		s, err := newFeed(c, modeltest.Small(), stage)
		if err != nil {
			t.Fatal(err)
		}
		var f recording.Frame
		for i := range frames {
			if err := clip.FrameOf(i, modality.Of(modality.LiDAR), &f); err != nil {
				t.Fatal(err)
			}
			if err := s.take(i, &f, modality.Of(modality.LiDAR)); err != nil {
				t.Fatal(err)
			}
			s.in.End(modality.Of(modality.LiDAR))
		}
		return s.in
	}
	var file bytes.Buffer
	learned := look(clip, 300)
	if err := learned.SaveBackground(&file); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		clip  recording.Clip
		knows bool
	}{"kept": {backgrounded{clip, file.Bytes()}, true}, "not kept": {backgrounded{clip, nil}, false}} {
		n := look(c.clip, 1).TakeSearched()
		if knows := n[person.Background] > 5*n[person.Other]; knows != c.knows {
			t.Errorf("%s: %d points of the first sweep are background, %d are new", name, n[person.Background], n[person.Other])
		}
	}
	if _, err := stage(backgrounded{clip, file.Bytes()[:50]}); err == nil {
		t.Error("a background cut short is taken")
	}
}

// backgrounded is a clip with a background beside it.
type backgrounded struct {
	*sim.Clip
	file []byte
}

func (b backgrounded) Background() []byte { return b.file }
