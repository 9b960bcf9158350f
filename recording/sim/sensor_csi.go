package sim

import (
	"math"

	"posefuse/recording"
)

// Shape of one frame of channel state (simulator.md 8).
const (
	CSIAntennas = 3
	CSITones    = 114
	CSIPackets  = 10 // per frame, 10 ms apart, the last at the frame instant

	csiPacketS     = framePeriodS / CSIPackets
	csiCarrierHz   = 5.825e9
	csiToneHz      = 312.5e3
	csiHalf        = CSITones / 2 // tones below the carrier
	csiSpacingM    = 0.0257       // between antennas, along z
	csiLimit       = 511          // of a 10-bit signed component
	lightMPS       = 299792458.0
	csiStaticPaths = 9
	csiScatterers  = 17
	maxBodies      = 2
	csiBurstDB     = 10 // extra noise of an interference burst
)

// csiWeights is the strength of each joint as a scatterer, before
// normalisation to unit power.
var csiWeights = [csiScatterers]float64{1.6, .8, .9, .5, .8, .9, .5, 1.8, 1.8, .5, 1.0, .6, .6, .45, .6, .6, .45}

// csiNorm is 1/norm of csiWeights.
var csiNorm = func() float64 {
	sum := 0.0
	for _, w := range csiWeights {
		sum += float64(w * w)
	}
	return 1 / math.Sqrt(sum)
}()

// csiToneIndex returns the subcarrier index of tone k: -58..-2, 2..58.
func csiToneIndex(k int) int {
	if k < csiHalf {
		return k - 58
	}
	return k - csiHalf + 2
}

func csiToneFrequency(k int) float64 {
	return csiCarrierHz + float64(float64(csiToneIndex(k))*csiToneHz)
}

// antennaAt returns the place of receive antenna m.
func antennaAt(m int) Vec {
	p := receiverAt
	p[2] += float64(float64(m) * csiSpacingM)
	return p
}

// lineOfSight returns the distance from transmitter to the first antenna, metres.
func lineOfSight() float64 { return vecLength(vecSub(transmitterAt, receiverAt)) }

// csiChannel is what does not change within a clip.
type csiChannel struct {
	static   [CSIAntennas][CSITones]complex128 // before the receiver, line of sight = 1
	occluder [CSIAntennas][CSITones]complex128 // extra path of an occluder
	receiver [CSIAntennas][CSITones]complex128 // gain, ripple, phase and scale to integers
	noise    [CSIAntennas]float64              // standard deviation per component, integer units
}

// csiPath is one static propagation path.
type csiPath struct {
	lengthM, amplitude, phase, sinArrival float64
}

// newCSIChannel makes the static paths of an environment with the signature
// of a subject's session, and the receiver of the data set.
func newCSIChannel(seed uint64, spec *CSISpec, environment, subject int) csiChannel {
	var ch csiChannel
	los := lineOfSight()
	env := NewStream(seed, "csi-environment", environment)
	session := NewStream(seed, "csi-session", environment, subject)
	direct := signature(&session, 0.2*spec.SessionQ)
	for m := range CSIAntennas {
		l := vecLength(vecSub(antennaAt(m), transmitterAt))
		for k := range CSITones {
			ch.static[m][k] = mul(scaled(direct, los/l), phasor(-l*csiToneFrequency(k)/lightMPS))
		}
	}
	for n := range csiStaticPaths {
		p := csiPath{
			lengthM:    los + float64(4*env.Exp()),
			amplitude:  0.55 * portableExp(-float64(n)/4) * 0.8 * math.Sqrt(2*env.Exp()) * spec.StaticScale,
			phase:      env.Float64(),
			sinArrival: float64(2*env.Float64()) - 1,
		}
		gain := scaled(signature(&session, spec.SessionQ), p.amplitude)
		addPath(&ch.static, p, gain)
	}
	// A box at the place of occluderBox throws one more path.
	mid := Vec{0, 0.5, 2.1}
	extra := vecLength(vecSub(mid, transmitterAt)) + vecLength(vecSub(mid, receiverAt))
	addPath(&ch.occluder, csiPath{lengthM: extra, phase: 0.25}, complex(0.25, 0))
	ch.setReceiver(seed, spec)
	return ch
}

