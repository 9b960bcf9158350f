package model

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"posefuse/model/safetensors"

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
	b, err := io.ReadAll(io.LimitReader(r, safetensors.MaxBytes+1))
	if err != nil {
		return conv, fmt.Errorf("read weights: %w", err)
	}
	if len(b) > safetensors.MaxBytes {
		return conv, fmt.Errorf("read weights: more than %d bytes: is it a weights file?", safetensors.MaxBytes)
	}
	have, err := safetensors.Decode(b)
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
		if !ok || !slices.Equal(raw.Shape, t.shape) {
			continue // compare names it below
		}
		v, err := raw.Float32(t.name)
		if err != nil {
			return conv, err
		}
		if err := checkValues(t.name, v); err != nil {
			return conv, err
		}
		if raw.DType != "F32" {
			if conv.Converted == nil {
				conv.Converted = map[string]int{}
			}
			conv.Converted[raw.DType]++
			raw.DType = "F32"
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
