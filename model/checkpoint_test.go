package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"posefuse/model/safetensors"
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
	open := len(openWeights.byKey)
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
	// bytesOf alters the file's bytes, header those of its JSON; the hash fits.
	bytesOf := func(change func([]byte) []byte) func(string) {
		return func(dir string) {
			b, err := encodeSafetensors(net.tensors())
			if err != nil {
				t.Fatal(err)
			}
			changed := change(slices.Clone(b))
			if bytes.Equal(b, changed) {
				t.Fatal("nothing was changed")
			}
			write(t, dir, readCard(t, dir), changed)
		}
	}
	header := func(change func(string) string) func(string) {
		return bytesOf(func(b []byte) []byte {
			n := binary.LittleEndian.Uint64(b)
			h := change(string(b[8 : 8+n]))
			out := binary.LittleEndian.AppendUint64(nil, uint64(len(h)))
			return append(append(out, h...), b[8+n:]...)
		})
	}
	offsets := regexp.MustCompile(`"data_offsets":\[[0-9,]+\]`)
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
		{"huge header", bytesOf(func(b []byte) []byte { return append([]byte{0, 0, 0, 0, 1, 0, 0, 0}, b[8:]...) }), "header of 4294967296 bytes"},
		{"header past the end", bytesOf(func(b []byte) []byte { return b[:30] }), "truncated"},
		{"no header", bytesOf(func([]byte) []byte { return nil }), "too few for a header"},
		{"garbage", bytesOf(func(b []byte) []byte { copy(b[8:], "\x89PNG"); return b }), "is it a safetensors file"},
		{"text after the header", header(func(h string) string { return strings.TrimRight(h, " ") + " {}" }), "text after the object"},
		{"duplicate tensor", header(func(h string) string {
			return strings.Replace(h, `"camera.expand_conv.weight":{`, `"head.fc.bias":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"camera.expand_conv.weight":{`, 1)
		}), `"head.fc.bias" is there twice`},
		{"overlapping tensors", header(func(h string) string {
			const bn = `"camera.expand_bn.%s":{"dtype":"F32","shape":[16],"data_offsets":`
			_, bias, _ := strings.Cut(h, fmt.Sprintf(bn, "bias"))
			_, weight, _ := strings.Cut(h, fmt.Sprintf(bn, "weight"))
			return strings.Replace(h, bias[:strings.Index(bias, "}")], weight[:strings.Index(weight, "}")], 1)
		}), `over the one that ends at`},
		{"negative offset", header(func(h string) string { return offsets.ReplaceAllString(h, `"data_offsets":[-4,0]`) }), "lies at -4..0"},
		{"gap", bytesOf(func(b []byte) []byte {
			s := strings.Replace(string(b), `"head.fc.bias":{"dtype":"F32","shape":[51]`, `"head.fc.bias":{"dtype":"F32","shape":[50]`, 1)
			return []byte(s)
		}), `tensor "head.fc.bias" of type F32 and shape [50] has 204 bytes`},
		{"bytes after the last tensor", bytesOf(func(b []byte) []byte { return append(b, 0, 0, 0, 0) }), "the last 4 bytes belong to no tensor"},
		{"overflowing shape", header(func(h string) string {
			return strings.Replace(h, `"shape":[51,256]`, `"shape":[4611686018427387904,4]`, 1)
		}), `"head.fc.weight" of type F32`},
		{"truncated in the data", func(dir string) {
			p := weights(dir)
			st, err := os.Stat(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(p, st.Size()-4); err != nil {
				t.Fatal(err)
			}
		}, "the file is truncated, copy it again"},
		{"a folder instead of the file", func(dir string) {
			p := weights(dir)
			if err := os.Remove(p); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(p, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		{"sparse giant", func(dir string) {
			if err := os.Truncate(weights(dir), 1<<40); err != nil {
				t.Fatal(err)
			}
		}, "at most"},
		{"card asks for too much", edit(`"channels": 16`, `"channels": 1000000000`), "camera.channels"},
		{"card counts wrong", edit(`"parameters": `, `"parameters": 1`), "parameters: the card says"},
		{"huge card", func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, CardFile), bytes.Repeat([]byte(" "), maxCard+1), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "has more than"},
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
			write(t, dir, k, []byte(strings.Replace(string(b), `"dtype":"F32"`, `"dtype":"I32"`, 1)))
		}, `has type I32, want F32`},
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
		{"other size", func(dir string) {
			edit(`"channels": 16`, `"channels": 18`)(dir)
			edit(fmt.Sprintf(`"parameters": %d`, net.NumParameters()), `"parameters": 0`)(dir) // unknown
		}, "has shape [16 34 3], want [18 34 3]"},
		{"illegal size", edit(`"channels": 16`, `"channels": -2`), "camera.channels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := SaveCheckpoint(dir, net, card); err != nil {
				t.Fatal(err)
			}
			c.damage(dir)
			_, _, err := LoadCheckpoint(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want %q and the folder in it", err, c.want)
			}
		})
	}
	if n := len(openWeights.byKey); n != open {
		t.Errorf("refused checkpoints leave %d weight sets open", n-open)
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
	plan := &layout{tensors: []namedTensor{{name: "a", shape: []int{2, 1}}, {name: "b", shape: []int{1}}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		have, err := safetensors.Decode(b)
		if err != nil {
			return
		}
		// What is accepted covers the data once: no gap, no overlap.
		sum := 0
		for name, x := range have {
			sum += len(x.Data)
			n := 1
			for _, d := range x.Shape {
				n *= d
			}
			if len(x.Data) != n*int(safetensors.Sizes[x.DType]) {
				t.Errorf("tensor %q of type %s and shape %v has %d bytes", name, x.DType, x.Shape, len(x.Data))
			}
		}
		if header := int(binary.LittleEndian.Uint64(b)); sum != len(b)-8-header {
			t.Errorf("tensors of %d bytes in a file with %d bytes of data", sum, len(b)-8-header)
		}
		if plan.compare(have) == nil && (len(have) != 2 || len(have["a"].Data) != 8 || len(have["b"].Data) != 4) {
			t.Errorf("accepted as two tensors: %v", have)
		}
	})
}

