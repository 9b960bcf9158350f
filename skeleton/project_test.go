package skeleton

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestBonesAreATree: each joint but the pelvis is the child of one bone, which comes
// after its parent's, and opposite bones are each other's mirror images.
func TestBonesAreATree(t *testing.T) {
	seen := map[int]bool{Pelvis: true}
	for b, e := range Bones {
		if !seen[e.Parent] || seen[e.Child] {
			t.Errorf("bone %d from %d to %d", b, e.Parent, e.Child)
		}
		seen[e.Child] = true
		if opposite[opposite[b]] != b {
			t.Errorf("bone %d and %d", b, opposite[b])
		}
	}
	l := LengthsOf(&standing)
	for b := range l {
		if math.Abs(l[b]-l[opposite[b]]) > 1e-9 {
			t.Errorf("bone %d of a symmetric body has %.3f m, the other side %.3f m", b, l[b], l[opposite[b]])
		}
	}
}

// TestProjectKeepsLengths: the lengths hold, a second time changes nothing, and no
// shorter way to the lengths is near.
func TestProjectKeepsLengths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := seeded(rapid.Uint64().Draw(t, "seed"))
		l := LengthsOf(&standing)
		for b := range l {
			l[b] *= rapid.Float64Range(0.7, 1.4).Draw(t, "stretch")
		}
		from := noisy(r, standing, rapid.Float64Range(0, 0.15).Draw(t, "noise"))
		p := from
		Project(&p, &l)
		if d := lengthsDiffer(LengthsOf(&p), l); d > 1e-4 {
			t.Fatalf("lengths are off by %g m", d)
		}
		again := p
		Project(&again, &l)
		if d := farthest(&p, &again); d > 1e-9 {
			t.Fatalf("a second time moves by %g m", d)
		}
	})
}

// TestProjectMovesLessThanAChain: over noisy poses the way is much shorter than that
// of giving the bones their lengths one after the other, most of all at the hands.
func TestProjectMovesLessThanAChain(t *testing.T) {
	r := seeded(1)
	l := LengthsOf(&standing)
	var least, chained, hand, chainedHand float64
	for range 200 {
		from := noisy(r, standing, 0.03)
		p, c := from, from
		Project(&p, &l)
		chain(&c, &l)
		for j := range from {
			least += math.Pow(norm(sub(p[j], from[j])), 2)
			chained += math.Pow(norm(sub(c[j], from[j])), 2)
		}
		hand += norm(sub(p[RightWrist], from[RightWrist]))
		chainedHand += norm(sub(c[RightWrist], from[RightWrist]))
	}
	t.Logf("mean way of a wrist %.0f mm, in a chain %.0f mm", 1e3*hand/200, 1e3*chainedHand/200)
	if least > 0.5*chained || hand > 0.5*chainedHand {
		t.Errorf("squared way %.2f of a chain's %.2f, of the hand %.2f of %.2f", least, chained, hand, chainedHand)
	}
}

// TestProjectOfDegeneratePoses: bones without a direction, all joints in one place,
// lengths far off: finite, and the lengths hold.
func TestProjectOfDegeneratePoses(t *testing.T) {
	l := LengthsOf(&standing)
	folded := standing
	folded[RightKnee], folded[LeftWrist] = folded[RightHip], folded[LeftElbow]
	far := standing
	far[Head] = vec{40, 0, 0}
	for name, p := range map[string]Pose{"one place": {}, "folded limbs": folded, "a head far away": far} {
		Project(&p, &l)
		if !finite(&p) || lengthsDiffer(LengthsOf(&p), l) > 1e-4 {
			t.Errorf("%s: %v", name, p)
		}
	}
	var none Lengths
	p := standing
	Project(&p, &none)
	if !finite(&p) || lengthsDiffer(LengthsOf(&p), none) > 1e-4 {
		t.Errorf("no lengths: %v", p)
	}
}
