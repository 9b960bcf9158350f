// Package modality names the four kinds of input that the fused model
// understands, and sets of them. It imports nothing: sensors, recordings, the
// model and the study speak of the same four.
package modality

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Kind is one of the four modalities, in the fixed order R, L, M, W of the
// paper.
type Kind uint8

// The four modalities.
const (
	Camera Kind = iota // R: 2D keypoints from a colour camera
	LiDAR              // L: LiDAR point cloud
	Radar              // M: mmWave radar points
	CSI                // W: WiFi channel state information

	// Count is the number of modalities. It is a Kind so that ranging over it
	// yields kinds.
	Count
)

const letters = "RLMW"

var names = [Count]string{"camera", "lidar", "radar", "csi"}

// Letter returns the paper's letter of the modality: R, L, M or W.
func (k Kind) Letter() string {
	if k >= Count {
		return "?"
	}
	return letters[k : k+1]
}

// String returns the modality's name as used in configuration, messages and
// the network's tensors.
func (k Kind) String() string {
	if k >= Count {
		return fmt.Sprintf("modality(%d)", uint8(k))
	}
	return names[k]
}

// Set is a set of modalities, the paper's coalition: bit k is Kind k.
type Set uint8

// All holds the four modalities.
const All Set = 1<<Count - 1

// Of returns the set of the given modalities.
func Of(kinds ...Kind) Set {
	var s Set
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Parse reads letters such as "RLM". No letters are an error, as is a letter
// that is unknown or stands twice.
func Parse(text string) (Set, error) {
	var s Set
	for _, r := range text {
		i := strings.IndexRune(letters, r)
		if i < 0 || s.Has(Kind(i)) {
			return 0, fmt.Errorf("modalities %q: want letters of R, L, M, W, each at most once", text)
		}
		s |= 1 << i
	}
	if s == 0 {
		return 0, errors.New("modalities: none given, want letters of R, L, M, W")
	}
	return s, nil
}

// Has reports whether the modality is in the set.
func (s Set) Has(k Kind) bool { return s&(1<<k) != 0 }

// String returns the letters of the set in order, e.g. "RLM", or "-" if it is
// empty.
func (s Set) String() string {
	var out strings.Builder
	for k := range s.Kinds() {
		out.WriteString(k.Letter())
	}
	if out.Len() == 0 {
		return "-"
	}
	return out.String()
}

// Kinds yields the members in order.
func (s Set) Kinds() iter.Seq[Kind] {
	return func(yield func(Kind) bool) {
		for k := range Count {
			if s.Has(k) && !yield(k) {
				return
			}
		}
	}
}

// Subsets lists the non-empty subsets, the set itself first.
func (s Set) Subsets() []Set {
	var out []Set
	for sub := s; sub != 0; sub = (sub - 1) & s {
		out = append(out, sub)
	}
	return out
}