// A card from anywhere is refused or gives a network that this build can make;
// nothing of it crashes or asks for memory first.
func FuzzCard(f *testing.F) {
	for _, c := range []Config{Edge(), Paper(), small()} {
		j, err := json.Marshal(Card{Schema: cardSchema, Window: Causal, Weights: "w", Config: c})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(j)
	}
	f.Add([]byte(`{"schema":1,"window":"causal","weights":"w","config":{"modalities":"R","head":"concat","camera":{"channels":1000000000,"widths":[81]}}}`))
	f.Add([]byte(`{"config":{"csi":{"blocks":[1,1e99]}}}`))
	f.Add([]byte(`{"quantization":{"mode":"int8","input_scales":{"csi.layer1.0.conv1":1e-9,"csi.layer1.0.conv2":null}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		card, err := ReadCard(fstest.MapFS{CardFile: {Data: b}}, ".")
		if err != nil {
			return
		}
		plan, err := planLayout(card.Config)
		if err != nil {
			return
		}
		if plan.bytes > safetensors.MaxBytes || plan.parameters <= 0 || int64(plan.parameters)*4 > plan.bytes {
			t.Errorf("%d parameters in %d bytes", plan.parameters, plan.bytes)
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
		{func(c *Config) { c.Camera.Channels = 1_000_000_000 }, "camera.channels"},
		{func(c *Config) { c.Camera.Widths = []int{1, 1, 1, 1, 81} }, "camera.widths"},
		{func(c *Config) { c.Camera.Widths = []int{-9223372036854775807, 3} }, "camera.widths"},
		{func(c *Config) { c.LiDAR.Points = 1_000_000_000 }, "lidar.points"},
		{func(c *Config) { c.LiDAR.Planes[4] = 1 << 30 }, "lidar.planes"},
		{func(c *Config) { c.LiDAR.Strides[4] = 1 << 40 }, "lidar.strides"},
		{func(c *Config) { c.Radar.Planes = make([]int, 1000) }, "radar.planes"},
		{func(c *Config) { c.CSI.Height = 1 << 40 }, "csi.height"},
		{func(c *Config) { c.CSI.Width = 1 << 40 }, "csi.width"},
		{func(c *Config) { c.CSI.Height, c.CSI.Width = 1024, 1024 }, "csi.height, csi.width"},
		{func(c *Config) { c.CSI.Base = 1 << 60 }, "csi.base"},
		{func(c *Config) { c.CSI.Blocks = make([]int, 100) }, "csi.blocks"},
		{func(c *Config) { c.CSI.Blocks[0] = 1 << 30 }, "csi.blocks"},
		{func(c *Config) { c.CSI.Heads = 1 << 30 }, "csi.heads"},
		{func(c *Config) { c.CSI.MLP = 1 << 30 }, "csi.mlp"},
		// Each key within its bounds, too much together.
		{func(c *Config) { c.CSI.Base, c.CSI.Blocks = 4096, []int{64} }, "parameters"},
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
