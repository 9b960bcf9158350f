package radar

import (
	"encoding/binary"
	"math"
	"slices"

	"posefuse/sensors"
)

func (f *frameStore) decodeOutOfBox(list []TLV, objects int) Reason {
	le := binary.LittleEndian
	var side []byte
	seenPoints, seenSide, tracking := false, false, false
	for _, t := range list {
		p := t.Payload
		if r, known := f.decodeTracking(t); known {
			if r != "" {
				return r
			}
			tracking = true
			continue
		}
		switch t.Type {
		case tlvPoints:
			if seenPoints {
				return UnsupportedLayout
			}
			seenPoints = true
			if r := f.decodePoints(p, objects); r != "" {
				return r
			}
		case tlvSideInfo:
			if len(p)%4 != 0 || seenSide {
				return UnsupportedLayout
			}
			side, seenSide = p, true
		case tlvStats:
			if len(p) != 24 {
				return UnsupportedLayout
			}
			f.stats = Stats{
				InterFrameProcessingUS: le.Uint32(p), TransmitUS: le.Uint32(p[4:]),
				FrameMarginUS: le.Uint32(p[8:]), ChirpMarginUS: le.Uint32(p[12:]),
				ActiveCPUPercent: le.Uint32(p[16:]), InterFrameCPUPercent: le.Uint32(p[20:]),
			}
			f.Stats = &f.stats
		case tlvTemperature:
			if len(p) != 28 {
				return UnsupportedLayout
			}
			f.temperature = Temperature{Report: int32(le.Uint32(p)), TimeMS: le.Uint32(p[4:])}
			for i := range f.temperature.Celsius {
				f.temperature.Celsius[i] = int16(le.Uint16(p[8+2*i:]))
			}
			f.Temperature = &f.temperature
		default:
			f.keep(t)
		}
	}
	// People tracking has no TLV 1, and its header counts what its firmware likes.
	if len(f.Points) != objects && (seenPoints || !tracking) {
		return PointCount
	}
	if seenSide {
		if len(side) != 4*len(f.Points) {
			return PointCount
		}
		for i := range f.Points {
			f.Points[i].SNRdB = float32(int16(le.Uint16(side[4*i:]))) / 10
			f.Points[i].NoiseDB = float32(int16(le.Uint16(side[4*i+2:]))) / 10
		}
	}
	return ""
}

// decodePoints tells the two forms of TLV 1 apart by length and point count;
// with one point both are 16 bytes and the SDK version decides.
func (f *frameStore) decodePoints(p []byte, objects int) Reason {
	le := binary.LittleEndian
	if len(p) == 0 {
		return "" // "nobody there"
	}
	if objects > MaxFrameLen {
		return PointCount
	}
	isNew, isOld := len(p) == 16*objects, len(p) == 4+12*objects
	switch {
	case isNew && isOld:
		isNew = f.Version>>24 >= 3
	case !isNew && !isOld:
		if len(p)%16 != 0 && len(p)%12 != 4 {
			return UnsupportedLayout
		}
		return PointCount
	}
	pts := slices.Grow(f.Points[:0], objects)[:objects]
	if isNew {
		for i := range pts {
			q := p[16*i:]
			pts[i] = Point{X: f32(q), Y: f32(q[4:]), Z: f32(q[8:]), Doppler: f32(q[12:])}
			if !sensors.Finite(pts[i].X, pts[i].Y, pts[i].Z, pts[i].Doppler) {
				return BadValue
			}
		}
		f.Points = pts
		return ""
	}
	if int(le.Uint16(p)) != objects {
		return PointCount
	}
	q := le.Uint16(p[2:])
	if q > 15 {
		return UnsupportedLayout
	}
	scale := float32(1) / float32(int(1)<<q)
	for i := range pts {
		o := p[4+12*i:]
		pts[i] = Point{
			RangeIndex: le.Uint16(o), DopplerIndex: int16(le.Uint16(o[2:])), Peak: le.Uint16(o[4:]),
			X: float32(int16(le.Uint16(o[6:]))) * scale,
			Y: float32(int16(le.Uint16(o[8:]))) * scale,
			Z: float32(int16(le.Uint16(o[10:]))) * scale,
		}
	}
	f.Points = pts
	return ""
}

func (f *frameStore) decodePeople(list []TLV, planar bool) Reason {
	for _, t := range list {
		p := t.Payload
		var r Reason
		switch t.Type {
		case tlvPeoplePoints:
			if planar {
				r = f.decodePlanarPoints(p)
			} else {
				r = f.decodeSphericalPoints(p)
			}
		case tlvPeopleTargets:
			r = f.decodeTargets(p, planar)
		case tlvPeopleIndex:
			f.TargetIndex = append(f.TargetIndex[:0], p...)
		case tlvPeoplePresent:
			r = f.decodePresence(p)
		default:
			f.keep(t)
		}
		if r != "" {
			return r
		}
	}
	return ""
}