// addPath adds one plane wave to every antenna and tone.
func addPath(h *[CSIAntennas][CSITones]complex128, p csiPath, gain complex128) {
	for m := range CSIAntennas {
		l := p.lengthM + float64(float64(m)*csiSpacingM*p.sinArrival)
		for k := range CSITones {
			h[m][k] += mul(gain, phasor(p.phase-l*csiToneFrequency(k)/lightMPS))
		}
	}
}

// signature returns 1 + q CN(0,1).
func signature(s *Stream, q float64) complex128 {
	re, im := s.Norm(), s.Norm()
	return complex(1+float64(q*re*math.Sqrt2/2), float64(q*im*math.Sqrt2/2))
}

// phasor returns e^(j 2 pi x); whole turns are taken off first to keep digits.
func phasor(x float64) complex128 {
	s, c := portableSincos(2 * math.Pi * (x - math.Floor(x)))
	return complex(c, s)
}

// cosTurns returns cos(2 pi x).
func cosTurns(x float64) float64 { return real(phasor(x)) }

// setReceiver draws the receiver, the same for the whole data set, and scales
// so that the mean level of the static channel is MeanDB.
func (ch *csiChannel) setReceiver(seed uint64, spec *CSISpec) {
	dev := NewStream(seed, "csi-receiver")
	sumDB := 0.0
	for m := range CSIAntennas {
		gainDB := float64(spec.GainDB * dev.Norm())
		phase, slope, wave := dev.Float64(), float64(0.02*dev.Norm()), dev.Float64()
		for k := range CSITones {
			x := float64(csiToneIndex(k)) / 58
			edge := float64(x * x * x * x)
			ripple := (1 - cosTurns(float64(1.5*x)+wave)) / 2
			db := gainDB - float64(spec.RippleDB*(float64(0.7*edge)+float64(0.3*ripple)))
			ch.receiver[m][k] = scaled(phasor(phase+float64(slope*float64(csiToneIndex(k))/(2*math.Pi))), fromDecibels(db))
			sumDB += 2 * decibelsOfPower(cabs(mul(ch.receiver[m][k], ch.static[m][k])))
		}
	}
	scale := fromDecibels(spec.MeanDB - sumDB/(CSIAntennas*CSITones))
	for m := range CSIAntennas {
		power := 0.0
		for k := range CSITones {
			ch.receiver[m][k] = scaled(ch.receiver[m][k], scale)
			a := cabs(mul(ch.receiver[m][k], ch.static[m][k]))
			power += float64(a * a)
		}
		if !spec.NoNoise {
			ch.noise[m] = math.Sqrt(power/CSITones/2) * fromDecibels(spec.NoiseDB)
		}
	}
}

func cabs(z complex128) float64 {
	return math.Sqrt(float64(real(z)*real(z)) + float64(imag(z)*imag(z)))
}

// CSIFrame is the channel state of one frame as the receiver stores it:
// integers, packet first; each packet is antenna by subcarrier, row-major, as
// in sensors.CSIPacket.
type CSIFrame [CSIPackets][CSIAntennas * CSITones]complex64

// csiBody is the working memory of one frame: the joints of all bodies as
// scatterers, their sum per tone, and the phase of the packet.
type csiBody struct {
	n        int
	re, im   [maxBodies * csiScatterers]float64 // current tone
	wre, wim [maxBodies * csiScatterers]float64 // step to the next tone
	d1, amp  [maxBodies * csiScatterers]float64
	at       [maxBodies * csiScatterers]Vec
	sumRe    [CSITones]float64
	sumIm    [CSITones]float64
	phaseRe  [CSITones]float64
	phaseIm  [CSITones]float64
}

