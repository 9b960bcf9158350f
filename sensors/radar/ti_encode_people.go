package radar

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Units in which the demos for people compress their points.
const (
	unitAngleRad   = 0.01
	unitDopplerMPS = 0.00028 // 0.04 in the planar demos, whose Doppler is one byte
	unitPlanarMPS  = 0.04
	unitRangeM     = 0.00025
	unitSNR        = 0.04
)

// oldPointQ is how many bits of a coordinate of SDK 2.x are its fraction.
const oldPointQ = 8

// AppendFrameAs appends f to dst in the form of another demo than AppendFrame:
// Layout36 is the out-of-box demo of SDK 2.x, Layout40 3D People Tracking,
// Layout48 3D and Layout52 2D People Counting. The demos for people carry
// Spherical and Targets, the other one Points. It fails on values that the
// demo's units cannot hold.
func AppendFrameAs(dst []byte, l Layout, f *Frame) ([]byte, error) {
	tlvs, err := f.appendTLVs(nil, l)
	if err != nil {
		return dst, fmt.Errorf("radar frame %d: %w", f.FrameNumber, err)
	}
	header := l.HeaderLen()
	n, body := 0, 0
	for _, t := range tlvs {
		n++
		body += 8 + len(t.Payload)
	}
	total := header + body
	if l == Layout36 {
		total = (total + 31) / 32 * 32
	}
	if header == 0 || total > MaxFrameLen {
		return dst, fmt.Errorf("radar frame %d: %d bytes in layout %s, at most %d", f.FrameNumber, total, l, MaxFrameLen)
	}
	start := len(dst)
	dst = append(dst, make([]byte, header)...)
	f.putHeader(dst[start:], l, total, n)
	for _, t := range tlvs {
		length := len(t.Payload)
		if !l.outOfBox() {
			length += 8
		}
		dst = binary.LittleEndian.AppendUint32(dst, t.Type)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(length))
		dst = append(dst, t.Payload...)
	}
	return append(dst, make([]byte, total-(len(dst)-start))...), nil
}

func (f *Frame) putHeader(h []byte, l Layout, total, tlvs int) {
	le := binary.LittleEndian
	put := func(offset int, v uint32) { le.PutUint32(h[offset:], v) }
	copy(h, magic)
	put(8, f.Version)
	switch l {
	case Layout36, Layout40:
		for i, v := range []uint32{uint32(total), f.Platform, f.FrameNumber, f.CPUCycles, uint32(max(len(f.Points), len(f.Spherical))), uint32(tlvs)} {
			put(12+4*i, v)
		}
		if l == Layout40 {
			put(36, f.Subframe)
		}
		return
	case Layout48:
		put(12, uint32(total))
		put(16, f.Platform)
		put(20, f.FrameNumber)
		put(24, f.Subframe)
	case Layout52:
		put(12, f.Platform)
		put(20, uint32(total))
		put(24, f.FrameNumber)
		put(28, f.Subframe)
	case LayoutAuto:
		return
	}
	le.PutUint16(h[l.HeaderLen()-4:], uint16(tlvs))
	var sum uint32
	for i := 0; i < len(h); i += 2 {
		sum += uint32(le.Uint16(h[i:]))
	}
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	le.PutUint16(h[l.HeaderLen()-2:], uint16(0xFFFF-sum))
}

func (f *Frame) appendTLVs(list []TLV, l Layout) ([]TLV, error) {
	points, targets, index := uint32(tlvPeoplePoints), uint32(tlvPeopleTargets), uint32(tlvPeopleIndex)
	switch l {
	case Layout36:
		p, err := f.oldPoints()
		return append(list, TLV{tlvPoints, p}), err
	case Layout40:
		points, targets, index = tlvTrackPoints, tlvTrackTargets, tlvTrackIndex
	case Layout48, Layout52:
	case LayoutAuto:
		return list, fmt.Errorf("layout %s has no form", l)
	}
	p, err := f.compressed(l == Layout52)
	if err != nil {
		return list, err
	}
	list = append(list, TLV{points, p})
	if len(f.Targets) > 0 {
		list = append(list, TLV{targets, f.targetBytes(l == Layout52)})
	}
	if len(f.TargetIndex) > 0 {
		list = append(list, TLV{index, f.TargetIndex})
	}
	return list, nil
}

