// Package sensors defines what a sensor driver hands to the rest of posefuse:
// samples, the Source interface every driver implements, and the supervision
// that keeps sources alive and counts what happens to every sample.
//
// The package knows nothing of the network bus, HTTP or the model.
package sensors

import (
	"posefuse/sensors/modality"
)

// Sample is one reading of one sensor. Exactly one of the payload pointers is
// set, the one that belongs to Modality. A sample is immutable once emitted.
type Sample struct {
	Sensor   string        // configured sensor name, e.g. "camera"
	Modality modality.Kind // decides which payload is set
	Seq      uint64        // sequence number: the sensor's own if it has one, else counted by the driver

	DeviceNS  int64 // device clock at capture, ns; valid if HasDevice
	HasDevice bool  // the sensor stamps its samples with a clock of its own
	ReceiveNS int64 // room clock at reception, ns (see package timesync)
	CaptureNS int64 // room clock at capture, ns; estimated by package timesync, 0 until then

	// Restarted is set on the first sample after the sensor's own clock or
	// counter started over; the clock model must not join it to the past.
	Restarted bool

	Keypoints *Keypoints
	Cloud     *PointCloud
	Radar     *RadarFrame
	CSI       *CSIPacket
}

// Keypoints is a set of 2D image keypoints of one person.
type Keypoints struct {
	XY            [17][2]float64 // pixels, x right, y down, COCO-17 order
	Score         [17]float64    // 0..1
	Width, Height int            // image size, pixels
	Others        bool           // somebody else is in the picture, too
}

// PointCloud is one LiDAR sweep in the sensor frame: x forward, y left, z up.
type PointCloud struct {
	XYZ      []float32 // n x 3, metres
	Complete float64   // share of the sweep's columns or packets that arrived, 0..1
}

// RadarFrame is one frame of detected radar points in the sensor frame:
// x forward, y left, z up. No points is valid data: nobody there.
type RadarFrame struct {
	Points []RadarPoint
}

// RadarPoint is one detection. Its five fields, in this order, are the five
// columns of an MM-Fi mmwave row.
type RadarPoint struct {
	X, Y, Z float32 // metres, sensor frame
	Doppler float32 // m/s, positive away from the radar
	SNRdB   float32 // dB
}

// CSIPacket is the channel state of one received WiFi packet.
type CSIPacket struct {
	Antennas    int         // receive antennas
	Subcarriers int         // tones per antenna
	H           []complex64 // Antennas x Subcarriers, row-major, device units
	// Measured is how many antennas, from the first on, were received. The rest
	// is what the receiver's setting antennas makes of them.
	Measured int
	RSSIdBm  float64 // 0 if unknown
}

// Finite reports whether every value is a number: neither NaN nor infinite.
func Finite[T float32 | float64](values ...T) bool {
	for _, v := range values {
		if v-v != 0 { // NaN for both
			return false
		}
	}
	return true
}