// csi fills z with frame i.
func (c *Clip) csi(i int, sc *scratch, z *CSIFrame) {
	frame, shiftS := c.degraded.faultyClock(wifi, i)
	if c.degraded.missing(wifi, frameTime(i)) {
		*z = CSIFrame{}
		return
	}
	spec := &c.preset.CSI
	s := c.stream("csi", frame)
	frameS := frameTime(frame) + shiftS
	c.csiSkeletons(frameS, sc)
	w := &sc.csi
	for p := range CSIPackets {
		tS := frameS + float64(float64(p-CSIPackets+1)*csiPacketS)
		c.csiScatterers(p, sc)
		withOccluder := c.degraded.severity(Occluder, tS) > 0
		c.packetPhase(spec, w, &s)
		for m := range CSIAntennas {
			levelDB := 0.0
			if !spec.NoNoise {
				levelDB = float64(spec.LevelDB * s.Norm())
				if s.Float64() < spec.DropProb {
					levelDB -= float64(spec.DropDB * s.Exp())
				}
			}
			level := fromDecibels(levelDB)
			w.sum(m)
			sigma := c.channel.noise[m]
			static, receiver := &c.channel.static[m], &c.channel.receiver[m]
			row := z[p][m*CSITones : (m+1)*CSITones]
			for k := range row {
				hr, hi := real(static[k])+w.sumRe[k], imag(static[k])+w.sumIm[k]
				if withOccluder {
					hr += real(c.channel.occluder[m][k])
					hi += imag(c.channel.occluder[m][k])
				}
				gr, gi := real(receiver[k]), imag(receiver[k])
				re := float64(hr*gr) - float64(hi*gi)
				im := float64(hr*gi) + float64(hi*gr)
				if sigma > 0 {
					re += float64(sigma * s.Norm())
					im += float64(sigma * s.Norm())
				}
				re, im = float64(re*level), float64(im*level)
				re, im = float64(re*w.phaseRe[k])-float64(im*w.phaseIm[k]), float64(re*w.phaseIm[k])+float64(im*w.phaseRe[k])
				row[k] = complex(csiInteger(re), csiInteger(im))
			}
		}
	}
	c.degradeCSI(frame, frameS, z)
}

// csiInteger rounds a component to what 10 signed bits hold.
func csiInteger(v float64) float32 {
	r := min(max(math.RoundToEven(v), -csiLimit-1), csiLimit)
	if r == 0 {
		return 0 // never a negative zero
	}
	return float32(r)
}

// csiScatterers takes the joints of packet p as scatterers.
func (c *Clip) csiScatterers(p int, sc *scratch) {
	w := &sc.csi
	los := lineOfSight()
	level := fromDecibels(c.preset.CSI.BodyDB) * csiNorm * los * los
	w.n = 0
	for b := range sc.csiBodies {
		size := sc.subjects[b].HeightM / referenceHeightM * sc.subjects[b].Girth
		for j := range csiScatterers {
			n := w.n
			w.at[n] = sc.csiSkeleton[b][p][j]
			w.d1[n] = vecLength(vecSub(w.at[n], transmitterAt))
			w.amp[n] = float64(level*csiWeights[j]*size) / w.d1[n]
			w.n++
		}
	}
}

// sum adds up what all scatterers send to antenna m, for every tone: one sine
// and cosine for the first tone and for the step between tones, then a complex
// recurrence.
func (w *csiBody) sum(m int) {
	rx := antennaAt(m)
	for n := range w.n {
		d2 := vecLength(vecSub(w.at[n], rx))
		l := w.d1[n] + d2
		first := phasor(-l * csiToneFrequency(0) / lightMPS)
		step := phasor(-l * csiToneHz / lightMPS)
		a := w.amp[n] / d2
		w.re[n], w.im[n] = float64(a*real(first)), float64(a*imag(first))
		w.wre[n], w.wim[n] = real(step), imag(step)
	}
	re, im, wre, wim := w.re[:w.n], w.im[:w.n], w.wre[:w.n], w.wim[:w.n]
	im, wre, wim = im[:len(re)], wre[:len(re)], wim[:len(re)]
	for k := range CSITones {
		if k == csiHalf { // from tone -2 to tone +2: three more steps
			for n := range re {
				w2r := float64(wre[n]*wre[n]) - float64(wim[n]*wim[n])
				w2i := 2 * float64(wre[n]*wim[n])
				w3r := float64(w2r*wre[n]) - float64(w2i*wim[n])
				w3i := float64(w2r*wim[n]) + float64(w2i*wre[n])
				re[n], im[n] = float64(re[n]*w3r)-float64(im[n]*w3i), float64(re[n]*w3i)+float64(im[n]*w3r)
			}
		}
		var sr, si float64
		for n := range re {
			r, q := re[n], im[n]
			sr += r
			si += q
			re[n] = float64(r*wre[n]) - float64(q*wim[n])
			im[n] = float64(r*wim[n]) + float64(q*wre[n])
		}
		w.sumRe[k], w.sumIm[k] = sr, si
	}
}

