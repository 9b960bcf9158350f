package train

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model"
)

// files lists a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// A folder keeps two states and their tensors, and takes away what else a
// killed process may have left.
func TestCheckpointFolderHoldsTwoStates(t *testing.T) {
	data, held := checkpointData(t)
	dir := interrupted(t, course{method: Plain, head: model.ConcatHead, held: true}, data, held)
	for _, name := range []string{pendingName + "1", tensorsName + "0000.safetensors"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("left over"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	net, opt := course{method: Plain, head: model.ConcatHead, held: true}.start(t, held)
	opt.Checkpoint, opt.Resume = dir, true
	if err := Run(t.Context(), net, data, opt); err != nil {
		t.Fatal(err)
	}
	tensors, best := 0, 0
	for _, name := range files(t, dir) {
		switch {
		case strings.HasPrefix(name, tensorsName):
			tensors++
		case strings.HasPrefix(name, bestName):
			best++
		case name != stateFile && name != beforeFile && name != "lock":
			t.Errorf("%s is left in the folder", name)
		}
	}
	if tensors != 2 || best < 1 || best > 2 {
		t.Errorf("%v: want 2 files of tensors and 1 or 2 of best weights", files(t, dir))
	}
	if err := FinishCheckpoint(dir); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"lock", stateFile}) {
		t.Errorf("a finished training leaves %v", got)
	}
	if err := Run(t.Context(), net, data, opt); !errors.Is(err, ErrFinished) {
		t.Errorf("resuming a finished training: %v", err)
	}
}

