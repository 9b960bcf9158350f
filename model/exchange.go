package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// SaveCheckpointAs writes a checkpoint like SaveCheckpoint, but with the weights
// in a file of the caller's choice and the card beside it: the form in which
// other programs take weights. The names and shapes are those of the equivalent
// PyTorch modules. It refuses a folder that has a card already.
func SaveCheckpointAs(file string, n *Network, card Card) (Card, error) {
	cardFile := filepath.Join(filepath.Dir(file), CardFile)
	if _, err := os.Stat(cardFile); err == nil {
		return card, fmt.Errorf("save checkpoint: %s exists and describes other weights: choose another folder", cardFile)
	}
	b, card, err := seal(n, card)
	if err != nil {
		return card, err
	}
	card.Weights = filepath.Base(file)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return card, fmt.Errorf("save checkpoint: %w", err)
	}
	if err := renameio.WriteFile(file, b, 0o644); err != nil {
		return card, fmt.Errorf("save checkpoint: %w", err)
	}
	return card, writeCard(cardFile, card)
}

// Conversion is what ReadWeights did to tensors that were not as the network
// needs them.
type Conversion struct {
	Converted map[string]int `json:"converted,omitempty"` // tensors per type that became float32
	Ignored   []string       `json:"ignored,omitempty"`   // counters that PyTorch keeps beside running statistics
}

// ReadWeights fills the network with the tensors of a safetensors file of any
// origin, e.g. one trained in PyTorch. Every tensor must be there with its
// shape and finite values; types F32, F64, F16 and BF16 are taken, and a
// batch normalisation's num_batches_tracked is ignored. On an error the network
// keeps its values. A network that a checkpoint was loaded into is frozen and
// cannot be filled.
func (n *Network) ReadWeights(r io.Reader) (Conversion, error) {
	var conv Conversion
	if n.Frozen() {
		return conv, errors.New("read weights: the network is that of a loaded checkpoint: fill a Clone")
	}
	b, err := io.ReadAll(io.LimitReader(r, maxWeights+1))
	if err != nil {
		return conv, fmt.Errorf("read weights: %w", err)
	}
	if len(b) > maxWeights {
		return conv, fmt.Errorf("read weights: more than %d bytes: is it a weights file?", maxWeights)
	}
	have, err := decodeSafetensors(b)
	if err != nil {
		return conv, err
	}
	for name := range have {
		if strings.HasSuffix(name, ".num_batches_tracked") {
			conv.Ignored = append(conv.Ignored, name)
			delete(have, name)
		}
	}
	slices.Sort(conv.Ignored)
	values := map[string][]float32{}
	for _, t := range n.tensors() {
		raw, ok := have[t.name]
		if !ok || !slices.Equal(raw.shape, t.shape) {
			continue // compare names it below
		}
		v, err := widenTensor(t.name, raw)
		if err != nil {
			return conv, err
		}
		if err := checkValues(t.name, v); err != nil {
			return conv, err
		}
		if raw.dtype != "F32" {
			if conv.Converted == nil {
				conv.Converted = map[string]int{}
			}
			conv.Converted[raw.dtype]++
			raw.dtype = "F32"
			have[t.name] = raw
		}
		values[t.name] = v
	}
	plan := &layout{tensors: n.tensors()}
	if err := plan.compare(have); err != nil {
		return conv, err
	}
	for _, t := range n.tensors() {
		copy(t.value, values[t.name])
	}
	return conv, nil
}

// widenTensor returns the values of a tensor as float32.
func widenTensor(name string, t rawTensor) ([]float32, error) {
	var v []float32
	switch t.dtype {
	case "F32":
		v, _ = floats(t.data)
	case "F64":
		v = make([]float32, len(t.data)/8)
		for i := range v {
			v[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.data[8*i:])))
		}
	case "BF16":
		v = make([]float32, len(t.data)/2)
		for i := range v {
			v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.data[2*i:])) << 16)
		}
	case "F16":
		v = make([]float32, len(t.data)/2)
		for i := range v {
			v[i] = fromHalf(binary.LittleEndian.Uint16(t.data[2*i:]))
		}
	default:
		return nil, fmt.Errorf("weights: tensor %q has type %s, want F32, F64, F16 or BF16: convert it, in PyTorch with .float()", name, t.dtype)
	}
	return v, nil
}

// fromHalf returns the value of an IEEE 754 half-precision number.
func fromHalf(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent, fraction := uint32(h>>10)&31, uint32(h&1023)
	switch exponent {
	case 0: // zero and subnormal: fraction · 2^-24, exact in float32
		return math.Float32frombits(math.Float32bits(float32(fraction)/(1<<24)) | sign)
	case 31:
		return math.Float32frombits(sign | 0xFF<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