// packetPhase draws the common phase and slope of a packet.
func (c *Clip) packetPhase(spec *CSISpec, w *csiBody, s *Stream) {
	common, slope := 0.0, 0.0
	if spec.RandomPhases {
		common = s.Float64()
		slope = float64(spec.SlopeRad*s.Norm()) / (2 * math.Pi)
	}
	z, step := phasor(common+float64(slope*float64(csiToneIndex(0)))), phasor(slope)
	for k := range CSITones {
		if k == csiHalf {
			z = mul(z, mul(step, mul(step, step)))
		}
		w.phaseRe[k], w.phaseIm[k] = real(z), imag(z)
		z = mul(z, step)
	}
}

// degradeCSI applies interference and zero cells to a finished frame.
func (c *Clip) degradeCSI(frame int, tS float64, z *CSIFrame) {
	if sev := c.degraded.severity(WiFiInterference, tS); sev > 0 {
		s := c.stream("csi-interference", frame)
		share := bySeverity(sev, .05, .20, .50)
		for p := range z {
			if s.Float64() >= share {
				continue
			}
			switch s.Intn(3) {
			case 0: // lost: the last packet again, or an empty slot
				if p == 0 {
					z[p] = [CSIAntennas * CSITones]complex64{}
				} else {
					z[p] = z[p-1]
				}
			case 1: // a burst on a block of tones
				width := 20 + s.Intn(21)
				from := s.Intn(CSITones - width)
				for m := range CSIAntennas {
					sigma := float64(c.channel.noise[m] * fromDecibels(csiBurstDB))
					for k := from; k < from+width; k++ {
						v := &z[p][m*CSITones+k]
						*v = complex(csiInteger(float64(real(*v))+float64(sigma*s.Norm())),
							csiInteger(float64(imag(*v))+float64(sigma*s.Norm())))
					}
				}
			default: // the automatic gain jumps
				g := fromDecibels(6)
				if s.Uint64()&1 == 0 {
					g = 1 / g
				}
				for k := range z[p] {
					v := &z[p][k]
					*v = complex(csiInteger(float64(real(*v))*g), csiInteger(float64(imag(*v))*g))
				}
			}
		}
	}
	if sev := c.degraded.severity(WiFiZeroCells, tS); sev > 0 {
		s := c.stream("csi-zero", frame)
		share := bySeverity(sev, .001, .01, .10)
		for p := range z {
			for k := range z[p] {
				if s.Float64() < share {
					z[p][k] = 0
				}
			}
		}
	}
}

// store writes the integers as MM-Fi does: decibels and radians, antenna x
// subcarrier x packet. A zero cell is minus infinity, as in real files.
func (z *CSIFrame) store(f *recording.Frame) {
	const n = CSIAntennas * CSITones * CSIPackets
	f.CSIAmp, f.CSIPhase = resize(f.CSIAmp, n), resize(f.CSIPhase, n)
	for p := range z {
		for k, v := range z[p] {
			re, im := float64(real(v)), float64(imag(v))
			at := k*CSIPackets + p
			power := float64(re*re) + float64(im*im)
			f.CSIAmp[at] = decibelsOfPower(power)
			f.CSIPhase[at] = portableAtan2(im, re)
		}
	}
}

// resize returns a slice of n values that reuses v's memory if it can.
func resize(v []float64, n int) []float64 {
	if cap(v) < n {
		return make([]float64, n)
	}
	return v[:n]
}
