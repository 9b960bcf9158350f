package pipeline

import (
	"math"
	"testing"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/person"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// TestStageFollowsTheModel: a model of another arrangement gets the person where
// that has people, at once, in whatever room.
func TestStageFollowsTheModel(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Extrinsics.RoomFromCamera = &frame.CameraPose{PositionM: [3]float64{0, 0, 1.25}}
	cfg.Extrinsics.RoomFromLiDAR = &frame.SensorPose{PositionM: [3]float64{0, 0, 1.4}}
	cfg.Extrinsics.RoomFromRadar = &frame.SensorPose{PositionM: [3]float64{0, 0, 1.2}}
	s := cfg.personStage(frame.Simulated)
	// A body of 0.4 m x 0.3 m x 1.7 m that stands 4 m away and sways.
	sweep := func(i int) *sensors.Sample {
		var xyz []float32
		sway := 0.1 * math.Sin(float64(i)/3)
		for z := 0.1; z < 1.7; z += 0.05 {
			for a := 0.0; a < 2*math.Pi; a += 0.3 {
				xyz = append(xyz, float32(4+0.15*math.Cos(a)), float32(sway+0.2*math.Sin(a)), float32(z-1.4))
			}
		}
		return &sensors.Sample{CaptureNS: int64(i) * 100e6, Cloud: &sensors.PointCloud{XYZ: xyz}}
	}
	buf := make([]float32, 384*model.LiDARPointDim)
	seen := func(i int) (ahead, up float64) {
		s.LiDAR(buf, sweep(i))
		s.End(modality.Of(modality.LiDAR))
		for k := 0; k+2 < len(buf); k += 3 {
			ahead += float64(buf[k])
			up = max(up, float64(buf[k+2]))
		}
		return ahead / float64(len(buf)/3), up
	}
	var ahead, up float64
	for i := 1; i <= 20; i++ {
		ahead, up = seen(i)
	}
	if math.Abs(ahead-frame.Simulated.DistanceM) > 0.1 || math.Abs(up-(1.7-0.95)) > 0.1 {
		t.Errorf("in the simulator's arrangement %.2f m ahead, top %.2f m above the LiDAR", ahead, up)
	}
	near := frame.Simulated
	near.DistanceM, near.LiDARHeightM = 2, 0.5
	s.arrange(near)
	if ahead, up = seen(21); math.Abs(ahead-2) > 0.1 || math.Abs(up-(1.7-0.5)) > 0.1 {
		t.Errorf("in another arrangement %.2f m ahead, top %.2f m above the LiDAR", ahead, up)
	}
	if s.TakeSearched()[person.Person] == 0 {
		t.Error("nobody was found")
	}
}
