package model

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"posefuse/model/safetensors"
)

// foreign encodes the network's tensors as another program might: the type of
// each tensor is dtype(its name); edit may change the list.
func foreign(t testing.TB, n *Network, dtype func(name string) string, edit func(map[string]foreignTensor)) []byte {
	t.Helper()
	all := map[string]foreignTensor{}
	for _, x := range n.tensors() {
		f := foreignTensor{dtype: dtype(x.name), shape: x.shape}
		for _, v := range x.value {
			switch f.dtype {
			case "F64":
				f.data = binary.LittleEndian.AppendUint64(f.data, math.Float64bits(float64(v)))
			case "BF16":
				f.data = binary.LittleEndian.AppendUint16(f.data, uint16(math.Float32bits(v)>>16))
			default:
				f.data = binary.LittleEndian.AppendUint32(f.data, math.Float32bits(v))
			}
		}
		all[x.name] = f
	}
	if edit != nil {
		edit(all)
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []safetensors.Named
	var data []byte
	for _, name := range names {
		f := all[name]
		data = append(data, f.data...)
		list = append(list, safetensors.Named{Name: name, DType: f.dtype, Shape: f.shape, Bytes: int64(len(f.data))})
	}
	h, err := safetensors.Header(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	return append(h, data...)
}

type foreignTensor struct {
	dtype string
	shape []int
	data  []byte
}

func float32s(string) string { return "F32" }

// Whatever the file says, it is refused or leaves finite values of its own.
func FuzzReadWeights(f *testing.F) {
	cfg := small()
	cfg.Modalities, cfg.Camera.Channels = "R", 2
	src, err := New(cfg, 1)
	if err != nil {
		f.Fatal(err)
	}
	for _, dtype := range []string{"F32", "F64", "BF16"} {
		b := foreign(f, src, func(string) string { return dtype }, nil)
		f.Add(b)
		f.Add(b[:len(b)/2])
		f.Add(bytes.Replace(b, []byte(dtype), []byte("F16"), 1))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dst, err := New(cfg, 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dst.ReadWeights(bytes.NewReader(b)); err != nil {
			return
		}
		for _, x := range dst.tensors() {
			if err := checkValues(x.name, x.value); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestReadWeightsConverts(t *testing.T) {
	src, _ := trained(t)
	types := map[string]string{"head.fc.weight": "F64", "head.fc.bias": "BF16"}
	b := foreign(t, src, func(name string) string {
		if d := types[name]; d != "" {
			return d
		}
		return "F32"
	}, func(all map[string]foreignTensor) {
		// What PyTorch's state_dict has beside the running statistics.
		all["csi.bn1.num_batches_tracked"] = foreignTensor{"I64", []int{}, make([]byte, 8)}
	})
	dst, err := New(src.Config, 9)
	if err != nil {
		t.Fatal(err)
	}
	conv, err := dst.ReadWeights(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if conv.Converted["F64"] != 1 || conv.Converted["BF16"] != 1 || len(conv.Converted) != 2 {
		t.Errorf("converted %v", conv.Converted)
	}
	if !slices.Equal(conv.Ignored, []string{"csi.bn1.num_batches_tracked"}) {
		t.Errorf("ignored %v", conv.Ignored)
	}
	want := src.tensors()
	for i, x := range dst.tensors() {
		for j, v := range x.value {
			w := want[i].value[j]
			if types[x.name] == "BF16" {
				w = math.Float32frombits(math.Float32bits(w) &^ 0xFFFF)
			}
			if v != w {
				t.Fatalf("tensor %s holds %v at %d, want %v", x.name, v, j, w)
			}
		}
	}
}

func TestReadWeightsRefuses(t *testing.T) {
	cfg := small()
	cfg.Modalities = "R"
	src, err := New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	const bias = "head.fc.bias"
	change := func(f func(x foreignTensor) foreignTensor) func(map[string]foreignTensor) {
		return func(all map[string]foreignTensor) { all[bias] = f(all[bias]) }
	}
	with := func(v float64) func(map[string]foreignTensor) {
		return change(func(x foreignTensor) foreignTensor {
			x.dtype, x.data = "F64", make([]byte, 8*OutputDim)
			binary.LittleEndian.PutUint64(x.data[8*3:], math.Float64bits(v))
			return x
		})
	}
	tests := []struct {
		name string
		edit func(map[string]foreignTensor)
		want []string
	}{
		{"missing", func(all map[string]foreignTensor) { delete(all, bias) }, []string{bias, "missing"}},
		{"superfluous", func(all map[string]foreignTensor) { all["camera.extra"] = all[bias] }, []string{"camera.extra", "does not belong"}},
		{"shape", change(func(x foreignTensor) foreignTensor { x.shape = []int{OutputDim, 1}; return x }), []string{bias, "[51 1]", "[51]"}},
		{"type", change(func(x foreignTensor) foreignTensor { x.dtype = "I32"; return x }), []string{bias, "I32", ".float()"}},
		{"NaN", with(math.NaN()), []string{bias, "NaN", "index 3"}},
		{"infinite", with(math.Inf(-1)), []string{bias, "-Inf", "index 3"}},
		{"beyond float32", with(1e300), []string{bias, "+Inf", "index 3"}},
		{"negative variance", func(all map[string]foreignTensor) {
			for name, x := range all {
				if strings.HasSuffix(name, "expand_bn.running_var") {
					binary.LittleEndian.PutUint32(x.data, math.Float32bits(-1))
				}
			}
		}, []string{"expand_bn.running_var", "negative", "index 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dst, err := New(cfg, 2)
			if err != nil {
				t.Fatal(err)
			}
			before := slices.Clone(dst.Parameters()[0].Value)
			_, err = dst.ReadWeights(bytes.NewReader(foreign(t, src, float32s, tt.edit)))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if !slices.Equal(before, dst.Parameters()[0].Value) {
				t.Error("the network was changed before the refusal")
			}
		})
	}
	broken := errors.New("cable pulled")
	if _, err := src.ReadWeights(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the reader", err)
	}
}

func TestSaveCheckpointAs(t *testing.T) {
	src, b := trained(t)
	file := filepath.Join(t.TempDir(), "start", "weights.safetensors")
	card, err := SaveCheckpointAs(file, src, Card{Name: "start", Version: "1", Window: Causal})
	if err != nil {
		t.Fatal(err)
	}
	back, got, err := LoadCheckpoint(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = back.Close() })
	if got.SHA256 != card.SHA256 || got.Weights != "weights.safetensors" {
		t.Errorf("card %+v", got)
	}
	var poses [2]Output
	for i, n := range []*Network{src, back} {
		run, rerr := NewRuntime(n)
		if rerr == nil {
			rerr = run.Infer(sample(n.Config, b, 1), &poses[i])
		}
		if rerr != nil {
			t.Fatal(rerr)
		}
	}
	if poses[0].Pose != poses[1].Pose {
		t.Error("the checkpoint gives another pose")
	}
	if _, err = SaveCheckpointAs(filepath.Join(filepath.Dir(file), "other.safetensors"), src, card); err == nil || !strings.Contains(err.Error(), CardFile) {
		t.Errorf("a second checkpoint in the folder: error %v", err)
	}
	elsewhere := filepath.Join(t.TempDir(), "w.safetensors")
	if _, err = SaveCheckpointAs(elsewhere, src, Card{Window: "late"}); err == nil || !strings.Contains(err.Error(), `window "late"`) {
		t.Errorf("a window that nobody reads: error %v", err)
	}
	broken, err := src.Clone()
	if err != nil {
		t.Fatal(err)
	}
	broken.Parameters()[0].Value[0] = float32(math.NaN())
	if _, err := SaveCheckpointAs(elsewhere, broken, card); err == nil || !strings.Contains(err.Error(), broken.Parameters()[0].Name) {
		t.Errorf("weights that are no numbers: error %v", err)
	}
	if _, err := back.ReadWeights(bytes.NewReader(nil)); err == nil || !strings.Contains(err.Error(), "Clone") {
		t.Errorf("filling a loaded network: error %v", err)
	}
}
