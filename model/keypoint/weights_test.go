package keypoint

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/model/safetensors"
)

// TestDamagedModels: a file that is no MoveNet is refused with a reason.
func TestDamagedModels(t *testing.T) {
	good, err := readModel(Lightning)
	if err != nil {
		t.Fatal(err)
	}
	header := binary.LittleEndian.Uint64(good)
	tensors, err := safetensors.Decode(good)
	if err != nil {
		t.Fatal(err)
	}
	// without writes the file again without a tensor, or with another of its name.
	without := func(name string, shape []int, data []byte) []byte {
		var list []safetensors.Named
		var values []byte
		for n, v := range tensors {
			if n == name {
				if data == nil {
					continue
				}
				v = safetensors.Tensor{DType: v.DType, Shape: shape, Data: data}
			}
			list = append(list, safetensors.Named{Name: n, DType: v.DType, Shape: v.Shape, Bytes: int64(len(v.Data))})
			values = append(values, v.Data...)
		}
		h, err := safetensors.Header(list, nil)
		if err != nil {
			t.Fatal(err)
		}
		return append(h, values...)
	}
	infinite := make([]byte, 2*1280)
	infinite[1] = 0x7c
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":      {nil, "too few"},
		"cut":        {good[:len(good)-1], "truncated"},
		"header":     {good[:8+header], "truncated"},
		"no centre":  {without("centre.weight", nil, nil), `"centre.weight" is missing`},
		"no block":   {without("block.7.project.weight", nil, nil), `"block.7.project.weight" is missing`},
		"shape":      {without("block.7.project.weight", []int{64, 384}, tensors["block.7.project.weight"].Data), "want 384 rows of"},
		"no square":  {without("centre.weight", []int{47, 48}, make([]byte, 2*47*48)), "square"},
		"channels":   {without("regress.out.weight", []int{96, 33}, make([]byte, 2*96*33)), "regress.out.bias"},
		"pyramid":    {without("lateral.3.weight", []int{1280, 32}, make([]byte, 2*1280*32)), "lateral.3.bias"},
		"not finite": {without("top.bias", []int{1280}, infinite), "not finite"},
	} {
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Model: path}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q and the file's name", name, err, c.want)
		}
	}
	if _, err := New(Options{Model: "thunder"}); err == nil || !strings.Contains(err.Error(), "make thunder") {
		t.Errorf("a model that is not there: %v", err)
	}
}

func FuzzModel(f *testing.F) {
	good, err := readModel(Lightning)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:4096], uint32(0))
	f.Fuzz(func(_ *testing.T, head []byte, cut uint32) {
		file := append(append([]byte{}, head...), good[min(len(head), len(good)):]...)
		_, _ = newNetwork(file[:len(file)-int(cut)%len(file)]) // whatever it says, it says it
	})
}
