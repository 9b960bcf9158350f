package session

import (
	"math/rand/v2"
	"testing"
	"time"

	"posefuse/recording/session/mcap"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// nowhere is a file that keeps nothing.
type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkLargeRoom is what a second of a room with a LiDAR of 128 beams and 131,072
// points a sweep costs: 10 sweeps, pictures' joints, radar frames and poses, 100 CSI
// packets; encoded, compressed, with checksums.
func BenchmarkLargeRoom(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	cloud := &sensors.PointCloud{Complete: 1, XYZ: make([]float32, 3*131072)}
	for i := range cloud.XYZ {
		cloud.XYZ[i] = float32(int(8000*rng.Float64())) / 1000 // a sensor's millimetres
	}
	h := make([]complex64, 342)
	for i := range h {
		h[i] = complex(float32(rng.IntN(256)), float32(rng.IntN(256)))
	}
	w, err := mcap.NewWriter(nowhere{}, profile, "")
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range channels {
		if _, err := w.AddChannel(0, c.topic, "", nil); err != nil {
			b.Fatal(err)
		}
	}
	e := encoder{anchorNS: time.Now().UnixNano()}
	write := func(kind modality.Kind, s *sensors.Sample) {
		s.Modality = kind
		if err := w.Write(&mcap.Message{ChannelID: uint16(kind + 1), Data: e.sample(s)}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		for i := range 100 {
			write(modality.CSI, &sensors.Sample{CSI: &sensors.CSIPacket{Antennas: 3, Subcarriers: 114, H: h}})
			if i%10 == 0 {
				write(modality.LiDAR, &sensors.Sample{Cloud: cloud})
				write(modality.Camera, &sensors.Sample{Keypoints: &sensors.Keypoints{}})
				write(modality.Radar, &sensors.Sample{Radar: &sensors.RadarFrame{Points: make([]sensors.RadarPoint, 100)}})
			}
		}
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(w.Offset())/float64(b.N)/1e6, "MB/op")
}
