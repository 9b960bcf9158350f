package mmfi

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// rewrite replaces a file by what change makes of it; nil removes it.
func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	if change == nil {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// values rewrites the float64 values of a .bin file.
func values(change func(v []float64) []float64) func([]byte) []byte {
	return func(b []byte) []byte {
		v := make([]float64, len(b)/8)
		for i := range v {
			v[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
		return AppendPoints(nil, change(v))
	}
}

func asFloat32(order binary.AppendByteOrder, points int) func([]byte) []byte {
	return func(b []byte) (out []byte) {
		for i := 0; i+8 <= len(b) && len(out) < 4*points; i += 8 {
			out = order.AppendUint32(out, math.Float32bits(float32(math.Float64frombits(binary.LittleEndian.Uint64(b[i:])))))
		}
		return out
	}
}

// array rewrites the values of an .npy file.
func array(change func(v []float64, shape []int) ([]float64, []int)) func([]byte) []byte {
	return func(b []byte) []byte {
		a, err := ReadNPY(bytes.NewReader(b))
		if err != nil {
			panic(err)
		}
		v, shape := change(a.Float64(), a.Shape)
		var out bytes.Buffer
		if err := WriteNPY(&out, NewFloat64Array(v, shape...)); err != nil {
			panic(err)
		}
		return out.Bytes()
	}
}

func scaled(by float64) func(v []float64, shape []int) ([]float64, []int) {
	return func(v []float64, shape []int) ([]float64, []int) {
		for i := range v {
			v[i] *= by
		}
		return v, shape
	}
}

func set(from, to int, x float64) func(v []float64, shape []int) ([]float64, []int) {
	return func(v []float64, shape []int) ([]float64, []int) {
		for i := from; i < to; i++ {
			v[i] = x
		}
		return v, shape
	}
}

func swapped8(b []byte) []byte {
	swapBytes(b, 8)
	return b
}

func csi(change func(amp []float64)) func([]byte) []byte {
	return func(b []byte) []byte {
		amp, phase, err := DecodeCSI(b)
		if err != nil {
			panic(err)
		}
		change(amp)
		out, err := EncodeCSI(amp, phase)
		if err != nil {
			panic(err)
		}
		return out
	}
}

// damages are what befalls clips, each one of its own: a file that is changed, or
// what is done to the clip's folder; kind and path are what Check must say, the
// path below the clip.
var damages = []struct {
	name   string
	file   string
	change func([]byte) []byte
	folder func(t *testing.T, dir string)
	kind   Kind
	path   string // file if empty
	frames string
}{
	{name: "truth missing", file: "ground_truth.npy", kind: MissingFile},
	{name: "truth empty", file: "ground_truth.npy", change: func([]byte) []byte { return nil }, kind: EmptyFile},
	{name: "truth cut", file: "ground_truth.npy", change: func(b []byte) []byte { return b[:300] }, kind: Damaged},
	{name: "truth without a header", file: "ground_truth.npy", change: func(b []byte) []byte { return b[10:] }, kind: Damaged},
	{name: "truth of another shape", file: "ground_truth.npy", change: array(func(v []float64, _ []int) ([]float64, []int) { return v[:4*17*2], []int{4, 17, 2} }), kind: WrongShape},
	{name: "truth in millimetres", file: "ground_truth.npy", change: array(scaled(1000)), kind: WrongUnit, frames: "1-4"},
	{name: "a pose of zeros", file: "ground_truth.npy", change: array(set(51, 102, 0)), kind: ZeroTruth, frames: "2"},
	{name: "all poses zero", file: "ground_truth.npy", change: array(set(0, 204, 0)), kind: ZeroTruth, frames: "1-4"},
	{name: "a joint that is no number", file: "ground_truth.npy", change: array(set(60, 61, math.NaN())), kind: NotANumber, frames: "2"},
	{name: "a joint far away", file: "ground_truth.npy", change: array(set(153, 154, 40)), kind: Implausible, frames: "4"},
	{name: "truth of the other byte order", file: "ground_truth.npy", change: func(b []byte) []byte { swapBytes(b[128:], 4); return b }, kind: Implausible, frames: "1-4"},
	{name: "truth upside down", file: "ground_truth.npy", change: array(func(v []float64, s []int) ([]float64, []int) {
		for i := 1; i < len(v); i += 3 {
			v[i] = -v[i]
		}
		return v, s
	}), kind: Implausible},
	{name: "a pose twice", file: "ground_truth.npy", change: array(func(v []float64, s []int) ([]float64, []int) { copy(v[102:153], v[51:102]); return v, s }), kind: Duplicate, frames: "3"},
	{name: "poses fewer than frames", file: "ground_truth.npy", change: array(func(v []float64, _ []int) ([]float64, []int) { return v[:153], []int{3, 17, 3} }), kind: LengthDiffer, path: "lidar", frames: "4"},
	{name: "no LiDAR", file: "lidar", kind: MissingFile},
	{name: "a LiDAR frame missing", file: "lidar/frame002.bin", kind: MissingFile, path: "lidar", frames: "2"},
	{name: "LiDAR ends early", file: "lidar/frame004.bin", kind: LengthDiffer, path: "lidar", frames: "4"},
	{name: "a LiDAR frame of 0 bytes", file: "lidar/frame003.bin", change: func([]byte) []byte { return nil }, kind: EmptyFile, path: "lidar", frames: "3"},
	{name: "LiDAR cut", file: "lidar/frame003.bin", change: func(b []byte) []byte { return b[:101] }, kind: Damaged, path: "lidar", frames: "3"},
	{name: "LiDAR as float32", file: "lidar/frame001.bin", change: asFloat32(binary.LittleEndian, 60), kind: WrongType, path: "lidar", frames: "1"},
	{name: "LiDAR as float32, not whole rows", file: "lidar/frame001.bin", change: asFloat32(binary.LittleEndian, 57), kind: WrongType, path: "lidar", frames: "1"},
	{name: "LiDAR as big-endian float32", file: "lidar/frame001.bin", change: asFloat32(binary.BigEndian, 60), kind: WrongType, path: "lidar", frames: "1"},
	{name: "LiDAR of the other byte order", file: "lidar/frame001.bin", change: swapped8, kind: WrongType, path: "lidar", frames: "1"},
	{name: "LiDAR in millimetres", file: "lidar/frame001.bin", change: values(func(v []float64) []float64 { v, _ = scaled(1000)(v, nil); return v }), kind: WrongUnit, path: "lidar", frames: "1"},
	{name: "LiDAR with intensity", file: "lidar/frame001.bin", change: values(func(v []float64) (out []float64) {
		for i := range 18 {
			out = append(append(out, v[3*i:3*i+3]...), 0.2)
		}
		return out
	}), kind: WrongType, path: "lidar", frames: "1"},
	{name: "a LiDAR point that is no number", file: "lidar/frame001.bin", change: values(func(v []float64) []float64 { v[4] = math.NaN(); return v }), kind: NotANumber, path: "lidar", frames: "1"},
	{name: "a LiDAR point far away", file: "lidar/frame001.bin", change: values(func(v []float64) []float64 { v[3] = 200; return v }), kind: Implausible, path: "lidar", frames: "1"},
	{name: "a LiDAR frame twice", file: "lidar/frame003.bin", kind: Duplicate, path: "lidar", frames: "3", folder: copyOver("lidar/frame001.bin", "lidar/frame003.bin")},
	{name: "LiDAR and radar exchanged", kind: Swapped, path: "lidar", frames: "1-4", folder: func(t *testing.T, dir string) {
		for _, m := range [][2]string{{"lidar", "x"}, {"mmwave", "lidar"}, {"x", "mmwave"}} {
			if err := os.Rename(filepath.Join(dir, m[0]), filepath.Join(dir, m[1])); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{name: "keypoints in the LiDAR's folder", file: "lidar/frame002.bin", kind: Swapped, path: "lidar", frames: "2", folder: copyOver("rgb/frame002.npy", "lidar/frame002.bin")},
	{name: "another ending", kind: Swapped, path: "lidar/frame002.npy", folder: copyOver("rgb/frame002.npy", "lidar/frame002.npy")},
	{name: "an unfinished download", kind: Damaged, path: "lidar/frame009.bin.part", folder: copyOver("lidar/frame001.bin", "lidar/frame009.bin.part")},
	{name: "names of another form", kind: Numbering, path: "lidar/frame1.bin", folder: copyOver("lidar/frame001.bin", "lidar/frame1.bin")},
	{name: "radar as float32", file: "mmwave/frame004.bin", change: asFloat32(binary.LittleEndian, 90), kind: WrongType, path: "mmwave", frames: "4"},
	{name: "radar cut", file: "mmwave/frame004.bin", change: func(b []byte) []byte { return b[:99] }, kind: Damaged, path: "mmwave", frames: "4"},
	{name: "radar from 000, one more", kind: Numbering, path: "mmwave", folder: copyOver("mmwave/frame004.bin", "mmwave/frame000.bin")},
	{name: "keypoints cut", file: "rgb/frame001.npy", change: func(b []byte) []byte { return b[:200] }, kind: Damaged, path: "rgb", frames: "1"},
	{name: "keypoints of an unknown type", file: "rgb/frame001.npy", change: func(b []byte) []byte { return bytes.Replace(b, []byte("<f8"), []byte("<c8"), 1) }, kind: Damaged, path: "rgb", frames: "1"},
	{name: "keypoints of another shape", file: "rgb/frame001.npy", change: array(func(v []float64, _ []int) ([]float64, []int) { return v, []int{2, 17} }), kind: WrongShape, path: "rgb", frames: "1"},
	{name: "keypoints as shares of the picture", file: "rgb/frame001.npy", change: array(scaled(1. / 640)), kind: WrongUnit, path: "rgb", frames: "1"},
	{name: "keypoints of the other byte order", file: "rgb/frame001.npy", change: func(b []byte) []byte { swapBytes(b[128:], 8); return b }, kind: WrongType, path: "rgb", frames: "1"},
	{name: "a keypoint that is no number", file: "rgb/frame001.npy", change: array(set(3, 4, math.NaN())), kind: NotANumber, path: "rgb", frames: "1"},
	{name: "WiFi of 0 bytes", file: "wifi-csi/frame002.mat", change: func([]byte) []byte { return nil }, kind: EmptyFile, path: "wifi-csi", frames: "2"},
	{name: "WiFi without a header", file: "wifi-csi/frame002.mat", change: func(b []byte) []byte { return bytes.Repeat([]byte{7}, len(b)) }, kind: Damaged, path: "wifi-csi", frames: "2"},
	{name: "WiFi cut", file: "wifi-csi/frame002.mat", change: func(b []byte) []byte { return b[:9000] }, kind: Damaged, path: "wifi-csi", frames: "2"},
	{name: "WiFi without a number", file: "wifi-csi/frame002.mat", change: csi(func(a []float64) {
		for i := range a {
			a[i] = math.Inf(-1)
		}
	}), kind: NotANumber, path: "wifi-csi", frames: "2"},
	{name: "WiFi flat", file: "wifi-csi/frame002.mat", change: csi(func(a []float64) {
		for i := range a {
			a[i] = 30
		}
	}), kind: Implausible, path: "wifi-csi", frames: "2"},
	{name: "WiFi not in dB", file: "wifi-csi/frame002.mat", change: csi(func(a []float64) { a[9] = 1e4 }), kind: Implausible, path: "wifi-csi", frames: "2"},
	{name: "a folder among the frames", kind: Misplaced, path: "rgb/rgb", folder: func(t *testing.T, dir string) {
		if err := os.Mkdir(filepath.Join(dir, "rgb/rgb"), 0o755); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "a file that nothing reads", kind: Misplaced, path: "notes.txt", folder: copyOver("ground_truth.npy", "notes.txt")},
}

func copyOver(from, to string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
