package model

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"unsafe"

	"posefuse/internal/testenv"
	"posefuse/sensors/modality"
)

// wide is a camera network whose large tensors stay in the file.
func wide(t *testing.T) (dir string, net *Network, card Card) {
	t.Helper()
	cfg := small()
	cfg.Modalities, cfg.Camera.Channels = "R", 512
	net, err := New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	card, err = SaveCheckpoint(dir, net, Card{Name: "wide", Version: "1", Window: Causal})
	if err != nil {
		t.Fatal(err)
	}
	return dir, net, card
}

// mappings returns how many mappings of the file the process has.
func mappings(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte(file))
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func load(t *testing.T, dir string) *Network {
	t.Helper()
	n, _, err := LoadCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func closeAll(t *testing.T, all ...interface{ Close() error }) {
	t.Helper()
	for _, c := range all {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func pose(t *testing.T, rt *Runtime) [OutputDim]float32 {
	t.Helper()
	in := &Input{Present: 1 << modality.Camera, Camera: make([]float32, KeypointsValues)}
	for i := range in.Camera {
		in.Camera[i] = float32(i%7) / 7
	}
	var out Output
	if err := rt.Infer(in, &out); err != nil {
		t.Fatal(err)
	}
	return out.Pose
}

// Networks of equal files share one copy, mapped once, until the last network
// and runtime is closed.
func TestEqualCheckpointsShareOneMapping(t *testing.T) {
	if runtime.GOOS != "linux" {
		testenv.LeaveOut(t, "weights are mapped on Linux only")
	}
	dir, net, card := wide(t)
	file := filepath.Join(dir, card.Weights)
	other := t.TempDir() // a copy of the checkpoint elsewhere
	if err := os.CopyFS(filepath.Join(other, "copy"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	fds := descriptors(t)
	live, shadow := load(t, dir), load(t, filepath.Join(other, "copy"))
	if n := mappings(t, file); n != 1 {
		t.Fatalf("%d mappings of the weights, want 1", n)
	}
	if n := mappings(t, other); n != 0 {
		t.Errorf("%d mappings of the equal file, want 0", n)
	}
	for i, p := range live.Parameters() {
		q := shadow.Parameters()[i]
		if unsafe.SliceData(p.Value) != unsafe.SliceData(q.Value) {
			t.Errorf("%s lies in two places", p.Name)
		}
		if p.Grad != nil {
			t.Errorf("%s has memory for a gradient", p.Name)
		}
	}
	m := live.Memory()
	if m.Mapped < m.Heap || m.Mapped+m.Heap != 4*int64(net.NumParameters()+buffers(net)) || m.Gradients != 0 {
		t.Errorf("memory %+v of %d parameters", m, net.NumParameters())
	}
	if own := net.Memory(); own.Mapped != 0 || own.Heap != m.Mapped+m.Heap || own.Gradients != 4*int64(net.NumParameters()) {
		t.Errorf("memory of a network in training %+v", own)
	}

	a, err := NewRuntime(live)
	if err != nil {
		t.Fatal(err)
	}
	packed := live.Memory().Packed
	b, err := NewRuntime(shadow)
	if err != nil {
		t.Fatal(err)
	}
	if packed < m.Mapped || shadow.Memory().Packed != packed {
		t.Errorf("packed weights take %d bytes with one runtime, %d with two, the file %d", packed, shadow.Memory().Packed, m.Mapped)
	}
	if x, y := a.Memory(), b.Memory(); x > m.Mapped || y > m.Mapped {
		t.Errorf("buffers of the runtimes take %d and %d bytes", x, y)
	}
	want, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	if p := pose(t, want); pose(t, a) != p || pose(t, b) != p {
		t.Error("runtimes of the shared weights give another pose")
	}
	closeAll(t, live, live, shadow, a)
	if n := mappings(t, file); n != 1 {
		t.Fatalf("%d mappings while a runtime works, want 1", n)
	}
	if pose(t, b) != pose(t, want) {
		t.Error("closing its equals changed the pose")
	}
	closeAll(t, b, b)
	if n := mappings(t, file); n != 0 {
		t.Errorf("%d mappings after the last runtime, want 0", n)
	}
	if n := descriptors(t); n != fds {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
	if _, err := NewRuntime(live); err == nil {
		t.Error("a closed network runs")
	}
}

func buffers(n *Network) (sum int) {
	for _, b := range n.Buffers() {
		sum += len(b.Value)
	}
	return sum
}

// Loading and closing from many goroutines leaves nothing open.
func TestCheckpointsLoadConcurrently(t *testing.T) {
	dir, _, card := wide(t)
	var wg sync.WaitGroup
	var poses [4][OutputDim]float32
	for i := range poses {
		wg.Go(func() {
			for range 3 {
				n, _, err := LoadCheckpoint(dir)
				if err != nil {
					t.Error(err)
					return
				}
				rt, err := NewRuntime(n)
				if err != nil {
					t.Error(err)
					return
				}
				poses[i] = pose(t, rt)
				closeAll(t, n, rt)
			}
		})
	}
	wg.Wait()
	for i, p := range poses {
		if p != poses[0] {
			t.Errorf("goroutine %d sees another pose", i)
		}
	}
	if n := mappings(t, card.Weights); n != 0 {
		t.Errorf("%d mappings stay", n)
	}
}

// A frozen network cannot be trained or overwritten; its clone can.
func TestFrozenNetworkIsReadOnly(t *testing.T) {
	dir, net, _ := wide(t)
	frozen := load(t, dir)
	defer closeAll(t, frozen)
	if !frozen.Frozen() || net.Frozen() {
		t.Error("frozen is not what was loaded")
	}
	if _, err := NewTrainer(frozen, 2, TrainerOptions{}); err == nil || !strings.Contains(err.Error(), "Clone") {
		t.Errorf("trainer: %v", err)
	}
	if err := frozen.CopyFrom(net); err == nil || !strings.Contains(err.Error(), "Clone") {
		t.Errorf("copy: %v", err)
	}
	c, err := frozen.Clone()
	if err != nil {
		t.Fatal(err)
	}
	if c.Frozen() {
		t.Fatal("the clone is frozen")
	}
	for i, p := range c.Parameters() {
		q := frozen.Parameters()[i]
		if len(p.Grad) != len(p.Value) || len(p.Value) == 0 || p.Value[0] != q.Value[0] {
			t.Fatalf("%s: %d values, %d gradients", p.Name, len(p.Value), len(p.Grad))
		}
		p.Value[0]++
		if q.Value[0] == p.Value[0] {
			t.Fatalf("%s of the clone lies in the frozen network", p.Name)
		}
	}
	if _, err := NewTrainer(c, 2, TrainerOptions{}); err != nil {
		t.Error(err)
	}
}

// A new checkpoint over the old one leaves the running network alone; a file
// cut short in place stops no runtime, only new ones.
func TestFileChangesUnderTheRuntime(t *testing.T) {
	if runtime.GOOS != "linux" {
		testenv.LeaveOut(t, "weights are mapped on Linux only")
	}
	dir, net, card := wide(t)
	n := load(t, dir)
	defer closeAll(t, n)
	rt, err := NewRuntime(n)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, rt)
	before := pose(t, rt)
	for _, p := range net.Parameters() {
		p.Value[0]++
	}
	next, err := SaveCheckpoint(dir, net, card)
	if err != nil {
		t.Fatal(err)
	}
	if next.Weights == card.Weights {
		t.Fatal("the new weights have the old name")
	}
	if pose(t, rt) != before {
		t.Error("replacing the checkpoint changed the running network")
	}

	cut := load(t, dir)
	defer closeAll(t, cut)
	running, err := NewRuntime(cut)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, running)
	before = pose(t, running)
	if err = os.Truncate(filepath.Join(dir, next.Weights), 4096); err != nil {
		t.Fatal(err)
	}
	if pose(t, running) != before {
		t.Error("cutting the file changed the running network")
	}
	if _, _, err = LoadCheckpoint(dir); err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("the cut file: %v", err)
	}
	if _, err = NewRuntime(cut); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("a runtime of the cut file: %v", err)
	}
	err = guarded(func() error {
		for _, p := range cut.Parameters() {
			for _, v := range p.Value {
				if v-v != 0 {
					return nil
				}
			}
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("reading the cut file: %v", err)
	}
}

// The same file from a file system that cannot be mapped gives the same pose,
// and so does one whose tensors are not aligned.
func TestWeightsInMemory(t *testing.T) {
	dir, net, card := wide(t)
	want, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	m := fstest.MapFS{}
	for _, name := range []string{CardFile, card.Weights} {
		b, rerr := os.ReadFile(filepath.Join(dir, name))
		if rerr != nil {
			t.Fatal(rerr)
		}
		m["x/"+name] = &fstest.MapFile{Data: b}
	}
	n, _, err := LoadCheckpointFS(m, "x")
	if err != nil {
		t.Fatal(err)
	}
	rt, err := NewRuntime(n)
	if err != nil {
		t.Fatal(err)
	}
	if pose(t, rt) != pose(t, want) {
		t.Error("weights in memory give another pose")
	}
	if k := n.Memory(); k.Mapped != 0 || k.Heap != 4*int64(net.NumParameters()+buffers(net)) {
		t.Errorf("memory %+v", k)
	}
	closeAll(t, n, rt)
	for shift := range 4 {
		b := make([]byte, 12)[shift:][:8]
		copy(b, []byte{0, 0, 128, 63, 0, 0, 0, 64})
		if v, _ := floats(b); len(v) != 2 || v[0] != 1 || v[1] != 2 {
			t.Errorf("shifted by %d bytes: %v", shift, v)
		}
	}
}

// Runtimes in low precision share their weights too, beside those in float32.
func TestLowPrecisionSharesWeights(t *testing.T) {
	cfg := small()
	cfg.Modalities = "W"
	net, err := New(cfg, 2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err = SaveCheckpoint(dir, net, Card{Name: "w", Version: "1", Window: Causal}); err != nil {
		t.Fatal(err)
	}
	n := load(t, dir)
	defer closeAll(t, n)
	in := &Input{Present: 1 << modality.CSI, CSI: make([]float32, CSIValues)}
	for i := range in.CSI {
		in.CSI[i] = float32(i%11) / 11
	}
	var packed [4]int64
	var outs [4]Output
	for i := range packed {
		rt, err := NewRuntimeWith(n, RuntimeOptions{Precision: [4]Precision{Float32, BFloat16, BFloat16, Float32}[i], Emulate: true})
		if err != nil {
			t.Fatal(err)
		}
		defer closeAll(t, rt)
		if err := rt.Infer(in, &outs[i]); err != nil {
			t.Fatal(err)
		}
		packed[i] = n.Memory().Packed
	}
	if packed[0] == 0 || packed[1] <= packed[0] || packed[2] != packed[1] || packed[3] != packed[1] {
		t.Errorf("packed weights after each runtime: %v bytes", packed)
	}
	if outs[1].Pose != outs[2].Pose || outs[0].Pose != outs[3].Pose || outs[0].Pose == outs[1].Pose {
		t.Error("poses of equal runtimes differ, or bfloat16 changes nothing")
	}
}
