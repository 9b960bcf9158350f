package radar

import (
	"encoding/binary"
	"fmt"
	"math"

	"posefuse/sensors"
)

// Version and platform written by fakes: SDK 3.6 on an IWR6843.
const (
	VersionSDK36    = 3<<24 | 6<<16
	PlatformIWR6843 = 0x000A6843
)

// AppendFrame appends f to dst as the out-of-box demo of SDK 3.x sends it: a
// 40-byte header, TLV 1 (points), TLV 7 (SNR and noise in 0.1 dB, rounded) and
// zero padding to a multiple of 32 bytes. Without points TLV 1 is empty and
// TLV 7 is left out, as real firmware does. Version and Platform are used if
// not 0. Only header fields and Points are written.
func AppendFrame(dst []byte, f *Frame) ([]byte, error) {
	le := binary.LittleEndian
	n := len(f.Points)
	total := 40 + 8 + 16*n
	tlvs := uint32(1)
	if n > 0 {
		total += 8 + 4*n
		tlvs = 2
	}
	total = (total + 31) / 32 * 32
	if total > MaxFrameLen {
		return dst, fmt.Errorf("radar frame of %d points is longer than %d bytes", n, MaxFrameLen)
	}
	version, platform := f.Version, f.Platform
	if version == 0 {
		version = VersionSDK36
	}
	if platform == 0 {
		platform = PlatformIWR6843
	}
	start := len(dst)
	dst = append(dst, magic...)
	for _, v := range []uint32{version, uint32(total), platform, f.FrameNumber, f.CPUCycles, uint32(n), tlvs, f.Subframe} {
		dst = le.AppendUint32(dst, v)
	}
	dst = le.AppendUint32(dst, tlvPoints)
	dst = le.AppendUint32(dst, uint32(16*n))
	for i, p := range f.Points {
		if !sensors.Finite(p.X, p.Y, p.Z, p.Doppler, p.SNRdB, p.NoiseDB) {
			return dst[:start], fmt.Errorf("radar frame %d: point %d is not finite", f.FrameNumber, i)
		}
		for _, v := range []float32{p.X, p.Y, p.Z, p.Doppler} {
			dst = le.AppendUint32(dst, math.Float32bits(v))
		}
	}
	if n > 0 {
		dst = le.AppendUint32(dst, tlvSideInfo)
		dst = le.AppendUint32(dst, uint32(4*n))
		for _, p := range f.Points {
			dst = le.AppendUint16(dst, uint16(tenths(p.SNRdB)))
			dst = le.AppendUint16(dst, uint16(tenths(p.NoiseDB)))
		}
	}
	for len(dst)-start < total {
		dst = append(dst, 0)
	}
	return dst, nil
}

func tenths(dB float32) int16 {
	return int16(max(math.MinInt16, min(math.MaxInt16, math.Round(float64(dB)*10))))
}
