package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/train"
)

// writeClips lets the simulator write a few short clips.
func writeClips(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	out, err := exec.Command(binary(t), "simulate", "--out", data, "--frames", "16", "--subjects", "1,2,3,4,6,7,8,10", "--activities", "12").CombinedOutput()
	if err != nil {
		t.Fatalf("simulate: %v\n%s", err, out)
	}
	return data
}

// trainArgs is a training of a few seconds that uses what could be lost in an
// interruption: balancing with a memory, dropout, validation and replicas.
func trainArgs(data, out string, more ...string) []string {
	return append([]string{"train", "--mmfi", data, "--out", out, "--modalities", "RM", "--stride", "4", "--val-stride", "8", "--batch", "8", "--replicas", "2",
		"--epochs", "6", "--decay-every", "0", "--balance", "awc", "--smoothing", "previous-epoch", "--fisher-batches", "1", "--modality-dropout", "0.3", "--holdout", "0.3"}, more...)
}

// outcome is what a finished training leaves, but for times.
type outcome struct {
	weights, best []byte
	curve         []train.EpochInfo
}

func outcomeOf(t *testing.T, out string) outcome {
	t.Helper()
	weights := func(dir string) []byte {
		card, err := model.ReadCard(os.DirFS(dir), ".")
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, card.Weights))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	o := outcome{weights: weights(out), best: weights(filepath.Join(out, train.BestFolder))}
	b, err := os.ReadFile(filepath.Join(out, "curve.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(b)); d.More(); {
		var e train.EpochInfo
		if err = d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		e.ElapsedS, e.SamplesPS = 0, 0
		o.curve = append(o.curve, e)
	}
	left, err := filepath.Glob(filepath.Join(out, resumeFolder, "*safetensors"))
	if err != nil || len(left) > 0 {
		t.Errorf("a finished training leaves the state to resume from: %v (%v)", left, err)
	}
	return o
}

// TestTrainingSurvivesKill kills posefuse train at 20 moments, half of them
// while a checkpoint is written, and resumes it each time: weights, best
// weights and curve are those of an undisturbed run, byte for byte.
func TestTrainingSurvivesKill(t *testing.T) {
	testenv.Slow(t)
	const kills = 20
	seed := uint64(time.Now().UnixNano())
	t.Logf("kill moments from seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	data, dir := writeClips(t), t.TempDir()
	whole := filepath.Join(dir, "whole")
	begin := time.Now()
	if out, err := exec.Command(binary(t), trainArgs(data, whole)...).CombinedOutput(); err != nil {
		t.Fatalf("undisturbed training: %v\n%s", err, out)
	}
	took := time.Since(begin)
	want := outcomeOf(t, whole)
	if len(want.curve) != 6 || len(want.weights) < 1<<16 {
		t.Fatalf("the undisturbed training left %d epochs and %d bytes of weights", len(want.curve), len(want.weights))
	}

	var where []string // what was done when a kill came
	trainings, missed := 0, 0
	for done := 0; done < kills; trainings++ {
		out := filepath.Join(dir, fmt.Sprint("killed", trainings))
		for finished := false; !finished; {
			moment := killer{out: out, after: time.Duration(rng.Float64() * 0.7 * float64(took)), writing: done%2 == 1}
			if done == kills {
				moment.after = time.Hour
			}
			var at string
			if at, finished = moment.run(t, trainArgs(data, out, "--resume")); finished {
				continue
			}
			where = append(where, at)
			if moment.writing && !strings.Contains(at, "writing") {
				if missed++; missed > 5*kills {
					t.Fatalf("%d kills missed the file that was being written", missed)
				}
				continue // the file had got its name before the kill came
			}
			done++
		}
		got := outcomeOf(t, out)
		if !bytes.Equal(got.weights, want.weights) || !bytes.Equal(got.best, want.best) {
			t.Fatalf("training %d ended with other weights than the undisturbed one; kills came at %v", trainings, where)
		}
		if fmt.Sprint(got.curve) != fmt.Sprint(want.curve) {
			t.Fatalf("training %d has the curve\n%v\nwant\n%v", trainings, got.curve, want.curve)
		}
	}
	t.Logf("%.1f s undisturbed, %d trainings; kills came at %s", took.Seconds(), trainings, strings.Join(where, ", "))
}

// killer ends a process after a time, or at the first half-written file of a
// checkpoint after that.
type killer struct {
	out     string
	after   time.Duration
	writing bool
}

// run tells in which state the kill left the folder, or that the process came
// to its end before.
func (k killer) run(t *testing.T, args []string) (at string, finished bool) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(k.out, resumeFolder, ".writing-*")) // of earlier kills
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(binary(t), args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	pending := func() bool {
		m, globErr := filepath.Glob(filepath.Join(k.out, resumeFolder, ".writing-*"))
		return globErr == nil && slices.ContainsFunc(m, func(f string) bool { return !slices.Contains(old, f) })
	}
	for deadline := time.Now().Add(k.after); ; {
		select {
		case err = <-ended:
			if err != nil {
				t.Fatalf("%v: %v\n%s", args, err, log.String())
			}
			return "", true
		default:
		}
		if time.Now().After(deadline) && (!k.writing || pending()) {
			break
		}
		time.Sleep(200 * time.Microsecond)
	}
	if err = cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	if <-ended == nil {
		return "", true // it was quicker
	}
	at = fmt.Sprintf("epoch %d", strings.Count(log.String(), "\nepoch "))
	if pending() {
		at += " writing"
	}
	return at, false
}

func TestTrainKeepsAnotherTraining(t *testing.T) {
	data, out := writeClips(t), filepath.Join(t.TempDir(), "out")
	run := func(more ...string) (string, error) {
		b, err := exec.Command(binary(t), trainArgs(data, out, append([]string{"--epochs", "1"}, more...)...)...).CombinedOutput()
		return string(b), err
	}
	if log, err := run(); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if log, err := run(); err == nil || !strings.Contains(log, "--resume") || !strings.Contains(log, out) {
		t.Errorf("a second training into the folder: %v\n%s", err, log)
	}
	// What a kill at the very end of a training leaves goes, too.
	for _, name := range []string{"before.json", "tensors-0123456789abcdef.safetensors", "best-0123456789abcdef.safetensors"} {
		if err := os.WriteFile(filepath.Join(out, resumeFolder, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if log, err := run("--resume"); err != nil || !strings.Contains(log, "has finished") {
		t.Errorf("resuming a finished training: %v\n%s", err, log)
	}
	if left, err := filepath.Glob(filepath.Join(out, resumeFolder, "*-*")); err != nil || len(left) > 0 {
		t.Errorf("a finished training keeps %v (%v)", left, err)
	}
	if _, err := os.Stat(filepath.Join(out, resumeFolder, "before.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state before the last: %v, want none", err)
	}
}
