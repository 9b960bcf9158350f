package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckpointRoundTrip(t *testing.T) {
	net, b := trained(t)
	dir := filepath.Join(t.TempDir(), "edge", "1")
	card := Card{Name: "edge", Version: "1", Window: Causal, Data: "test", Metrics: map[string]float64{"val_mpjpe_mm": 61.5}}
	saved, err := SaveCheckpoint(dir, net, card)
	if err != nil {
		t.Fatal(err)
	}
	back, got, err := LoadCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA256 != saved.SHA256 || got.Window != Causal || got.Metrics["val_mpjpe_mm"] != 61.5 || got.Parameters != net.NumParameters() {
		t.Errorf("card %+v", got)
	}
	in := sample(net.Config, b, 2)
	var x, y Output
	for _, r := range []struct {
		n *Network
		o *Output
	}{{net, &x}, {back, &y}} {
		rt, rerr := NewRuntime(r.n)
		if rerr != nil {
			t.Fatal(rerr)
		}
		if err = rt.Infer(in, r.o); err != nil {
			t.Fatal(err)
		}
	}
	if x.Pose != y.Pose {
		t.Error("the loaded network gives another pose")
	}
	// A second save replaces the first and leaves nothing behind.
	net.Parameters()[0].Value[0]++
	if _, err = SaveCheckpoint(dir, net, card); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("%d files in the checkpoint, want 2 (%v)", len(files), err)
	}
	if _, _, err := LoadCheckpoint(dir); err != nil {
		t.Error(err)
	}
}

