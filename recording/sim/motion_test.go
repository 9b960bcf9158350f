package sim

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/recording"
)

// bones of the skeleton: every one keeps its length.
var bones = [...][2]int{
	{0, 1}, {1, 2}, {2, 3}, {0, 4}, {4, 5}, {5, 6}, {0, 7}, {7, 8}, {8, 9}, {9, 10},
	{8, 11}, {11, 12}, {12, 13}, {8, 14}, {14, 15}, {15, 16},
}

func boneLengths(sk Skeleton) (out [len(bones)]float64) {
	for i, b := range bones {
		out[i] = vecLength(vecSub(sk[b[0]], sk[b[1]]))
	}
	return out
}

// flexionDeg returns 180 minus the angle a-b-c, degrees.
func flexionDeg(a, b, c Vec) float64 { return 180 - angleDeg(vecSub(a, b), vecSub(c, b)) }

func angleDeg(u, v Vec) float64 {
	return math.Atan2(vecLength(vecCross(u, v)), vecDot(u, v)) / degree
}

// allMotions returns clips of every activity by several subjects, procedural
// and recorded.
func allMotions(t *testing.T) []Motion {
	t.Helper()
	l := loadShared(t)
	var out []Motion
	for a := 1; a <= numActivities; a++ {
		for _, subject := range []int{1, 15, 40} {
			key := recording.Key{Subject: subject, Activity: a}
			out = append(out, NewProcedural(1, key, MotionOptions{}))
			if m, ok := l.Motion(1, key, MotionOptions{Uncounted: true}); ok {
				out = append(out, m)
			}
		}
		key := recording.Key{Subject: 2, Activity: a}
		out = append(out, NewProcedural(1, key, MotionOptions{Clean: true}), NewSet(1, key, 3, MotionOptions{}),
			NewProcedural(1, key, MotionOptions{Amplitude: 1.1}))
	}
	return out
}

// TestMotionIsHuman checks what holds for every body at every time: bones keep
// their length, feet stay above the floor, joints within human range, the
// person in front of the sensors, no jumps.
func TestMotionIsHuman(t *testing.T) {
	const stepS = 0.0531
	for _, m := range allMotions(t) {
		name := fmt.Sprintf("%s %s", m.Key(), m.Source())
		first := boneLengths(m.At(0))
		previous := m.At(-0.3 - stepS)
		for tS := -0.3; tS < 34; tS += stepS {
			sk := m.At(tS)
			for i, length := range boneLengths(sk) {
				if math.Abs(length-first[i]) > 1e-9 {
					t.Fatalf("%s at %.2f s: bone %v is %.6f m, was %.6f m", name, tS, bones[i], length, first[i])
				}
			}
			for j, v := range sk {
				if v[1] < -0.01 {
					t.Fatalf("%s at %.2f s: joint %d is %.3f m below the floor", name, tS, j, -v[1])
				}
				if math.Abs(v[0]) > 1.5 || v[2] < 1.8 || v[2] > 4.4 || v[1] > 2.7 {
					t.Fatalf("%s at %.2f s: joint %d at %.2f is outside the place to stand", name, tS, j, v)
				}
			}
			if lift := sk[3][1]; lift < 0.03 {
				t.Fatalf("%s at %.2f s: ankle %.3f m above the floor", name, tS, lift)
			}
			for _, k := range []int{2, 5} {
				if f := flexionDeg(sk[k-1], sk[k], sk[k+1]); f > 156 {
					t.Fatalf("%s at %.2f s: knee bent by %.0f degrees", name, tS, f)
				}
				mid := vecLerp(sk[k-1], sk[k+1], 0.5)
				front := vecUnit(vecCross(vecSub(sk[4], sk[1]), vecSub(sk[k+1], sk[k-1])), facing(&sk))
				if ahead := vecDot(vecSub(sk[k], mid), front); ahead < -0.02 {
					t.Fatalf("%s at %.2f s: knee %.3f m behind the leg", name, tS, -ahead)
				}
			}
			for _, e := range []int{12, 15} {
				if f := flexionDeg(sk[e-1], sk[e], sk[e+1]); f > 155 {
					t.Fatalf("%s at %.2f s: elbow bent by %.0f degrees", name, tS, f)
				}
			}
			if lean := angleDeg(vecSub(sk[8], sk[0]), Vec{0, 1, 0}); lean > 95 {
				t.Fatalf("%s at %.2f s: trunk leans by %.0f degrees", name, tS, lean)
			}
			if speed := maxJointDistance(sk, previous) / stepS; speed > 11 {
				t.Fatalf("%s at %.2f s: a joint moves at %.1f m/s", name, tS, speed)
			}
			previous = sk
		}
	}
}

