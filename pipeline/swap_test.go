package pipeline

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// TestSwapUnderLoad: models replaced in quick succession, several between two
// ticks, are closed once each and never used after; no tick is lost.
func TestSwapUnderLoad(t *testing.T) {
	slow := func(modality.Kind) { time.Sleep(2 * time.Millisecond) }
	all := []*stagedModel{newStagedModel("0")}
	all[0].work = slow
	d := startDaemon(t, testConfig(t), all[0])
	poses := d.subscribe(t, "pose")
	seq := next(t, poses, func(p *message.Pose) bool { return p.JointsM != nil }).Seq
	for i := range 20 {
		for range i%3 + 1 {
			s := newStagedModel(fmt.Sprint(len(all)))
			s.work = slow
			all = append(all, s)
			if err := d.SwapModel(s); err != nil {
				t.Fatal(err)
			}
		}
		p := next(t, poses, func(*message.Pose) bool { return true })
		if p.Seq != seq+1 || lost(p) {
			t.Fatalf("after %d: %+v", seq, p)
		}
		seq = p.Seq
	}
	last := all[len(all)-1]
	next(t, poses, func(p *message.Pose) bool { return p.Model.Name == last.card.Name })
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		s.check(t)
		if n := s.closed.Load(); n != 1 {
			t.Errorf("model %s was closed %d times", s.card.Name, n)
		}
	}
}

// TestSwapMappedModels swaps real checkpoints of equal and of different
// weights: no tick is lost, and after the daemon's end no weights are mapped.
func TestSwapMappedModels(t *testing.T) {
	if runtime.GOOS != "linux" {
		testenv.LeaveOut(t, "weights are mapped on Linux only")
	}
	cfg := model.Edge()
	cfg.Camera.Channels, cfg.CSI.Height, cfg.CSI.Base = 32, 16, 4
	cfg.LiDAR.Points, cfg.LiDAR.Planes = 64, []int{8, 8, 8, 8, 8}
	cfg.LiDAR.Strides = []int{1, 2, 2, 2, 2}
	root := t.TempDir()
	for i := range 2 {
		n, err := model.New(cfg, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = model.SaveCheckpoint(filepath.Join(root, fmt.Sprint(i)), n, model.Card{Name: fmt.Sprint(i), Version: "1", Window: model.Causal}); err != nil {
			t.Fatal(err)
		}
	}
	load := func(i int) Inferer {
		n, card, err := model.LoadCheckpoint(filepath.Join(root, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		inf, err := NewInferer(n, card)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		return inf
	}
	mapped := func() int {
		b, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(b, []byte(root))
	}
	d := startDaemon(t, testConfig(t), load(0))
	poses := d.subscribe(t, "pose")
	seq := next(t, poses, func(p *message.Pose) bool { return p.JointsM != nil }).Seq
	for _, i := range []int{0, 1, 1, 0, 1} {
		if err := d.SwapModel(load(i)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			p := next(t, poses, func(*message.Pose) bool { return true })
			if p.Seq != seq+1 || lost(p) {
				t.Fatalf("after %d: %+v", seq, p)
			}
			seq = p.Seq
		}
	}
	if n := mapped(); n < 1 || n > 2 {
		t.Errorf("%d mappings while one model runs", n)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if n := mapped(); n != 0 {
		t.Errorf("%d mappings stay", n)
	}
}
