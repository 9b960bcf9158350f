package sim

import (
	"math"
	"math/cmplx"
	"testing"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// A single scatterer gives the closed form at every tone, computed here with
// one exponential per cell.
func TestCSISingleScatterer(t *testing.T) {
	at := Vec{0.4, 1.3, 2.9}
	var w csiBody
	w.n = 1
	w.at[0], w.amp[0] = at, 0.37
	w.d1[0] = vecLength(vecSub(at, transmitterAt))
	for m := range CSIAntennas {
		w.sum(m)
		d2 := vecLength(vecSub(at, antennaAt(m)))
		for k := range CSITones {
			index := k - 58 // -58..-2, 2..58
			if k >= 57 {
				index = k - 55
			}
			f := 5.825e9 + float64(index)*312.5e3
			want := cmplx.Exp(complex(0, -2*math.Pi*f*(w.d1[0]+d2)/299792458)) * complex(0.37/d2, 0)
			if got := complex(w.sumRe[k], w.sumIm[k]); cmplx.Abs(got-want) > 1e-11 {
				t.Fatalf("antenna %d tone %d: %v, want %v", m, k, got, want)
			}
		}
	}
}

// The body's power at the reference is what the preset says.
func TestCSIBodyPower(t *testing.T) {
	c := newTestClip(t, "clean", still(), nil)
	sc := newScratch(grid)
	c.csiSkeletons(0, sc)
	c.csiScatterers(0, sc)
	power := 0.0
	for n := range sc.csi.n {
		a := sc.csi.amp[n] / vecLength(vecSub(sc.csi.at[n], receiverAt))
		power += a * a
	}
	if db := 10 * math.Log10(power); math.Abs(db+12) > 1.5 {
		t.Errorf("body %.2f dB to the line of sight, want about -12", db)
	}
}

// CSI is integers of 10 bits, and the stored decibels and radians give them
// back exactly.
func TestCSIRoundTripIsLossless(t *testing.T) {
	c := newTestClip(t, "mmfi", asymmetric(), func(cfg *Config, _ *Preset) {
		cfg.Degradations = []Degradation{{Kind: WiFiZeroCells, Severity: 2}}
	})
	var z CSIFrame
	var f recording.Frame
	zeros := 0
	for _, i := range []int{0, 9, 296, 4000} {
		if err := c.CSIComplex(i, &z); err != nil {
			t.Fatal(err)
		}
		if err := c.Frame(i, &f); err != nil {
			t.Fatal(err)
		}
		for p := range CSIPackets {
			for k := range CSIAntennas * CSITones {
				v := complex128(z[p][k])
				for _, part := range []float64{real(v), imag(v)} {
					if part != math.Trunc(part) || part < -512 || part > 511 {
						t.Fatalf("component %v is no 10-bit integer", part)
					}
				}
				amp, phase := f.CSIAmp[k*CSIPackets+p], f.CSIPhase[k*CSIPackets+p]
				if v == 0 {
					zeros++
					if !math.IsInf(amp, -1) {
						t.Fatalf("a zero cell is stored as %v dB", amp)
					}
					continue
				}
				back := cmplx.Rect(math.Pow(10, amp/20), phase)
				if cmplx.Abs(back-v) > 1e-9 {
					t.Fatalf("stored %v dB, %v rad give %v, want %v", amp, phase, back, v)
				}
			}
		}
	}
	if zeros < 50 || zeros > 300 {
		t.Errorf("%d zero cells, want about 137", zeros)
	}
}

// Levels and spreads against the real frame (simulator.md 8). People stand
// still: movement within 100 ms and deep fades are not the receiver's noise.
func TestCSIStatistics(t *testing.T) {
	var all, level, residual, shape []float64
	var f recording.Frame
	for s := 1; s <= 40; s++ {
		m := still()
		m.key.Subject = s
		c := newTestClip(t, "mmfi", m, nil)
		for i := 0; i < 297; i += 20 {
			if err := c.FrameOf(i, modality.Of(modality.CSI), &f); err != nil {
				t.Fatal(err)
			}
			for m := range CSIAntennas {
				l, r, sh, mean := csiSpread(f.CSIAmp[m*CSITones*CSIPackets : (m+1)*CSITones*CSIPackets])
				all, level = append(all, mean), append(level, l)
				residual, shape = append(residual, r), append(shape, sh)
			}
		}
	}
	within := func(what string, got, lo, hi float64) {
		if got < lo || got > hi {
			t.Errorf("%s: %.3f dB, want %g..%g", what, got, lo, hi)
		}
	}
	within("mean level", mean(all), 40.5, 42.5)
	within("spread of the level over packets", mean(level), 0.7, 1.3)
	wantQuantiles(t, "residual", residual, map[float64][2]float64{.25: {.20, .29}, .5: {.22, .31}})
	within("shape over subcarriers", mean(shape), 1.5, 4)
}

// csiSpread returns, for one antenna's (tone, packet) block: the standard
// deviation of the level over packets, of what is left after level and mean
// shape, and of the shape over tones; and the mean. Zero cells count as 0 dB.
func csiSpread(block []float64) (level, residual, shape, all float64) {
	var byTone [CSITones]float64
	var byPacket [CSIPackets]float64
	for k := range CSITones {
		for p := range CSIPackets {
			v := max(block[k*CSIPackets+p], 0)
			byTone[k] += v / CSIPackets
			byPacket[p] += v / CSITones
		}
	}
	all = mean(byPacket[:])
	sum := 0.0
	for k := range CSITones {
		for p := range CSIPackets {
			d := max(block[k*CSIPackets+p], 0) - byTone[k] - byPacket[p] + all
			sum += d * d
		}
	}
	return deviation(byPacket[:]), math.Sqrt(sum / (CSITones * CSIPackets)), deviation(byTone[:]), all
}

// The session signature differs between subjects of a room; rooms differ more.
func TestCSISessionAndEnvironment(t *testing.T) {
	spec := presetMMFi().CSI
	difference := func(env1, sub1, env2, sub2 int) float64 {
		a := newCSIChannel(1, &spec, env1, sub1)
		b := newCSIChannel(1, &spec, env2, sub2)
		sum := 0.0
		for m := range CSIAntennas {
			for k := range CSITones {
				sum += cmplx.Abs(a.static[m][k] - b.static[m][k])
			}
		}
		return sum / (CSIAntennas * CSITones)
	}
	session, room := difference(1, 1, 1, 2), difference(1, 1, 2, 11)
	if session <= 0.01 || session >= 0.3 || room <= 2*session {
		t.Errorf("sessions differ by %.3f, rooms by %.3f", session, room)
	}
	spec.SessionQ = 0
	if d := difference(1, 1, 1, 2); d != 0 {
		t.Errorf("without signature sessions differ by %g", d)
	}
}

// CSI carries the session, not the pose (simulator.md 13.7): for a
// nearest-neighbour predictor it makes no difference whether a frame's CSI is
// its own or that of another frame of the same person.
func TestCSIDoesNotLeakThePose(t *testing.T) {
	type sample struct {
		csi  []float64
		pose recording.Pose
	}
	var train, test []sample
	var f recording.Frame
	for s := 1; s <= 40; s += 5 {
		for a := 1; a <= 27; a += 2 {
			c, err := NewClip(Config{Seed: 2}, NewProcedural(2, recording.Key{Subject: s, Activity: a}, MotionOptions{}))
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < 297; i += 33 {
				if err := c.FrameOf(i, modality.Of(modality.CSI), &f); err != nil {
					t.Fatal(err)
				}
				x := sample{csi: make([]float64, CSIAntennas*CSITones), pose: CleanTruth(c.motion, i)}
				for k := range x.csi {
					x.csi[k] = max(f.CSIAmp[k*CSIPackets], 0)
				}
				if i%2 == 0 {
					train = append(train, x)
				} else {
					test = append(test, x)
				}
			}
		}
	}
	perSubject := len(test) / 8
	predictError := func(csiOf func(i int) []float64) float64 {
		sum := 0.0
		for i := range test {
			x := csiOf(i)
			best, at := math.Inf(1), 0
			for n := range train {
				d := 0.0
				for k, v := range train[n].csi {
					d += (v - x[k]) * (v - x[k])
				}
				if d < best {
					best, at = d, n
				}
			}
			for j := range test[i].pose {
				sum += vecLength(vecSub(test[i].pose[j], train[at].pose[j])) / 17
			}
		}
		return sum / float64(len(test)) * 1000
	}
	own := predictError(func(i int) []float64 { return test[i].csi })
	shuffled := predictError(func(i int) []float64 {
		first := i / perSubject * perSubject
		return test[first+(i-first+perSubject/2+3)%perSubject].csi
	})
	if own < 0.9*shuffled || own > 1.1*shuffled {
		t.Errorf("error %.0f mm with own CSI, %.0f mm with shuffled CSI", own, shuffled)
	}
	t.Logf("nearest neighbour: %.0f mm with own CSI, %.0f mm shuffled inside the subject", own, shuffled)
}
