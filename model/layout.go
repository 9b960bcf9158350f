package model

import (
	"bytes"
	"fmt"
	"slices"

	"posefuse/model/safetensors"
)

// namedTensor is one float32 tensor of a weights file.
type namedTensor struct {
	name  string
	shape []int
	value []float32
}

// encodeSafetensors returns what WriteTensors writes.
func encodeSafetensors(tensors []namedTensor) ([]byte, error) {
	list, size := make([]Tensor, len(tensors)), 0
	for i, t := range tensors {
		list[i] = Tensor{t.name, t.shape, t.value}
		size += 4 * len(t.value)
	}
	var out bytes.Buffer
	out.Grow(size + 256*len(tensors))
	if err := WriteTensors(&out, list); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// layout is what tensors a network has: no values.
type layout struct {
	tensors    []namedTensor
	bytes      int64 // of all values, float32
	parameters int
}

// compare refuses the first tensor that is missing, superfluous or of another
// type or shape.
func (l *layout) compare(have map[string]safetensors.Tensor) error {
	for _, w := range l.tensors {
		h, ok := have[w.name]
		if !ok {
			return fmt.Errorf("weights: tensor %q is missing: the file is of another network than the card", w.name)
		}
		if h.DType != "F32" {
			return fmt.Errorf("weights: tensor %q has type %s, want F32: convert the file to float32", w.name, h.DType)
		}
		if !slices.Equal(h.Shape, w.shape) {
			return fmt.Errorf("weights: tensor %q has shape %v, want %v: the file is of another size than the card", w.name, h.Shape, w.shape)
		}
	}
	if len(have) == len(l.tensors) {
		return nil
	}
	known := make(map[string]bool, len(l.tensors))
	for _, w := range l.tensors {
		known[w.name] = true
	}
	var extra []string
	for name := range have {
		if !known[name] {
			extra = append(extra, name)
		}
	}
	slices.Sort(extra)
	return fmt.Errorf("weights: tensor %q does not belong to this network", extra[0])
}
