package sim

import "math"

const (
	radarMaxNormalRad = 63 * math.Pi / 180 // surface normals seen by the radar
	radarAngleGrid    = 1.0 / 32           // of the sine
	radarCentreS      = -0.025             // middle of the chirps, before the frame instant
	radarVelocityStep = 0.005              // half step of the finite difference, seconds
	radarAzimuthBins  = 3
	maxRadarPoints    = 256
)

// radarPartDB corrects the strength of body parts so that their shares of the
// detected points come near those of real recordings (MARS): legs give far
// fewer points than their surface suggests, the head more.
var radarPartDB = [NumCapsules]float64{
	capAbdomen: 1, capChest: 1, capShoulders: 1, capHead: 7, capHandL: 4, capHandR: 4,
	capThighL: -6, capThighR: -6, capShankL: -11, capShankR: -11, capFootL: -14, capFootR: -14,
}

// radarDetection is one detected point before it is written out.
type radarDetection struct {
	key           uint64 // range, Doppler and azimuth cell
	rangeM, snrDB float64
	sinAz, sinEl  float64 // positive left, up
	dopplerMPS    float64
}

// radarScatterers collects the detections of one frame.
type radarScatterers struct {
	dets []radarDetection
}

// radar appends the detections of frame i to out, rows of x, y, z (metres,
// sensor frame: x forward, y left, z up), Doppler (m/s, positive away), SNR
// (dB). Values fit the sensor's wire format: 32-bit floats, SNR in 0.1 dB.
func (c *Clip) radar(i int, sc *scratch, out []float64) []float64 {
	if c.degraded.missing(radar, frameTime(i)) {
		return out
	}
	frame, shiftS := c.clock(radar, i)
	if c.radarEmpty(frame) {
		return out
	}
	spec := &c.preset.Radar
	tS := frameTime(frame) + radarCentreS + shiftS
	s := c.stream("radar", frame)
	pose := c.place.radar.pose(c.extrinsics.RadarShiftM, c.degraded.shockRad(radar, tS))
	gainDB := float64(spec.FrameGainDB * s.Norm())
	if sev := c.degraded.severity(RadarInterference, tS); sev > 0 {
		burst := c.stream("radar-interference", int(math.Floor(tS)))
		if burst.Float64() < 0.5 {
			gainDB -= bySeverity(sev, 3, 6, 10)
		}
	}
	occluder := c.occluderAt(tS)

	n := c.placeMovingBodies(tS, sc)
	sc.radar.dets = sc.radar.dets[:0]
	for b := range n {
		c.scatter(&sc.bodies[b], &pose, gainDB, occluder, &s, &sc.radar)
	}
	real := len(sc.radar.dets)
	if sev := c.degraded.severity(RadarClutter, tS); sev > 0 {
		clutter := c.stream("radar-clutter", 0)
		at := Vec{2 + float64(2.5*clutter.Float64()), float64(3*clutter.Float64()) - 1.5, float64(1.2*clutter.Float64()) - 0.5}
		for range int(bySeverity(sev, 5, 15, 30)) {
			p := vecAdd(at, Vec{float64(.1 * s.Norm()), float64(.1 * s.Norm()), float64(.1 * s.Norm())})
			sc.radar.addFree(p, float64(1.5*s.Norm()), spec.ThresholdDB+float64(6*s.Exp()))
		}
	}
	for range s.Poisson(spec.GhostShare * float64(real)) {
		p := Vec{1 + float64(4.5*s.Float64()), float64(.9 * s.Norm()), float64(.6 * s.Norm())}
		doppler := float64(math.Round(s.Norm()) * spec.DopplerBinMPS)
		sc.radar.addFree(p, doppler, spec.ThresholdDB+float64(4*s.Exp()))
	}
	c.staticClutter(frame, &sc.radar)

	return sc.radar.appendRows(out)
}

// appendRows appends what was detected to out as recordings hold it.
func (r *radarScatterers) appendRows(out []float64) []float64 {
	for k := range r.dets {
		if k == maxRadarPoints {
			break
		}
		d := &r.dets[k]
		y, z := float64(d.rangeM*d.sinAz), float64(d.rangeM*d.sinEl)
		x2 := float64(d.rangeM*d.rangeM) - float64(y*y) - float64(z*z)
		if x2 <= 0 {
			continue // an angle the sensor cannot report
		}
		out = append(out,
			float64(float32(math.Sqrt(x2))), float64(float32(y)), float64(float32(z)),
			float64(float32(d.dopplerMPS)), math.Round(d.snrDB*10)/10)
	}
	return out
}

// addFree adds a detection at a point of the sensor's frame.
func (r *radarScatterers) addFree(p Vec, dopplerMPS, snrDB float64) {
	rangeM := vecLength(p)
	r.dets = append(r.dets, radarDetection{
		key: math.MaxUint64, rangeM: rangeM, snrDB: snrDB, dopplerMPS: dopplerMPS,
		sinAz: p[1] / rangeM, sinEl: p[2] / rangeM,
	})
}