// The tensors of a checkpoint must fit the network exactly.
func TestCheckpointRefusals(t *testing.T) {
	cfg := small()
	cfg.Modalities = "R"
	net, err := New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	card := Card{Name: "x", Version: "1", Window: Centred}
	find := func(ts []namedTensor, name string) int {
		for i, x := range ts {
			if x.name == name {
				return i
			}
		}
		t.Fatalf("no tensor %s", name)
		return 0
	}
	// rewrite saves altered tensors with a matching hash.
	rewrite := func(change func([]namedTensor) []namedTensor) func(string) {
		return func(dir string) {
			c, err := os.ReadFile(filepath.Join(dir, CardFile))
			if err != nil {
				t.Fatal(err)
			}
			var k Card
			if err = json.Unmarshal(c, &k); err != nil {
				t.Fatal(err)
			}
			ts := net.tensors()
			b, err := encodeSafetensors(change(ts))
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, k, b)
		}
	}
	set := func(name string, v float32) func(string) {
		return rewrite(func(ts []namedTensor) []namedTensor {
			i := find(ts, name)
			ts[i].value = append([]float32(nil), ts[i].value...)
			ts[i].value[1] = v
			return ts
		})
	}
	weights := func(dir string) string {
		m, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
		if err != nil || len(m) != 1 {
			t.Fatal(m, err)
		}
		return m[0]
	}
	edit := func(old, new string) func(string) {
		return func(dir string) {
			p := filepath.Join(dir, CardFile)
			b, err := os.ReadFile(p)
			if err != nil || !strings.Contains(string(b), old) {
				t.Fatalf("card has no %q: %v", old, err)
			}
			if err := os.WriteFile(p, []byte(strings.Replace(string(b), old, new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	const w = "head.fc.weight"
	for _, c := range []struct {
		name   string
		damage func(dir string)
		want   string
	}{
		{"missing tensor", rewrite(func(ts []namedTensor) []namedTensor { return ts[1:] }), `tensor "camera.expand_conv.weight" is missing`},
		{"extra tensor", rewrite(func(ts []namedTensor) []namedTensor {
			return append(ts, namedTensor{"extra", []int{1}, []float32{1}})
		}), `tensor "extra" does not belong`},
		{"wrong shape", rewrite(func(ts []namedTensor) []namedTensor { ts[find(ts, w)].shape = []int{256, 51}; return ts }), `"head.fc.weight" has shape [256 51], want [51 256]`},
		{"NaN", set(w, float32(math.NaN())), `"head.fc.weight" holds NaN at index 1`},
		{"infinite", set(w, float32(math.Inf(-1))), `"head.fc.weight" holds -Inf`},
		{"negative variance", set("camera.expand_bn.running_var", -1), `"camera.expand_bn.running_var" holds a negative variance`},
		{"wrong type", func(dir string) {
			p := weights(dir)
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			k := readCard(t, dir)
			write(t, dir, k, []byte(strings.Replace(string(b), `"dtype":"F32"`, `"dtype":"F64"`, 1)))
		}, `has type F64, want F32`},
		{"changed byte", func(dir string) {
			p := weights(dir)
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-1] ^= 1
			if err := os.WriteFile(p, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "sha256"},
		{"truncated", func(dir string) {
			if err := os.Truncate(weights(dir), 100); err != nil {
				t.Fatal(err)
			}
		}, "sha256"},
		{"no weights", func(dir string) {
			if err := os.Remove(weights(dir)); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		{"no card", func(dir string) {
			if err := os.Remove(filepath.Join(dir, CardFile)); err != nil {
				t.Fatal(err)
			}
		}, "card.json"},
		{"card not JSON", edit("{", "["), "card.json"},
		{"other schema", edit(`"schema": 1`, `"schema": 9`), "schema 9"},
		{"unknown window", edit(`"centred"`, `"late"`), `window "late"`},
		{"path in weights", edit(`"weights": "`, `"weights": "../`), "not a file name"},
		{"other size", edit(`"channels": 16`, `"channels": 18`), "shape"},
		{"illegal size", edit(`"channels": 16`, `"channels": -2`), "camera.channels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := SaveCheckpoint(dir, net, card); err != nil {
				t.Fatal(err)
			}
			c.damage(dir)
			_, _, err := LoadCheckpoint(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
	net.Parameters()[3].Value[0] = float32(math.NaN())
	if _, err := SaveCheckpoint(t.TempDir(), net, card); err == nil {
		t.Error("a network with NaN is saved")
	}
}

func readCard(t *testing.T, dir string) Card {
	t.Helper()
	k, err := ReadCard(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// write stores weights with a card that fits them.
func write(t *testing.T, dir string, k Card, weights []byte) {
	t.Helper()
	sum := sha256.Sum256(weights)
	k.SHA256 = hex.EncodeToString(sum[:])
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, k.Weights), weights, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, CardFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzDecodeSafetensors(f *testing.F) {
	good, err := encodeSafetensors([]namedTensor{{"a", []int{2, 1}, []float32{1, 2}}, {"b", []int{1}, []float32{3}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:20])
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, '{', '}'})
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeSafetensors(b)
		if err != nil {
			return
		}
		want := []namedTensor{{"a", []int{2, 1}, make([]float32, 2)}, {"b", []int{1}, make([]float32, 1)}}
		if assign(m, want) == nil && len(m) != 2 {
			t.Errorf("%d tensors accepted as two", len(m))
		}
		for name, x := range m {
			if len(x.data) > len(b) {
				t.Errorf("tensor %q is longer than its file", name)
			}
		}
	})
}

func TestConfigErrorsNameTheKey(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Modalities = "" }, "modalities"},
		{func(c *Config) { c.Modalities = "RR" }, "modalities"},
		{func(c *Config) { c.Modalities = "RX" }, "modalities"},
		{func(c *Config) { c.Head = "sum" }, "head"},
		{func(c *Config) { c.Camera.Widths = []int{3, 3} }, "camera.widths"},
		{func(c *Config) { c.Camera.Widths = []int{2, 3} }, "camera.widths"},
		{func(c *Config) { c.Camera.Dropout = 1 }, "camera.dropout"},
		{func(c *Config) { c.LiDAR.Planes[2] = 12 }, "lidar.planes"},
		{func(c *Config) { c.LiDAR.Strides[0] = 2 }, "lidar.strides"},
		{func(c *Config) { c.Radar.Points = 3 }, "radar.points"},
		{func(c *Config) { c.Radar.Neighbours[1] = 65 }, "radar.neighbours"},
		{func(c *Config) { c.Radar.Neighbours = nil }, "radar"},
		{func(c *Config) { c.CSI.Base = 0 }, "csi.base"},
		{func(c *Config) { c.CSI.Blocks = []int{1, 0} }, "csi.blocks"},
		{func(c *Config) { c.CSI.Dropout = math.NaN() }, "csi.dropout"},
	} {
		cfg := Edge()
		c.change(&cfg)
		if _, err := New(cfg, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q in it", err, c.want)
		}
	}
	if _, err := NamedConfig("huge"); err == nil {
		t.Error("unknown size accepted")
	}
	for _, s := range []string{"paper", "edge"} {
		if c, err := NamedConfig(s); err != nil || c.Validate() != nil || c.Size != s {
			t.Errorf("%s: %v", s, err)
		}
	}
}