func (f *Frame) oldPoints() ([]byte, error) {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, uint16(len(f.Points)))
	b = le.AppendUint16(b, oldPointQ)
	for i, p := range f.Points {
		b = le.AppendUint16(b, p.RangeIndex)
		b = le.AppendUint16(b, uint16(p.DopplerIndex))
		b = le.AppendUint16(b, p.Peak)
		for _, v := range [3]float32{p.X, p.Y, p.Z} {
			q, ok := scaled(v, 1.0/(1<<oldPointQ), math.MinInt16, math.MaxInt16)
			if !ok {
				return nil, fmt.Errorf("point %d at %g m does not fit", i, v)
			}
			b = le.AppendUint16(b, uint16(q))
		}
	}
	return b, nil
}

// compressed returns the points in the units of the demos for people.
func (f *Frame) compressed(planar bool) ([]byte, error) {
	le := binary.LittleEndian
	units := []float32{unitAngleRad, unitAngleRad, unitDopplerMPS, unitRangeM, unitSNR}
	if planar {
		units = []float32{unitAngleRad, unitPlanarMPS, unitRangeM, unitSNR}
	}
	var b []byte
	for _, u := range units {
		b = le.AppendUint32(b, math.Float32bits(u))
	}
	for i, s := range f.Spherical {
		el, ok1 := scaled(s.ElevationRad, unitAngleRad, math.MinInt8, math.MaxInt8)
		az, ok2 := scaled(s.AzimuthRad, unitAngleRad, math.MinInt8, math.MaxInt8)
		r, ok3 := scaled(s.RangeM, unitRangeM, 0, math.MaxUint16)
		snr, ok4 := scaled(s.SNR, unitSNR, 0, math.MaxUint16)
		var v int64
		var ok5 bool
		if planar {
			v, ok5 = scaled(s.DopplerMPS, unitPlanarMPS, math.MinInt8, math.MaxInt8)
			b = append(b, byte(az), byte(v))
		} else {
			v, ok5 = scaled(s.DopplerMPS, unitDopplerMPS, math.MinInt16, math.MaxInt16)
			b = append(b, byte(el), byte(az))
			b = le.AppendUint16(b, uint16(v))
		}
		b = le.AppendUint16(b, uint16(r))
		b = le.AppendUint16(b, uint16(snr))
		if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
			return nil, fmt.Errorf("point %d does not fit the demo's units: %+v", i, s)
		}
	}
	return b, nil
}

// scaled returns v in units, rounded, and whether it is within limits.
func scaled(v float32, unit, low, high float64) (int64, bool) {
	q := math.Round(float64(v) / unit)
	if !(q >= low && q <= high) {
		return 0, false
	}
	return int64(q), true
}

func (f *Frame) targetBytes(planar bool) (b []byte) {
	le := binary.LittleEndian
	axes, cov := 3, 16
	if planar {
		axes, cov = 2, 9
	}
	for i := range f.Targets {
		t := &f.Targets[i]
		b = le.AppendUint32(b, t.ID)
		values := make([]float32, 0, 28)
		for _, v := range [3][3]float32{t.Pos, t.Vel, t.Acc} {
			values = append(values, v[:axes]...)
		}
		for k := range cov {
			if k < len(t.Covariance) {
				values = append(values, t.Covariance[k])
				continue
			}
			values = append(values, 0)
		}
		values = append(values, t.Gain)
		if !planar {
			values = append(values, t.Confidence)
		}
		for _, v := range values {
			b = le.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b
}