// A kill in the middle of FinishCheckpoint leaves some of the files it takes
// away; however many there are, finishing again takes the rest.
func TestFinishGoesOnAfterKill(t *testing.T) {
	data, held := checkpointData(t)
	dir := interrupted(t, course{method: Plain, head: model.ConcatHead, held: true}, data, held)
	removed := map[string][]byte{}
	for _, name := range files(t, dir) {
		if name != stateFile && name != "lock" {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			removed[name] = b
		}
	}
	if len(removed) < 4 { // before.json, two files of tensors, best weights
		t.Fatalf("only %d files to remove", len(removed))
	}
	names := slices.Sorted(maps.Keys(removed))
	for gone := range len(names) + 1 {
		if err := FinishCheckpoint(dir); err != nil {
			t.Fatal(err)
		}
		if got := files(t, dir); !slices.Equal(got, []string{"lock", stateFile}) {
			t.Fatalf("finishing with %d files gone leaves %v", gone, got)
		}
		for _, name := range names[gone:] {
			if err := os.WriteFile(filepath.Join(dir, name), removed[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Whatever part of the newest checkpoint is damaged, the one before is used,
// with a warning, and the weights at the end are the same; without it the
// damage is told.
func TestDamagedCheckpoint(t *testing.T) {
	data, held := checkpointData(t)
	c := course{method: AGM, head: model.ConcatHead, held: true}
	want, opt := c.start(t, held)
	if err := Run(t.Context(), want, data, opt); err != nil {
		t.Fatal(err)
	}
	newest := func(t *testing.T, dir string) string {
		st, _, err := (&folder{dir: dir}).read(stateFile)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, st.Tensors.Name)
	}
	change := func(t *testing.T, file string, how func([]byte) []byte) {
		b, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, how(b), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	flip := func(b []byte) []byte { b[len(b)/2] ^= 4; return b }
	nothing := func([]byte) []byte { return nil }
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"state cut":       func(t *testing.T, dir string) { change(t, filepath.Join(dir, stateFile), half) },
		"state empty":     func(t *testing.T, dir string) { change(t, filepath.Join(dir, stateFile), nothing) },
		"state flipped":   func(t *testing.T, dir string) { change(t, filepath.Join(dir, stateFile), flip) },
		"tensors cut":     func(t *testing.T, dir string) { change(t, newest(t, dir), half) },
		"tensors flipped": func(t *testing.T, dir string) { change(t, newest(t, dir), flip) },
		"tensors empty":   func(t *testing.T, dir string) { change(t, newest(t, dir), nothing) },
		"tensors gone": func(t *testing.T, dir string) {
			if err := os.Remove(newest(t, dir)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if testenv.Race && name != "tensors cut" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := interrupted(t, c, data, held)
			spoil(t, dir)
			net, opt := c.start(t, held)
			var warned []string
			epoch := -1
			opt.Checkpoint, opt.Resume = dir, true
			opt.Warn = func(s string) { warned = append(warned, s) }
			opt.Resumed = func(r ResumeInfo) { epoch = r.Epoch }
			if err := Run(t.Context(), net, data, opt); err != nil {
				t.Fatal(err)
			}
			if epoch != 1 || len(warned) != 1 || !strings.Contains(warned[0], dir) {
				t.Errorf("resumed after epoch %d with the warnings %q, want epoch 1 and one that names the file", epoch, warned)
			}
			equalBits(t, net, want)

			dir = interrupted(t, c, data, held)
			spoil(t, dir)
			if err := os.Remove(filepath.Join(dir, beforeFile)); err != nil {
				t.Fatal(err)
			}
			net, opt = c.start(t, held)
			opt.Checkpoint, opt.Resume = dir, true
			if err := Run(t.Context(), net, data, opt); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "no whole checkpoint") {
				t.Errorf("without the checkpoint before: %v", err)
			}
		})
	}
}

func TestTwoTrainingsCannotShareAFolder(t *testing.T) {
	data, held := checkpointData(t)
	c := course{method: Plain, head: model.ConcatHead}
	dir := interrupted(t, c, data, held)
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	net, opt := c.start(t, held)
	opt.Checkpoint, opt.Resume = dir, true
	if err := Run(t.Context(), net, data, opt); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second training in the folder: %v", err)
	}
}

// A training that diverges names the checkpoint to go back to, and goes on
// from it with another learning rate, which later resumes keep.
func TestDivergedTrainingGoesOnMoreSlowly(t *testing.T) {
	data, held := checkpointData(t)
	c := course{method: Plain, head: model.ConcatHead}
	dir := filepath.Join(t.TempDir(), "state")
	net, opt := c.start(t, held)
	opt.Checkpoint = dir
	opt.Step = func(s StepInfo) {
		if s.Epoch == 3 && s.Step == 2 {
			p := net.Parameters()[0] // of the camera
			p.Value[0] = float32(math.NaN())
		}
	}
	err := Run(t.Context(), net, data, opt)
	var d *DivergedError
	if !errors.As(err, &d) || d.Epoch != 3 || d.Where != "R" || d.Checkpoint != dir || d.CheckpointEpoch != 2 || d.LR != opt.LR {
		t.Fatalf("got %#v (%v), want epoch 3, modality R and the checkpoint of epoch 2", d, err)
	}
	rates := map[int]float64{}
	net, opt = c.start(t, held)
	opt.Checkpoint, opt.Resume, opt.ResumeLR = dir, true, 5e-4
	opt.AfterEpoch = func(e EpochInfo) error { rates[e.Epoch] = e.LR; return nil }
	if err = Run(stopAfter(&opt, 3), net, data, opt); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	net, opt = c.start(t, held)
	opt.Checkpoint, opt.Resume = dir, true
	opt.AfterEpoch = func(e EpochInfo) error { rates[e.Epoch] = e.LR; return nil }
	if err = Run(t.Context(), net, data, opt); err != nil {
		t.Fatal(err)
	}
	slow := opt
	slow.LR = 5e-4
	for epoch := 3; epoch <= 4; epoch++ {
		if want := slow.rate(slow.share(epoch-1, 1, 1, 0), epoch-1); rates[epoch] != want {
			t.Errorf("epoch %d ended with the learning rate %g, want %g", epoch, rates[epoch], want)
		}
	}
}

// Weights that the last step of an epoch spoiled are never a checkpoint.
func TestSpoiledWeightsAreNotSaved(t *testing.T) {
	data, held := checkpointData(t)
	net, opt := course{method: Plain, head: model.ConcatHead}.start(t, held)
	opt.Checkpoint = filepath.Join(t.TempDir(), "state")
	opt.Step = func(s StepInfo) {
		if s.Epoch == 2 && s.Step == s.StepsPerEpoch {
			net.Parameters()[0].Value[0] = float32(math.Inf(1))
		}
	}
	err := Run(t.Context(), net, data, opt)
	var d *DivergedError
	if !errors.As(err, &d) || d.Where != "R" || d.CheckpointEpoch != 1 {
		t.Fatalf("got %v, want a divergence in R with the checkpoint of epoch 1", err)
	}
}

// Every option is part of the fingerprint or known not to matter.
func TestFingerprintHoldsEveryOption(t *testing.T) {
	known := map[string]string{
		"TimeLimit": "only ends training", "Method": "method", "Validation": "validation", "Best": "recipe.keep_best",
		"Checkpoint": "where", "Resume": "whether", "ResumeLR": "in the state", "Resumed": "told", "Warn": "told",
		"Curve": "told", "Start": "told", "Step": "told", "AfterEpoch": "told",
		"Epochs": "recipe.epochs", "Batch": "recipe.batch", "LR": "recipe.lr", "DecayEvery": "recipe.decay_every", "WeightDecay": "recipe.weight_decay",
		"Seed": "recipe.seed", "Replicas": "recipe.replicas", "Dropout": "recipe.modality_dropout", "MeanStart": "recipe.mean_start",
		"ScheduleTime": "recipe.schedule_time", "Augment": "recipe.augment", "Begun": "recipe.begun", "Vary": "recipe.vary", "HeadEpochs": "recipe.head_epochs", "InUse": "recipe.in_use",
	}
	for f := range reflect.TypeFor[Options]().Fields() {
		if known[f.Name] == "" {
			t.Errorf("option %s: put it into the fingerprint if the weights depend on it, then into this table", f.Name)
		}
	}
}

// No file makes reading a state panic, and one that is taken is what encode
// writes.
func FuzzParseState(f *testing.F) {
	st := &state{Format: stateFormat, Epoch: 1, LR: 1e-3, History: []EpochInfo{{Epoch: 1}}, Fingerprint: map[string]string{"a": "1"}}
	st.Tensors.SHA256 = strings.Repeat("ab", 32)
	st.Tensors.Name = tensorFileName(tensorsName, st.Tensors.SHA256)
	whole, err := st.encode()
	if err != nil {
		f.Fatal(err)
	}
	st.Finished = true
	finished, err := st.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(finished)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseState(b)
		if err != nil {
			return
		}
		again, err := got.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseState(again)
		if err != nil || !reflect.DeepEqual(got, back) {
			t.Fatalf("%+v became %+v (%v)", got, back, err)
		}
	})
}
