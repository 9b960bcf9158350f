package model

import (
	"fmt"
	"strings"

	"posefuse/sensors/modality"
)

// TakeFrom copies what src knows of the given modalities: their encoders, and
// their parts of the head where both networks have a PrecisionHead or both a
// ReprojectionHead, whose parts stand for themselves. From a network of the same modalities and head it takes,
// with all of them, the whole head. Everything else stays as it is. The encoders
// must have the same sizes and the same recipe; the error names the first tensor
// that does not fit.
func (n *Network) TakeFrom(src *Network, which modality.Set) error {
	if n.Frozen() {
		return errFrozen
	}
	if missing := which&^n.Config.Mask() | which&^src.Config.Mask(); missing != 0 || which == 0 {
		return fmt.Errorf("take modalities %s: one of the networks has %s, the other %s", which, n.Config.Mask(), src.Config.Mask())
	}
	if a, b := n.Config.RecipeName(), src.Config.RecipeName(); a != b {
		return fmt.Errorf("take modalities %s: the networks are of the recipes %s and %s", which, a, b)
	}
	anew, err := n.rotated(src, which)
	if err != nil {
		return fmt.Errorf("take modalities %s: %w", which, err)
	}
	for _, t := range n.store.All {
		name := n.nameIn(src, t.Name, which)
		if name == "" {
			continue
		}
		if v := anew[t.Name]; v != nil {
			copy(t.Value, v)
			continue
		}
		s := src.store.Lookup(name)
		if s == nil || len(s.Value) != len(t.Value) {
			return fmt.Errorf("take modalities %s: tensor %s %v has no counterpart of its size: the networks differ in %s", which, t.Name, t.Shape, strings.SplitN(t.Name, ".", 2)[0])
		}
		copy(t.Value, s.Value)
	}
	return nil
}

// nameIn returns what a tensor is called in src, "" if it is not to be taken.
func (n *Network) nameIn(src *Network, name string, which modality.Set) string {
	for m := range which.Kinds() {
		if strings.HasPrefix(name, m.String()+".") {
			return name
		}
	}
	const head = "head."
	same := n.Config.Head == src.Config.Head || n.Config.Head == ReprojectionHead && src.Config.Head == PrecisionHead
	switch {
	case !strings.HasPrefix(name, head) || !same || src.store.Lookup(name) == nil && strings.HasPrefix(name, head+"correction."):
		return ""
	case which == n.Config.Mask() && which == src.Config.Mask():
		return name
	case n.Config.Head != PrecisionHead && n.Config.Head != ReprojectionHead:
		return ""
	}
	slot := 0
	for m := range n.Config.Mask().Kinds() {
		part := fmt.Sprintf("%s%d.", head, slot)
		if rest, ok := strings.CutPrefix(name, part); ok && which.Has(m) {
			return fmt.Sprintf("%s%d.%s", head, slotOf(src.Config.Mask(), m), rest)
		}
		slot++
	}
	return ""
}

// slotOf returns the place of a modality among those of a network.
func slotOf(mask modality.Set, m modality.Kind) (slot int) {
	for k := range mask.Kinds() {
		if k == m {
			return slot
		}
		slot++
	}
	return slot
}