// decodeSphericalPoints reads TLV 6 of 3D People Counting: five units, then 8
// bytes a point.
func (f *frameStore) decodeSphericalPoints(p []byte) Reason {
	le := binary.LittleEndian
	if len(p) < 20 || (len(p)-20)%8 != 0 {
		return UnsupportedLayout
	}
	uEl, uAz, uDop, uRange, uSNR := f32(p), f32(p[4:]), f32(p[8:]), f32(p[12:]), f32(p[16:])
	for o := p[20:]; len(o) >= 8; o = o[8:] {
		s := SphericalPoint{
			ElevationRad: float32(int8(o[0])) * uEl,
			AzimuthRad:   float32(int8(o[1])) * uAz,
			DopplerMPS:   float32(int16(le.Uint16(o[2:]))) * uDop,
			RangeM:       float32(le.Uint16(o[4:])) * uRange,
			SNR:          float32(le.Uint16(o[6:])) * uSNR,
		}
		if r := f.addSpherical(s); r != "" {
			return r
		}
	}
	return ""
}

// decodePlanarPoints reads TLV 6 of the 2D demos: four units, then 6 bytes a
// point, no elevation.
func (f *frameStore) decodePlanarPoints(p []byte) Reason {
	le := binary.LittleEndian
	if len(p) < 16 || (len(p)-16)%6 != 0 {
		return UnsupportedLayout
	}
	uAz, uDop, uRange, uSNR := f32(p), f32(p[4:]), f32(p[8:]), f32(p[12:])
	for o := p[16:]; len(o) >= 6; o = o[6:] {
		s := SphericalPoint{
			AzimuthRad: float32(int8(o[0])) * uAz,
			DopplerMPS: float32(int8(o[1])) * uDop,
			RangeM:     float32(le.Uint16(o[2:])) * uRange,
			SNR:        float32(le.Uint16(o[4:])) * uSNR,
		}
		if r := f.addSpherical(s); r != "" {
			return r
		}
	}
	return ""
}

func (f *frameStore) addSpherical(s SphericalPoint) Reason {
	if !sensors.Finite(s.RangeM, s.AzimuthRad, s.ElevationRad, s.DopplerMPS, s.SNR) {
		return BadValue
	}
	sinEl, cosEl := math.Sincos(float64(s.ElevationRad))
	sinAz, cosAz := math.Sincos(float64(s.AzimuthRad))
	r := float64(s.RangeM)
	f.Spherical = append(f.Spherical, s)
	f.Points = append(f.Points, Point{
		X: float32(r * cosEl * sinAz), Y: float32(r * cosEl * cosAz), Z: float32(r * sinEl),
		Doppler: s.DopplerMPS, SNRdB: ratioDB(s.SNR),
	})
	return ""
}

// ratioDB returns a ratio of powers in dB; what is below the noise counts as
// equal to it. The SNR of people counting is such a ratio: in a capture of SDK
// 3.5 the least of 15,552 values is 5.00, the threshold that dynamicRACfarCfg of
// the matching .cfg sets over the noise, and the largest 650.
func ratioDB(ratio float32) float32 {
	return float32(10 * math.Log10(max(float64(ratio), 1)))
}

func (f *frameStore) decodeTargets(p []byte, planar bool) Reason {
	size, axes, cov := 112, 3, 16
	if planar {
		size, axes, cov = 68, 2, 9
	}
	if len(p)%size != 0 {
		return UnsupportedLayout
	}
	for ; len(p) >= size; p = p[size:] {
		t := f.nextTarget(cov)
		t.ID = binary.LittleEndian.Uint32(p)
		o := p[4:]
		for _, v := range []*[3]float32{&t.Pos, &t.Vel, &t.Acc} {
			for i := range axes {
				v[i], o = f32(o), o[4:]
			}
		}
		for i := range t.Covariance {
			t.Covariance[i], o = f32(o), o[4:]
		}
		t.Gain = f32(o)
		if !planar {
			t.Confidence = f32(o[4:])
		}
		if !sensors.Finite(t.Pos[:]...) || !sensors.Finite(t.Vel[:]...) || !sensors.Finite(t.Acc[:]...) {
			return BadValue
		}
	}
	return ""
}

// decodeTracking reads a TLV of 3D People Tracking; known is false for others.
func (f *frameStore) decodeTracking(t TLV) (r Reason, known bool) {
	p, le := t.Payload, binary.LittleEndian
	switch t.Type {
	case tlvTrackPoints:
		return f.decodeSphericalPoints(p), true
	case tlvTrackTargets:
		return f.decodeTargets(p, false), true
	case tlvTrackIndex:
		f.TargetIndex = append(f.TargetIndex[:0], p...)
		return "", true
	case tlvTrackPresent:
		return f.decodePresence(p), true
	case tlvTrackSpherical:
		if len(p)%16 != 0 {
			return UnsupportedLayout, true
		}
		for ; len(p) >= 16; p = p[16:] {
			s := SphericalPoint{RangeM: f32(p), AzimuthRad: f32(p[4:]), ElevationRad: f32(p[8:]), DopplerMPS: f32(p[12:])}
			if r := f.addSpherical(s); r != "" {
				return r, true
			}
		}
		return "", true
	case tlvTrackHeights:
		if len(p)%12 != 0 {
			return UnsupportedLayout, true
		}
		for ; len(p) >= 12; p = p[12:] {
			h := Height{ID: le.Uint32(p), MaxZ: f32(p[4:]), MinZ: f32(p[8:])}
			if !sensors.Finite(h.MaxZ, h.MinZ) {
				return BadValue, true
			}
			f.Heights = append(f.Heights, h)
		}
		return "", true
	}
	return "", false
}

func (f *frameStore) decodePresence(p []byte) Reason {
	if len(p) != 4 {
		return UnsupportedLayout
	}
	f.presence = binary.LittleEndian.Uint32(p)
	f.Presence = &f.presence
	return ""
}

func f32(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
