package session

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Errors of messages that are not as the recorder writes them.
var errShape = errors.New("its values do not have the shape that it says")

// own is what a message of a sample has under the key "posefuse".
type own struct {
	Seq       uint64     `json:"seq"`
	DeviceNS  *int64     `json:"device_ns"`
	ReceiveNS int64      `json:"receive_ns"`
	CaptureNS int64      `json:"capture_ns"`
	Restarted bool       `json:"restarted"`
	Complete  float64    `json:"complete"`
	Score     []*float64 `json:"score"`
	Width     int        `json:"width"`
	Height    int        `json:"height"`
	Others    bool       `json:"others"`
}

// wire is a message of any of the sensors' channels.
type wire struct {
	Own *own `json:"posefuse"`

	Stride int    `json:"point_stride"`
	Data   []byte `json:"data"`

	Points []struct {
		Points []struct{ X, Y *float64 } `json:"points"`
	} `json:"points"`

	Antennas    int      `json:"antennas"`
	Subcarriers int      `json:"subcarriers"`
	Measured    int      `json:"measured"`
	RSSI        *float64 `json:"rssi_dbm"`
	H           []byte   `json:"h"`
}

// number returns what null stands for.
func number(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

// decodeSample reads a message of a sensor's channel. The sample is named after
// its modality.
func decodeSample(m modality.Kind, text []byte) (*sensors.Sample, error) {
	var w wire
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, err
	}
	if w.Own == nil {
		return nil, errors.New(`it has no key "posefuse": another program wrote it`)
	}
	s := &sensors.Sample{Sensor: m.String(), Modality: m, Seq: w.Own.Seq, ReceiveNS: w.Own.ReceiveNS, CaptureNS: w.Own.CaptureNS, Restarted: w.Own.Restarted}
	if w.Own.DeviceNS != nil {
		s.HasDevice, s.DeviceNS = true, *w.Own.DeviceNS
	}
	var err error
	switch m {
	case modality.Camera:
		s.Keypoints, err = w.keypoints()
	case modality.LiDAR:
		s.Cloud = &sensors.PointCloud{Complete: w.Own.Complete}
		s.Cloud.XYZ, err = w.floats(w.Data, 12)
	case modality.Radar:
		var v []float32
		v, err = w.floats(w.Data, 20)
		s.Radar = &sensors.RadarFrame{Points: make([]sensors.RadarPoint, 0, len(v)/5)}
		for ; len(v) > 0; v = v[5:] {
			s.Radar.Points = append(s.Radar.Points, sensors.RadarPoint{X: v[0], Y: v[1], Z: v[2], Doppler: v[3], SNRdB: v[4]})
		}
	case modality.CSI:
		s.CSI, err = w.csi()
	default:
		err = fmt.Errorf("unknown modality %d", m)
	}
	return s, err
}

// floats unpacks points of stride bytes each.
func (w *wire) floats(b []byte, stride int) ([]float32, error) {
	if w.Stride != stride || len(b)%stride != 0 {
		return nil, fmt.Errorf("points of %d bytes, %d bytes in all: %w", w.Stride, len(b), errShape)
	}
	return unpack(b), nil
}

func unpack(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

func (w *wire) keypoints() (*sensors.Keypoints, error) {
	k := &sensors.Keypoints{Width: w.Own.Width, Height: w.Own.Height, Others: w.Own.Others}
	if len(w.Points) != 1 || len(w.Points[0].Points) != len(k.XY) || len(w.Own.Score) != len(k.Score) {
		return nil, fmt.Errorf("not %d keypoints: %w", len(k.XY), errShape)
	}
	for j, p := range w.Points[0].Points {
		k.XY[j], k.Score[j] = [2]float64{number(p.X), number(p.Y)}, number(w.Own.Score[j])
	}
	return k, nil
}

func (w *wire) csi() (*sensors.CSIPacket, error) {
	n := w.Antennas * w.Subcarriers
	if w.Antennas < 0 || w.Antennas > 1<<10 || w.Subcarriers < 0 || w.Subcarriers > 1<<20 || len(w.H) != 8*n {
		return nil, fmt.Errorf("%d antennas and %d subcarriers in %d bytes: %w", w.Antennas, w.Subcarriers, len(w.H), errShape)
	}
	c := &sensors.CSIPacket{Antennas: w.Antennas, Subcarriers: w.Subcarriers, Measured: w.Measured, RSSIdBm: number(w.RSSI), H: make([]complex64, n)}
	v := unpack(w.H)
	for i := range c.H {
		c.H[i] = complex(v[2*i], v[2*i+1])
	}
	return c, nil
}