// TestMotionIsContinuous looks closely around the places where pieces meet.
func TestMotionIsContinuous(t *testing.T) {
	const eps = 1e-6
	check := func(m Motion, tS float64) {
		t.Helper()
		if d := maxJointDistance(m.At(tS-eps), m.At(tS+eps)); d > 40*2*eps {
			t.Errorf("%s %s: jump of %.2g m at %.3f s", m.Key(), m.Source(), d, tS)
		}
	}
	for _, m := range allMotions(t) {
		check(m, 0)
		for _, end := range m.Repetitions() {
			check(m, end)
		}
		switch m := m.(type) {
		case *ProceduralMotion:
			check(m, m.periodS)
			check(m, 2*m.periodS)
			check(m, m.startS)
			check(m, m.startS-m.transitionS)
		case *MocapMotion:
			check(m, m.periodS)
			for _, s := range m.segments {
				check(m, s.startS)
				check(m, s.startS+s.blendS)
			}
		}
	}
}

// TestRepetitionsAreReal counts the repetitions of the movement from the joints
// and compares with what the motion says.
func TestRepetitionsAreReal(t *testing.T) {
	// For each activity a signal that is low between and high in the middle of
	// repetitions.
	wrists := func(s Skeleton) float64 { return vecLength(vecSub(s[13], s[16])) }
	wristHeight := func(joint, shoulder int) func(Skeleton) float64 {
		return func(s Skeleton) float64 { return s[joint][1] - s[shoulder][1] }
	}
	signals := map[int]func(Skeleton) float64{
		1: wrists, 2: wrists, 3: wristHeight(13, 11),
		4:  func(s Skeleton) float64 { return s[11][2] - s[14][2] }, // left shoulder back
		5:  func(s Skeleton) float64 { return s[14][2] - s[11][2] },
		6:  func(s Skeleton) float64 { return s[2][1] - s[5][1] },
		7:  func(s Skeleton) float64 { return vecLength(vecSub(s[13], s[11])) },
		8:  func(s Skeleton) float64 { return vecLength(vecSub(s[16], s[14])) },
		9:  func(s Skeleton) float64 { return s[3][2] - s[6][2] },
		10: func(s Skeleton) float64 { return s[6][2] - s[3][2] },
		11: wrists,
		12: func(s Skeleton) float64 { return -s[0][1] },
		13: wristHeight(13, 11), 14: wristHeight(16, 14),
		15: func(s Skeleton) float64 { return s[6][0] - s[3][0] },
		16: func(s Skeleton) float64 { return s[6][0] - s[3][0] },
		17: wristHeight(12, 11), 18: wristHeight(15, 14),
		19: func(s Skeleton) float64 { return -s[8][1] },
		20: func(s Skeleton) float64 { return s[11][2] - s[14][2] },
		21: func(s Skeleton) float64 { return s[14][2] - s[11][2] },
		22: func(s Skeleton) float64 { return s[6][1] },
		23: func(s Skeleton) float64 { return s[3][1] },
		24: wristHeight(13, 11), 25: wristHeight(16, 14),
		26: func(s Skeleton) float64 { return min(s[3][1], s[6][1]) },
		27: func(s Skeleton) float64 { return s[0][2] - s[8][2] },
	}
	for a := 1; a <= numActivities; a++ {
		for _, opt := range []MotionOptions{{}, {Clean: true}} {
			for subject := 1; subject <= 40; subject += 6 {
				key := recording.Key{Subject: subject, Activity: a}
				clip := NewProcedural(9, key, opt)
				if got, want := countPeaks(clip, signals[a]), len(clip.Repetitions()); got != want {
					t.Errorf("%s clean=%v: %d repetitions in the movement, drawn %d", key, opt.Clean, got, want)
				}
				n := 1 + subject%12
				set := NewSet(9, key, n, opt)
				if got := len(set.Repetitions()); got != n {
					t.Errorf("%s clean=%v: a set of %d has %d repetitions", key, opt.Clean, n, got)
				}
				if got := countPeaks(set, signals[a]); got != n {
					t.Errorf("%s clean=%v: %d repetitions in the movement of a set of %d", key, opt.Clean, got, n)
				}
			}
		}
	}
}

