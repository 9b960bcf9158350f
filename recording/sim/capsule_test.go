package sim

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestCapsuleIntersect(t *testing.T) {
	upright := Capsule{A: Vec{0, 0, 3}, B: Vec{0, 1, 3}, RadiusM: 0.1}
	lying := Capsule{A: Vec{0, 0, 3}, B: Vec{0, 0, 4}, RadiusM: 0.1}
	ball := Capsule{A: Vec{0, 0, 3}, B: Vec{0, 0, 3}, RadiusM: 0.5}
	tests := []struct {
		name string
		c    Capsule
		o, d Vec
		want float64 // 0: no hit
	}{
		{"cylinder", upright, Vec{0, 0.5, 0}, Vec{0, 0, 1}, 2.9},
		{"cylinder off axis", upright, Vec{0.06, 0.5, 0}, Vec{0, 0, 1}, 2.92},
		{"upper cap", upright, Vec{0, 1.06, 0}, Vec{0, 0, 1}, 2.92},
		{"lower cap", upright, Vec{0, -0.08, 0}, Vec{0, 0, 1}, 2.94},
		{"beside", upright, Vec{0.11, 0.5, 0}, Vec{0, 0, 1}, 0},
		{"above", upright, Vec{0, 1.11, 0}, Vec{0, 0, 1}, 0},
		{"behind", upright, Vec{0, 0.5, 5}, Vec{0, 0, 1}, 0},
		{"from inside", upright, Vec{0, 0.5, 3}, Vec{0, 0, 1}, 0},
		{"along the axis", lying, Vec{0, 0, 0}, Vec{0, 0, 1}, 2.9},
		{"along the axis from the other end", lying, Vec{0, 0, 9}, Vec{0, 0, -1}, 4.9},
		{"sphere", ball, Vec{0, 0.3, 0}, Vec{0, 0, 1}, 2.6},
		{"beside the sphere", ball, Vec{0, 0.51, 0}, Vec{0, 0, 1}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.c.Intersect(tt.o, tt.d)
			if ok != (tt.want > 0) || ok && math.Abs(got-tt.want) > 1e-12 {
				t.Errorf("got %v, %v; want %v", got, ok, tt.want)
			}
		})
	}
}

// A hit lies on the surface, nothing nearer does, and a miss passes by.
func TestCapsuleIntersectProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		coordinate := rapid.Float64Range(-1, 1)
		point := func(name string) Vec {
			return Vec{coordinate.Draw(t, name+"x"), coordinate.Draw(t, name+"y"), coordinate.Draw(t, name+"z")}
		}
		c := Capsule{A: point("a"), B: point("b"), RadiusM: rapid.Float64Range(0.02, 0.3).Draw(t, "r")}
		o := vecAdd(point("o"), Vec{0, 0, -4})
		d := vecUnit(vecSub(point("aim"), o), Vec{0, 0, 1})
		nearest := math.Inf(1)
		at, ok := c.Intersect(o, d)
		for k := range 2000 {
			s := float64(k) * 0.004
			if dist := c.AxisDistance(vecAdd(o, vecScale(d, s))); dist < nearest {
				nearest = dist
				if dist < c.RadiusM-1e-9 && (!ok || s < at-1e-9) {
					t.Fatalf("point at %g m lies inside by %g m, but the hit is at %g, %v", s, c.RadiusM-dist, at, ok)
				}
			}
		}
		if ok {
			if dist := c.AxisDistance(vecAdd(o, vecScale(d, at))); math.Abs(dist-c.RadiusM) > 1e-6 {
				t.Fatalf("hit at distance %g from the axis, radius %g", dist, c.RadiusM)
			}
		}
	})
}

func TestCapsuleSurfacePoint(t *testing.T) {
	c := Capsule{A: Vec{0, 1, 3}, B: Vec{0.2, 1.4, 2.8}, VA: Vec{1, 0, 0}, VB: Vec{3, 0, 0}, RadiusM: 0.1}
	eye := Vec{0, 0.85, 0}
	for _, beta := range []float64{-1, 0, 0.7} {
		p, n, v := c.SurfacePoint(eye, 0.25, beta)
		if d := c.AxisDistance(p); math.Abs(d-c.RadiusM) > 1e-12 {
			t.Errorf("beta %g: %g m from the axis", beta, d)
		}
		if math.Abs(vecLength(n)-1) > 1e-12 || math.Abs(vecDot(n, vecSub(c.B, c.A))) > 1e-12 {
			t.Errorf("beta %g: normal %v is not a unit vector across the axis", beta, n)
		}
		if vecDot(n, vecSub(eye, p)) <= 0 {
			t.Errorf("beta %g: normal points away from the eye", beta)
		}
		if v != (Vec{1.5, 0, 0}) {
			t.Errorf("velocity %v", v)
		}
	}
}

func TestBodySet(t *testing.T) {
	sub := Subject{HeightM: 1.7, Girth: 1}
	sk := uprightPerson()
	vel := Skeleton{13: {1, 0, 0}}
	var b Body
	b.Set(&sub, &sk, &vel)
	if b.Forward != (Vec{0, 0, -1}) {
		t.Errorf("a person whose left is image right faces %v, want the camera", b.Forward)
	}
	hand := &b.Capsules[capHandL]
	if hand.A != sk[13] || math.Abs(vecLength(vecSub(hand.B, hand.A))-handLengthM) > 1e-12 {
		t.Errorf("left hand from %v to %v", hand.A, hand.B)
	}
	if hand.VA[0] != 1 || hand.VB[0] != handSpeedFactor {
		t.Errorf("left hand moves at %v, %v", hand.VA, hand.VB)
	}
	foot := &b.Capsules[capFootR]
	if got, want := vecSub(foot.B, foot.A), (Vec{0, -footDownM, -footForwardM}); vecLength(vecSub(got, want)) > 1e-12 {
		t.Errorf("right foot extends by %v, want %v", got, want)
	}
	head := &b.Capsules[capHead]
	if math.Abs(vecLength(vecSub(head.B, head.A))-headTallM) > 1e-12 || head.A[1] < sk[9][1] || head.B[1] > sk[10][1] {
		t.Errorf("head from %v to %v", head.A, head.B)
	}
	tall := Subject{HeightM: 1.9, Girth: 1.1}
	b.Set(&tall, &sk, &vel)
	if got, want := b.Capsules[capChest].RadiusM, .135*1.9/1.7*1.1; math.Abs(got-want) > 1e-12 {
		t.Errorf("chest radius %g, want %g", got, want)
	}
}
