// Package radar drives Texas Instruments mmWave radars: a pure decoder and
// encoder of the frames on the data port, the dialogue of the command port,
// and a Source that joins both over two serial ports.
//
// Decoder and encoder do no I/O and read no clock. Layouts follow TI's demos
// and were checked on recorded streams (sensors.md section 4).
package radar

import "posefuse/sensors"

// Layout is the shape of a frame header. The magic word does not tell it.
type Layout uint8

// The header layouts of TI's demos, named by their length in bytes.
const (
	LayoutAuto Layout = iota // find out from three frames in a row
	Layout36                 // out-of-box demo on xWR14xx, SDK 2.x and older
	Layout40                 // out-of-box demo on other devices, 3D People Tracking
	Layout48                 // 3D People Counting, SDK 3.2 to 3.5, with checksum
	Layout52                 // 2D People Counting, Sense-and-Direct, with checksum
)

// HeaderLen returns the number of header bytes, 0 for LayoutAuto.
func (l Layout) HeaderLen() int {
	switch l {
	case LayoutAuto:
		return 0
	case Layout36:
		return 36
	case Layout40:
		return 40
	case Layout48:
		return 48
	case Layout52:
		return 52
	}
	return 0
}

// String returns the layout's name as used in configuration.
func (l Layout) String() string {
	switch l {
	case LayoutAuto:
		return "auto"
	case Layout36:
		return "oob36"
	case Layout40:
		return "oob40"
	case Layout48:
		return "people48"
	case Layout52:
		return "people52"
	}
	return "unknown"
}

// outOfBox says whether TLV lengths leave out their own header and frames are
// padded; people counting does neither.
func (l Layout) outOfBox() bool { return l == Layout36 || l == Layout40 }

// Limits of a frame. Anything beyond is a broken stream.
const (
	MaxFrameLen = 64 << 10 // bytes, header included
	MaxTLVs     = 32
)

// The type numbers of the TLVs this package decodes. Numbers are per firmware.
const (
	tlvPoints      = 1 // out-of-box
	tlvStats       = 6
	tlvSideInfo    = 7
	tlvTemperature = 9

	tlvPeoplePoints  = 6 // people counting
	tlvPeopleTargets = 7
	tlvPeopleIndex   = 8
	tlvPeoplePresent = 11

	tlvTrackSpherical = 1000 // people tracking
	tlvTrackTargets   = 1010
	tlvTrackIndex     = 1011
	tlvTrackHeights   = 1012
	tlvTrackPoints    = 1020
	tlvTrackPresent   = 1021
)

// Frame is one decoded frame of the data port.
type Frame struct {
	Layout      Layout
	Version     uint32 // major<<24 | minor<<16 | bugfix<<8 | build
	Platform    uint32 // e.g. 0x000A6843, as the firmware's author compiled it in
	FrameNumber uint32
	Subframe    uint32
	CPUCycles   uint32 // out-of-box layouts only; wraps
	HasCycles   bool

	Points      []Point
	Spherical   []SphericalPoint // people counting and tracking, same order as Points
	Targets     []Target         // people counting and tracking
	TargetIndex []uint8          // per point of the previous frame; 253..255 mean none
	Heights     []Height         // people tracking only
	Presence    *uint32          // people counting and tracking; nil if not sent
	Stats       *Stats           // nil if not sent
	Temperature *Temperature     // nil if not sent
	Other       []TLV            // TLVs passed through undecoded

	Bytes   int   // length on the wire, padding included
	MagicNS int64 // the caller's time when the last magic byte came
}

// Point is one detection in TI's axes: x right, y along boresight, z up.
type Point struct {
	X, Y, Z float32 // metres
	Doppler float32 // m/s, positive away from the radar
	SNRdB   float32 // 0 if not sent
	NoiseDB float32 // 0 if not sent

	// The old out-of-box layout (SDK 2.x) has no velocity, only bin numbers.
	RangeIndex   uint16
	DopplerIndex int16
	Peak         uint16
}

// Sensor returns the point in the axes of package sensors: x forward, y left,
// z up.
func (p Point) Sensor() sensors.RadarPoint {
	return sensors.RadarPoint{X: p.Y, Y: -p.X, Z: p.Z, Doppler: p.Doppler, SNRdB: p.SNRdB}
}

// PointFromSensor is the inverse of Point.Sensor.
func PointFromSensor(s sensors.RadarPoint) Point {
	return Point{X: -s.Y, Y: s.X, Z: s.Z, Doppler: s.Doppler, SNRdB: s.SNRdB}
}

// SphericalPoint is a detection as people counting sends it.
type SphericalPoint struct {
	RangeM       float32
	AzimuthRad   float32 // positive to the right
	ElevationRad float32 // positive up
	DopplerMPS   float32
	SNR          float32 // power of the signal over that of the noise, not dB
}

// Target is one tracked person of people counting, TI's axes. The 2D demos
// leave z at 0.
type Target struct {
	ID         uint32
	Pos        [3]float32 // metres
	Vel        [3]float32 // m/s
	Acc        [3]float32 // m/s^2
	Covariance []float32  // 16 values in 3D, 9 in 2D
	Gain       float32    // gating gain
	Confidence float32    // 0..1; 0 in 2D, which does not send it
}

// Height is how high a tracked person reaches, TI's axes.
type Height struct {
	ID         uint32  // of the target
	MaxZ, MinZ float32 // metres
}

// Stats is the timing report of the out-of-box demo.
type Stats struct {
	InterFrameProcessingUS, TransmitUS, FrameMarginUS, ChirpMarginUS uint32
	ActiveCPUPercent, InterFrameCPUPercent                           uint32
}

// Temperature is the chip temperature report of the out-of-box demo.
type Temperature struct {
	Report  int32 // 0: the values are valid
	TimeMS  uint32
	Celsius [10]int16 // rx0..3, tx0..2, pm, dig0, dig1
}

// TLV is a block passed through undecoded.
type TLV struct {
	Type    uint32
	Payload []byte
}

// Reason says why a frame was rejected; its text is the counter's name.
type Reason string

// The reasons of the decoder.
const (
	BadLength         Reason = "bad_length"         // declared length impossible
	CutFrame          Reason = "cut_frame"          // the next magic came before the declared end
	BadChecksum       Reason = "bad_checksum"       // header checksum wrong
	BadTLV            Reason = "bad_tlv"            // TLV count or a TLV's length impossible
	UnsupportedLayout Reason = "unsupported_layout" // TLVs fit, but do not mean what this firmware's should
	PointCount        Reason = "point_count"        // points differ from the header's count
	BadValue          Reason = "bad_value"          // NaN or infinity in a point
)