// countPeaks counts how often the signal rises above 60 % of its range and
// comes back below 40 %, from the start of the first repetition in the clip to
// the end of the last one.
func countPeaks(m *ProceduralMotion, signal func(Skeleton) float64) int {
	const stepS = 0.03
	ends := m.Repetitions()
	endS := ends[len(ends)-1]
	lo, hi := math.Inf(1), math.Inf(-1)
	for tS := m.startS; tS < endS; tS += stepS {
		x := signal(m.At(tS))
		lo, hi = min(lo, x), max(hi, x)
	}
	n, up := 0, false
	for tS := m.startS; tS < endS+0.01; tS += stepS {
		switch x := (signal(m.At(tS)) - lo) / (hi - lo); {
		case x > 0.6 && !up:
			up = true
			n++
		case x < 0.4:
			up = false
		}
	}
	return n
}

// TestMarch checks that a repetition of A06 is one step of each foot.
func TestMarch(t *testing.T) {
	set := NewSet(2, recording.Key{Subject: 7, Activity: 6}, 9, MotionOptions{})
	for _, ankle := range []int{3, 6} {
		n, up := 0, false
		for tS := 0.0; tS < set.DurationS(); tS += 0.01 {
			switch lift := set.At(tS)[ankle][1] - 0.05*set.subject.HeightM; {
			case lift > 0.12 && !up:
				up = true
				n++
			case lift < 0.06:
				up = false
			}
		}
		if n != 9 {
			t.Errorf("ankle %d is lifted %d times in 9 repetitions", ankle, n)
		}
	}
}

func TestSetStandsStillAtBothEnds(t *testing.T) {
	for a := 1; a <= numActivities; a++ {
		set := NewSet(3, recording.Key{Subject: 5, Activity: a}, 2, MotionOptions{Clean: true})
		rest := set.At(0)
		for _, tS := range []float64{-0.2, 1, setLeadS - 1e-9, set.DurationS() - setTailS + frameS, set.DurationS(), set.DurationS() + 9} {
			if d := maxJointDistance(set.At(tS), rest); d > 1e-6 {
				t.Errorf("A%02d moves by %.3g m at %.2f s", a, d, tS)
			}
		}
		if d := maxJointDistance(set.At(set.startS+0.5*(set.reps[0].endS-set.startS)), rest); a != 6 && d < 0.1 {
			t.Errorf("A%02d hardly moves: %.3f m", a, d)
		}
	}
}

// TestMirrorPairs compares the clean clips of activities that are each other's
// mirror image.
func TestMirrorPairs(t *testing.T) {
	for right, left := range mirrorOf {
		a := NewProcedural(1, recording.Key{Subject: 3, Activity: left}, MotionOptions{Clean: true, RepetitionS: 2})
		b := NewProcedural(1, recording.Key{Subject: 3, Activity: right}, MotionOptions{Clean: true, RepetitionS: 2})
		for _, tS := range []float64{0, 0.3, 0.91, 1.7} {
			sk := a.At(tS)
			if d := maxJointDistance(sk.mirrored(), b.At(tS)); d > 1e-12 {
				t.Errorf("A%02d at %.2f s is not the mirror image of A%02d: %.3g m", right, tS, left, d)
			}
		}
	}
	// A pose and its mirror image give mirrored skeletons for every pose.
	sub := NewSubject(1, 4)
	fig := newFigure(&sub, stance{zM: standingDepthM})
	rapid.Check(t, func(t *rapid.T) {
		p := standingPose
		for i := range p {
			p[i] += styleScale[i] * rapid.Float64Range(-4, 4).Draw(t, "style")
		}
		sk, m := fig.skeleton(&p), p.mirrored()
		if d := maxJointDistance(sk.mirrored(), fig.skeleton(&m)); d > 1e-9 {
			t.Fatalf("mirrored pose differs by %g m", d)
		}
	})
}