// scatter draws surface points of a body and adds those that are detected.
func (c *Clip) scatter(body *Body, pose *sensorPose, gainDB float64, occluder *box, s *Stream, out *radarScatterers) {
	spec, clutterDB := &c.preset.Radar, c.preset.Radar.ClutterDB
	if c.place.reflectors != nil {
		clutterDB = 0 // removal is off
	}
	var cumulative [NumCapsules]float64
	total := 0.0
	for k := range body.Capsules {
		cp := &body.Capsules[k]
		total += float64(vecLength(vecSub(cp.B, cp.A)) * cp.RadiusM)
		cumulative[k] = total
	}
	for range spec.Scatterers {
		pick, k := float64(total*s.Float64()), 0
		for k < NumCapsules-1 && cumulative[k] < pick {
			k++
		}
		cp := &body.Capsules[k]
		u := s.Float64()
		beta := float64(radarMaxNormalRad * (float64(2*s.Float64()) - 1))
		fluctuation := s.Exp()
		accept := s.Float64()
		p, normal, velocity := cp.SurfacePoint(pose.at, u, beta)

		q := pose.fromRoom(p)
		r := vecLength(q)
		los := vecScale(q, 1/r)
		v := vecDot(pose.dirFromRoom(velocity), los)
		cosInc := -vecDot(pose.dirFromRoom(normal), los)
		if cosInc <= 0 || q[0] <= 0 || fluctuation <= 0 {
			continue
		}
		azDeg := portableAtan2(los[1], los[0]) * 180 / math.Pi
		elDeg := portableAsin(los[2]) * 180 / math.Pi
		power := cosInc * math.Sqrt(cosInc) * (cp.RadiusM / 0.08) * fluctuation
		r3 := r / 3
		r3 *= r3
		snr := spec.SNRdB + gainDB + radarPartDB[k] + decibelsOfPower(power/(r3*r3)) -
			float64(12*(elDeg/40)*(elDeg/40)) - float64(12*(azDeg/70)*(azDeg/70)) -
			float64(clutterDB*portableExp(-(v/0.06)*(v/0.06)))
		if occluder != nil && occluder.hides(pose.at, p) {
			snr -= 10
		}
		if accept*(1+portableExp(-(snr-spec.ThresholdDB)/1.5)) >= 1 {
			continue
		}

		bins := v/spec.DopplerBinMPS + float64(spec.DopplerSpread*s.Norm())
		cell := radarCell(math.Round(r/spec.RangeBinM), math.Round(bins), azDeg)
		doppler := math.Round(bins + float64(spec.DopplerNoise*s.Norm()))
		rangeBin := math.Round(r / spec.RangeBinM)
		root := fromDecibels(-(snr - spec.ThresholdDB) / 2) // 1/sqrt of the amplitude ratio s
		sinAz := los[1] + float64(spec.AzimuthNoise*root*s.Norm())
		sinEl := los[2] + float64(spec.ElevationNoise*root*s.Norm())
		out.keepStrongest(radarDetection{
			key:    cell,
			rangeM: rangeBin * spec.RangeBinM, snrDB: snr,
			sinAz:      math.Round(sinAz/radarAngleGrid) * radarAngleGrid,
			sinEl:      math.Round(sinEl/radarAngleGrid) * radarAngleGrid,
			dopplerMPS: doppler * spec.DopplerBinMPS,
		})
	}
}

// radarCell names the cell within which the sensor tells no two points apart:
// range bin, Doppler bin, and one of three azimuth bins of 15 degrees.
func radarCell(rangeBin, doppler, azDeg float64) uint64 {
	az := min(max(math.Round(azDeg/15), -1), radarAzimuthBins-2) + 1
	return uint64(int64(rangeBin)&0xffff)<<32 | uint64(int64(doppler)&0xffff)<<8 | uint64(az)
}

// keepStrongest adds d, or replaces the weaker one of the same cell.
func (r *radarScatterers) keepStrongest(d radarDetection) {
	for k := range r.dets {
		if r.dets[k].key == d.key {
			if d.snrDB > r.dets[k].snrDB {
				r.dets[k] = d
			}
			return
		}
	}
	r.dets = append(r.dets, d)
}

// emptyBlock is the number of frames after which the chain of empty frames
// starts anew, so that any frame's state can be found without all before it.
const emptyBlock = 300

// radarEmpty reports whether the sensor detects nothing in a frame: a two-state
// chain with runs of mean length EmptyRunFrames.
func (c *Clip) radarEmpty(frame int) bool {
	p := c.emptyShare
	if p <= 0 {
		return false
	}
	leave := 1 / c.preset.Radar.EmptyRunFrames
	enter := min(p/max(1-p, 1e-9)*leave, 1)
	s := c.stream("radar-empty", frame/emptyBlock)
	empty := s.Float64() < p
	for range frame % emptyBlock {
		u := s.Float64()
		if empty {
			empty = u >= leave
		} else {
			empty = u < enter
		}
	}
	return empty
}
