package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/google/renameio/v2"

	"posefuse/frame"
	"posefuse/internal/jsonfile"
	"posefuse/model/safetensors"
)

// CardFile is the name of a checkpoint's card inside its folder.
const CardFile = "card.json"

const cardSchema = 1

// maxCard bounds a card, bytes.
const maxCard = 1 << 20

// Card describes a checkpoint: what the network is, what it was trained on,
// how good it is and how to make it again.
type Card struct {
	Schema  int    `json:"schema"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Created string `json:"created"` // RFC 3339
	Config  Config `json:"config"`
	Window  Window `json:"window"`
	// Arrangement is where a network of RecipePaper has seen its sensors; nil, as
	// in old cards, is the simulator's.
	Arrangement *frame.Arrangement `json:"arrangement,omitempty"`
	// Envelope says in which rooms the model holds; nil if nobody measured it.
	Envelope   *Envelope          `json:"envelope,omitempty"`
	Parameters int                `json:"parameters"`
	Data       string             `json:"data"`              // what the training data is
	Split      string             `json:"split"`             // what was trained on and what held out
	Metrics    map[string]float64 `json:"metrics,omitempty"` // units in the names, e.g. "val_mpjpe_mm"
	// KnownErrors says how far off poses are; nil if nobody measured it.
	KnownErrors *KnownErrors `json:"known_errors,omitempty"`
	// AngleSDDeg is the root of the mean squared error of each joint angle,
	// degrees, by the signal's name in package exercise, and MovementShare how
	// much of an exercise's movement the poses show, by activity; both on people
	// that were held out. Missing where nobody measured them.
	AngleSDDeg    map[string]float64 `json:"angle_sd_deg,omitempty"`
	MovementShare map[string]float64 `json:"movement_share,omitempty"`
	Parent        string             `json:"parent,omitempty"`  // sha256 of the checkpoint it started from
	Began         map[string]string  `json:"began,omitempty"`   // by modalities' letters: sha256 of the checkpoint whose encoders it started with
	Command       string             `json:"command,omitempty"` // reproduces it
	Notes         string             `json:"notes,omitempty"`
	// Quantization makes runtimes of the checkpoint compute in low precision.
	Quantization *Quantization `json:"quantization,omitempty"`
	Weights      string        `json:"weights"` // file name in the same folder
	SHA256       string        `json:"sha256"`  // of the weights file
}

// Precision returns the number format that runtimes of the checkpoint compute in.
func (c Card) Precision() Precision {
	if c.Quantization != nil {
		return c.Quantization.Mode
	}
	return Float32
}

// tensors lists what a checkpoint holds: parameters and running statistics.
func (n *Network) tensors() []namedTensor {
	var out []namedTensor
	for _, t := range n.store.All {
		out = append(out, namedTensor{t.Name, t.Shape, t.Value})
	}
	return out
}

// SaveCheckpoint writes the network to dir, which it creates: the weights
// under a name that holds their hash, then the card that names them, each
// replaced atomically, so that dir always holds one whole checkpoint. It fills
// in the card's Schema, Config, Parameters, Weights and SHA256 and returns it.
func SaveCheckpoint(dir string, n *Network, card Card) (Card, error) {
	b, card, err := seal(n, card)
	if err != nil {
		return card, err
	}
	card.Weights = "weights-" + card.SHA256[:12] + ".safetensors"
	if err = os.MkdirAll(dir, 0o755); err != nil {
		return card, fmt.Errorf("save checkpoint: %w", err)
	}
	var before Card
	if old, rerr := os.ReadFile(filepath.Join(dir, CardFile)); rerr == nil {
		_ = json.Unmarshal(old, &before) // a broken old card only keeps its weights from being removed
	}
	if err = renameio.WriteFile(filepath.Join(dir, card.Weights), b, 0o644); err != nil {
		return card, fmt.Errorf("save checkpoint: %w", err)
	}
	if err = writeCard(filepath.Join(dir, CardFile), card); err != nil {
		return card, err
	}
	if before.Weights != "" && before.Weights != card.Weights && filepath.Base(before.Weights) == before.Weights {
		if err := os.Remove(filepath.Join(dir, before.Weights)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return card, fmt.Errorf("save checkpoint: remove the replaced weights: %w", err)
		}
	}
	return card, nil
}

// seal returns the weights file's content and the card with what the network
// says. It refuses what LoadCheckpoint would.
func seal(n *Network, card Card) ([]byte, Card, error) {
	for _, t := range n.tensors() {
		if err := checkValues(t.name, t.value); err != nil {
			return nil, card, fmt.Errorf("save checkpoint: %w", err)
		}
	}
	if card.Window != Centred && card.Window != Causal {
		return nil, card, fmt.Errorf("save checkpoint: window %q, want %s or %s", card.Window, Centred, Causal)
	}
	if err := card.validateRoom(); err != nil {
		return nil, card, fmt.Errorf("save checkpoint: %w", err)
	}
	if card.Quantization != nil {
		if err := card.Quantization.validate(n.Config); err != nil {
			return nil, card, fmt.Errorf("save checkpoint: %w", err)
		}
	}
	b, err := encodeSafetensors(n.tensors())
	if err != nil {
		return nil, card, fmt.Errorf("save checkpoint: %w", err)
	}
	sum := sha256.Sum256(b)
	card.Schema, card.Config, card.Parameters = cardSchema, n.Config, n.NumParameters()
	card.SHA256 = hex.EncodeToString(sum[:])
	return b, card, nil
}

func writeCard(file string, card Card) error {
	if err := jsonfile.Write(file, card); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return nil
}

// LoadCheckpoint reads the checkpoint in dir. It refuses weights whose hash,
// names, shapes or types are not the card's, and values that are not finite.
//
// The network is frozen: its weights are mapped read-only from the file, which
// therefore must be replaced by renaming, as SaveCheckpoint does, and never
// written in place. Networks of equal files share one copy. Close gives the
// mapping back; train a Clone.
func LoadCheckpoint(dir string) (*Network, Card, error) {
	if _, err := os.Stat(filepath.Join(dir, CardFile)); err != nil {
		return nil, Card{}, fmt.Errorf("load checkpoint: %w: want a folder with %s and its weights", err, CardFile)
	}
	n, card, err := LoadCheckpointFS(os.DirFS(dir), ".")
	if err != nil {
		return nil, card, fmt.Errorf("%s: %w", dir, err)
	}
	return n, card, nil
}

// ReadCard reads only the card of the checkpoint in dir of fsys.
func ReadCard(fsys fs.FS, dir string) (Card, error) {
	var card Card
	f, err := openRegular(fsys, path.Join(dir, CardFile))
	if err != nil {
		return card, fmt.Errorf("load checkpoint: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCard+1))
	if err != nil {
		return card, fmt.Errorf("load checkpoint: read %s: %w", CardFile, err)
	}
	if len(b) > maxCard {
		return card, fmt.Errorf("load checkpoint: %s has more than %d bytes", CardFile, maxCard)
	}
	if err := json.Unmarshal(b, &card); err != nil {
		return card, fmt.Errorf("load checkpoint: %s: %w", CardFile, err)
	}
	if err := printable(b); err != nil {
		return card, fmt.Errorf("load checkpoint: %s: %w", CardFile, err)
	}
	if card.Schema != cardSchema {
		return card, fmt.Errorf("load checkpoint: %s: schema %d, this build reads %d", CardFile, card.Schema, cardSchema)
	}
	if card.Window != Centred && card.Window != Causal {
		return card, fmt.Errorf("load checkpoint: %s: window %q, want %s or %s", CardFile, card.Window, Centred, Causal)
	}
	if card.Weights == "" || path.Base(card.Weights) != card.Weights {
		return card, fmt.Errorf("load checkpoint: %s: weights %q is not a file name", CardFile, card.Weights)
	}
	if err := card.Config.Validate(); err != nil {
		return card, fmt.Errorf("load checkpoint: %s: config: %w", CardFile, err)
	}
	if err := card.validateRoom(); err != nil {
		return card, fmt.Errorf("load checkpoint: %s: %w", CardFile, err)
	}
	if card.Quantization != nil {
		if err := card.Quantization.validate(card.Config); err != nil {
			return card, fmt.Errorf("load checkpoint: %s: %w", CardFile, err)
		}
	}
	return card, nil
}

// LoadCheckpointFS is LoadCheckpoint for a folder of fsys, e.g. an embedded one.
func LoadCheckpointFS(fsys fs.FS, dir string) (*Network, Card, error) {
	card, err := ReadCard(fsys, dir)
	if err != nil {
		return nil, card, err
	}
	fail := func(file string, err error) (*Network, Card, error) {
		return nil, card, fmt.Errorf("load checkpoint: %s: %w", file, err)
	}
	plan, err := planLayout(card.Config)
	if err != nil {
		return fail(CardFile, err)
	}
	if card.Parameters != 0 && card.Parameters != plan.parameters {
		return fail(CardFile, fmt.Errorf("parameters: the card says %d, its config has %d", card.Parameters, plan.parameters))
	}
	f, err := openRegular(fsys, path.Join(dir, card.Weights))
	if err != nil {
		return nil, card, fmt.Errorf("load checkpoint: %w", err)
	}
	defer f.Close()
	file, err := readWeightFile(f)
	if err != nil {
		return fail(card.Weights, err)
	}
	var w *weightSet
	err = guarded(func() (err error) {
		w, err = verify(file, card, plan)
		return err
	})
	if err != nil {
		return fail(card.Weights, errors.Join(err, file.close()))
	}
	if w, err = shareWeights(w); err != nil {
		return fail(card.Weights, err)
	}
	return &Network{Config: card.Config, building: &w.building, store: w.store, owner: w.owner, weights: w, quant: card.Quantization}, card, nil
}

// verify checks a weights file against its card.
func verify(file *mapping, card Card, plan *layout) (*weightSet, error) {
	sum := sha256.Sum256(file.data)
	have, err := safetensors.Decode(file.data)
	if got := hex.EncodeToString(sum[:]); got != card.SHA256 {
		why := errors.New("the file was changed or damaged, copy it again")
		if err != nil {
			why = err
		}
		return nil, fmt.Errorf("sha256 is %s, the card says %s: %w", got, card.SHA256, why)
	}
	if err != nil {
		return nil, err
	}
	w, err := newWeightSet(file, have, card.Config, plan)
	if err != nil {
		return nil, err
	}
	w.key, err = weightKey(card.SHA256, card.Config)
	return w, err
}