func TestThrowingArm(t *testing.T) {
	moves := func(opt MotionOptions, activity, wrist int) float64 {
		opt.Clean = true
		m := NewProcedural(1, recording.Key{Subject: 1, Activity: activity}, opt)
		return m.At(0)[wrist][2] - m.At(1.25)[wrist][2]
	}
	for _, tt := range []struct {
		near             bool
		activity, thrown int
	}{{false, 20, 16}, {false, 21, 13}, {true, 20, 13}, {true, 21, 16}} {
		if d := moves(MotionOptions{ThrowNearArm: tt.near}, tt.activity, tt.thrown); d < 0.3 {
			t.Errorf("A%02d near=%v: wrist %d moves %.2f m forward", tt.activity, tt.near, tt.thrown, d)
		}
	}
}

// TestRepetitionTempo compares the drawn lengths with the real ones.
func TestRepetitionTempo(t *testing.T) {
	for a := 1; a <= numActivities; a++ {
		var lengths, within []float64
		for seed := range uint64(8) {
			for subject := 1; subject <= 40; subject++ {
				m := NewProcedural(seed, recording.Key{Subject: subject, Activity: a}, MotionOptions{})
				ends := m.Repetitions()
				var sum, sum2 float64
				for i := 1; i < len(ends); i++ {
					d := (ends[i] - ends[i-1]) / frameS
					lengths = append(lengths, d)
					sum += d
					sum2 += d * d
				}
				if n := float64(len(ends) - 1); n > 3 {
					within = append(within, math.Sqrt(max(0, sum2/n-sum*sum/n/n))/(sum/n))
				}
			}
		}
		want := tempos[a]
		if got := quantileOf(lengths, 0.5); math.Abs(got/want.median-1) > 0.15 {
			t.Errorf("A%02d: median of %.1f frames, want %.1f", a, got, want.median)
		}
		if got, measured := quantileOf(lengths, 0.9)/quantileOf(lengths, 0.1), want.p90/want.p10; got < 0.75*measured || got > 1.3*measured {
			t.Errorf("A%02d: spread p90/p10 of %.2f, want about %.2f", a, got, measured)
		}
		if got := quantileOf(within, 0.5); got > 0.3 {
			t.Errorf("A%02d: lengths vary by %.2f inside a sequence", a, got)
		}
	}
}

func quantileOf(x []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(x))
	return sorted[int(q*float64(len(sorted)-1))]
}

func TestMotionAtDoesNotAllocate(t *testing.T) {
	recorded, _ := loadShared(t).Motion(1, recording.Key{Subject: 1, Activity: 12}, MotionOptions{})
	for _, m := range []Motion{
		NewProcedural(1, recording.Key{Subject: 1, Activity: 26}, MotionOptions{}),
		NewSet(1, recording.Key{Subject: 1, Activity: 6}, 4, MotionOptions{}),
		recorded,
	} {
		tS := 0.0
		if n := testenv.AllocsPerRun(200, func() { m.At(tS); tS += 0.213 }); n != 0 {
			t.Errorf("%s: At allocates %v times", m.Source(), n)
		}
	}
}

func BenchmarkMotionAt(b *testing.B) {
	key := recording.Key{Subject: 3, Activity: 12}
	recorded, _ := loadShared(b).Motion(1, key, MotionOptions{})
	for _, m := range []Motion{NewProcedural(1, key, MotionOptions{}), recorded} {
		b.Run(m.Source()[:5], func(b *testing.B) {
			b.ReportAllocs()
			tS := 0.0
			for b.Loop() {
				m.At(tS)
				tS += 0.01
			}
		})
	}
}
