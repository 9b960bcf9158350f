package keypoint

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"posefuse/model/safetensors"
	"posefuse/setting"
)

// embedded holds the weights of Lightning once make weights has fetched them.
//
//go:embed weights/*
var embedded embed.FS

// lightningFile is where the embedded weights lie.
const lightningFile = "weights/movenet-lightning.safetensors"

// Lightning is the name of the embedded model, LightningSum its file's sha256,
// hexadecimal.
const (
	Lightning    = "lightning"
	LightningSum = "19ad314d2ede2de29ed972e0b3689d43ebfa6a357fd958ec17f7995f1187a9bf"
)

// ErrNoWeights is wrapped by New in a program that was built without the
// detector's weights.
var ErrNoWeights = errors.New("this program was built without the keypoint detector's weights: run make weights and build it again")

// readModel returns the bytes of the model called name: Lightning, or a file.
func readModel(name string) ([]byte, error) {
	if name != Lightning {
		b, err := setting.ReadFile(name, maxWeights)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w; make thunder writes bin/movenet-thunder.safetensors, %q is in the program", err, Lightning)
		}
		return b, err
	}
	b, err := embedded.ReadFile(lightningFile)
	if err != nil {
		return nil, ErrNoWeights
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != LightningSum {
		return nil, fmt.Errorf("the keypoint detector's weights in this program have the sha256 %x, want %s: run make clean weights and build it again", sum, LightningSum)
	}
	return b, nil
}

// maxWeights bounds a detector's file, bytes; Thunder has 26 MB.
const maxWeights = 256 << 20

// weights reads the tensors of a model; the first one that is missing or of
// another shape is err.
type weights struct {
	tensors map[string]safetensors.Tensor
	err     error
}

func (w *weights) has(name string) bool { _, ok := w.tensors[name]; return ok }

func (w *weights) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// values returns a tensor, whatever its shape.
func (w *weights) values(name string) []float32 {
	t, ok := w.tensors[name]
	if !ok {
		w.fail("tensor %q is missing: this is no MoveNet that make weights or make thunder wrote", name)
		return nil
	}
	v, err := t.Float32(name)
	if err != nil {
		w.fail("%w", err)
	}
	for i, x := range v {
		if x-x != 0 {
			w.fail("tensor %q is not finite at %d", name, i)
			break
		}
	}
	return v
}

// vector returns n values, zeros if the file has others.
func (w *weights) vector(name string, n int) []float32 {
	v := w.values(name)
	if len(v) != n {
		w.fail("tensor %q has %d values, want %d", name, len(v), n)
		return make([]float32, n)
	}
	return v
}

// matrix returns a matrix of so many rows and columns, or if columns is 0 of as
// many as the file has; zeros if it has no such matrix.
func (w *weights) matrix(name string, rows, columns int) []float32 {
	v, shape := w.values(name), w.tensors[name].Shape
	if columns == 0 && len(shape) == 2 {
		columns = min(max(shape[1], 1), maxChannels)
	}
	if columns = max(columns, 1); len(shape) != 2 || shape[0] != rows || shape[1] != columns {
		w.fail("tensor %q has the shape %v, want %d rows of at most %d", name, shape, rows, maxChannels)
		return make([]float32, rows*columns)
	}
	return v
}

// maxChannels bounds a layer, so that a damaged file cannot ask for all memory:
// twice Thunder's widest.
const maxChannels = 4096
