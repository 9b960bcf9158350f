package sim

import (
	"math"
	"sort"
	"testing"

	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

func radarFrames(t *testing.T, c *Clip, frames int) [][]float64 {
	t.Helper()
	out := make([][]float64, frames)
	for i := range frames {
		var f recording.Frame
		if err := c.FrameOf(i, modality.Of(modality.Radar), &f); err != nil {
			t.Fatal(err)
		}
		out[i] = f.MmWave
	}
	return out
}

func TestRadarStillPersonHasNoDoppler(t *testing.T) {
	points := 0
	for i, rows := range radarFrames(t, newTestClip(t, "clean", still(), nil), 50) {
		for k := 0; k < len(rows); k += 5 {
			points++
			if rows[k+3] != 0 {
				t.Fatalf("frame %d: Doppler %g m/s of a still person", i, rows[k+3])
			}
		}
	}
	if points < 200 {
		t.Errorf("only %d points in 50 frames", points)
	}
}

// What approaches at 1 m/s has a Doppler of -1 m/s (positive is away).
func TestRadarApproachAtOneMetrePerSecond(t *testing.T) {
	for _, tt := range []struct{ speed, want float64 }{{-1, -1}, {1, 1}} {
		c := newTestClip(t, "clean", moving(Vec{0, 0, tt.speed}), nil)
		for i, rows := range radarFrames(t, c, 5) {
			if len(rows) == 0 {
				t.Fatalf("frame %d is empty", i)
			}
			for k := 0; k < len(rows); k += 5 {
				range2 := rows[k]*rows[k] + rows[k+1]*rows[k+1] + rows[k+2]*rows[k+2]
				want := tt.want * rows[k] / math.Sqrt(range2)
				// Half a Doppler bin, what the angle's rounding does, and hands
				// beside the body, which move faster than their wrists.
				tolerance := 0.06 + 0.02
				if math.Abs(rows[k+1]) > 0.2 && math.Abs(rows[k+3]) > math.Abs(want) {
					tolerance += handSpeedFactor - 1
				}
				if math.Abs(rows[k+3]-want) > tolerance {
					t.Errorf("frame %d: Doppler %.3f m/s at %v, want %.3f", i, rows[k+3], rows[k:k+3], want)
				}
			}
		}
	}
}

// Without noise every point is a surface point of the body to within the
// sensor's grid.
func TestRadarCleanPointsLieOnTheBody(t *testing.T) {
	c := newTestClip(t, "clean", still(), nil)
	var sc scratch
	c.placeBodies(0, &sc)
	for _, rows := range radarFrames(t, c, 20) {
		for k := 0; k < len(rows); k += 5 {
			p := vecAdd(Vec{0, radarHeightM, 0}, Vec{-rows[k+1], rows[k+2], rows[k]})
			off := math.Inf(1)
			for j := range sc.bodies[0].Capsules {
				cp := &sc.bodies[0].Capsules[j]
				off = min(off, math.Abs(cp.AxisDistance(p)-cp.RadiusM))
			}
			if off > 0.09 { // 1/64 of 3.2 m in two angles, half a range bin
				t.Fatalf("point %v is %g m off every surface", p, off)
			}
		}
	}
}

func TestRadarValuesFitTheWire(t *testing.T) {
	c := newTestClip(t, "mmfi", asymmetric(), nil)
	for i, rows := range radarFrames(t, c, 100) {
		var live sensors.RadarFrame
		if err := c.Radar(i, &live); err != nil {
			t.Fatal(err)
		}
		if len(live.Points)*5 != len(rows) {
			t.Fatalf("frame %d: %d live points, %d stored values", i, len(live.Points), len(rows))
		}
		for k := 0; k < len(rows); k += 5 {
			for a := range 4 {
				if v := rows[k+a]; v != float64(float32(v)) {
					t.Fatalf("value %v is not a 32-bit float", v)
				}
			}
			if snr := rows[k+4]; math.Abs(snr*10-math.Round(snr*10)) > 1e-9 || snr < -3276 || snr > 3276 {
				t.Fatalf("SNR %v is not in steps of 0.1 dB", snr)
			}
			p := live.Points[k/5]
			if float64(p.X) != rows[k] || float64(p.Doppler) != rows[k+3] {
				t.Fatalf("live point %+v differs from %v", p, rows[k:k+5])
			}
		}
	}
}

// TestRadarAgainstMARS holds the generator against what was measured on real
// radar recordings (simulator.md 7), on 27 activities and five subjects.
func TestRadarAgainstMARS(t *testing.T) {
	var counts, speeds, dist, doppler, velocity []float64
	speedSum, speedN := [5]float64{}, [5]float64{}
	share := map[string]float64{}
	zero, far := 0.0, 0.0
	sc := newScratch(grid)
	pose := newSensorPose(Vec{0, radarHeightM, 0}, 0)
	for s := 1; s <= 40; s += 8 {
		for a := 1; a <= 27; a++ {
			m := NewProcedural(1, recording.Key{Subject: s, Activity: a}, MotionOptions{})
			c := newTestClip(t, "mmfi", m, func(_ *Config, p *Preset) { p.Extrinsics, p.Radar.EmptyScale = Offsets{}, 0 })
			for i := 0; i < 290; i += 36 {
				rows := c.radar(i, sc, nil)
				before, after := m.At(float64(i)*0.1-0.075), m.At(float64(i)*0.1+0.025)
				speed := 0.0
				for j := range before {
					speed += vecLength(vecSub(after[j], before[j])) / 0.1 / 17
				}
				counts = append(counts, float64(len(rows)/5))
				speeds = append(speeds, speed)
				k := sort.SearchFloat64s([]float64{.05, .1, .2, .4}, speed)
				speedSum[k] += float64(len(rows) / 5)
				speedN[k]++
				for ; len(rows) > 0; rows = rows[5:] {
					p := vecAdd(Vec{0, radarHeightM, 0}, Vec{-rows[1], rows[2], rows[0]})
					best, part := math.Inf(1), 0
					for j := range sc.bodies[0].Capsules {
						if d := sc.bodies[0].Capsules[j].AxisDistance(p); d < best {
							best, part = d, j
						}
					}
					dist = append(dist, best)
					if best > 0.35 {
						far++
						continue
					}
					share[capsuleNames[part]]++
					cp := &sc.bodies[0].Capsules[part]
					doppler = append(doppler, rows[3])
					velocity = append(velocity, vecDot(pose.dirFromRoom(vecLerp(cp.VA, cp.VB, 0.5)), vecUnit(pose.fromRoom(p), Vec{})))
					if rows[3] == 0 {
						zero++
					}
				}
			}
		}
	}
	all := float64(len(dist))
	near := all - far
	pointsWithSpeed := correlation(counts, speeds) // before counts is sorted
	wantQuantiles(t, "points per frame", counts, map[float64][2]float64{
		.05: {12, 20}, .25: {19, 27}, .5: {27, 35}, .75: {36, 46}, .95: {48, 62},
	})
	for k, want := range [5]float64{21, 27, 34, 42, 52} {
		if got := speedSum[k] / speedN[k]; math.Abs(got-want) > 6 {
			t.Errorf("speed class %d: %.1f points, want about %g", k, got, want)
		}
	}
	wantQuantiles(t, "distance to the nearest bone axis", dist, map[float64][2]float64{
		.25: {.055, .080}, .5: {.085, .12}, .75: {.13, .19}, .9: {.19, .30},
	})
	within := func(what string, got, lo, hi float64) {
		if got < lo || got > hi {
			t.Errorf("%s: %.3f, want %g..%g", what, got, lo, hi)
		}
	}
	within("correlation of points and speed", pointsWithSpeed, .55, .85)
	within("share beyond 0.35 m", far/all, .03, .065)
	within("share of zero Doppler", zero/near, .15, .25)
	trunk := share["abdomen"] + share["chest"] + share["shoulders"] + share["pelvis"] + share["neck"]
	within("share of the trunk", trunk/near, .29, .43)
	within("share of the upper arms", share["upper arm"]/near, .13, .20)
	within("share of the forearms", share["forearm"]/near, .12, .20)
	within("share of the hands", share["hand"]/near, .08, .16)
	within("share of the head", share["head"]/near, .045, .13)
	// MM-Fi has more leg activities than MARS, whose shares are 4-7 and 1 %.
	within("share of the thighs", share["thigh"]/near, .04, .12)
	within("share of shanks and feet", (share["shank"]+share["foot"])/near, .005, .08)
	// Doppler follows the true velocity, with noise.
	within("correlation of Doppler and velocity", correlation(doppler, velocity), .5, .95)
}

// Empty frames come in runs of mean length three and at the drawn share.
func TestRadarEmptyFrames(t *testing.T) {
	c := newTestClip(t, "mmfi", still(), nil)
	c.emptyShare = 0.2
	empty, runs, frames := 0, 0, 60000
	was := false
	for i := range frames {
		now := c.radarEmpty(i)
		if now {
			empty++
			if !was {
				runs++
			}
		}
		was = now
	}
	if got := float64(empty) / float64(frames); math.Abs(got-0.2) > 0.02 {
		t.Errorf("share of empty frames %.3f, want 0.2", got)
	}
	if got := float64(empty) / float64(runs); math.Abs(got-3) > 0.3 {
		t.Errorf("mean run %.2f frames, want 3", got)
	}
	// Mean of Beta(0.4, 2.6) over many clips.
	sum := 0.0
	for s := 1; s <= 40; s++ {
		for a := 1; a <= 27; a++ {
			m := still()
			m.key = recording.Key{Subject: s, Activity: a}
			sum += newTestClip(t, "mmfi", m, nil).emptyShare
		}
	}
	if got := sum / 1080; math.Abs(got-0.4/3) > 0.025 {
		t.Errorf("mean share of empty frames %.3f, want 0.133", got)
	}
}
