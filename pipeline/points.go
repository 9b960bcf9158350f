package pipeline

import (
	"context"
	"math"

	"posefuse/frame"
	"posefuse/message"
	"posefuse/sensors"
)

// What becomes of the points of a cloud on their way to the network.
const (
	pointsUsed    = iota
	pointsBroken  // a value is not finite or beyond model.MaxPointValue
	pointsSurplus // more than the network takes
	numPointOutcomes
)

// pointOutcomes are the values of the metric's label.
var pointOutcomes = [numPointOutcomes]string{"used", "broken", "surplus"}

// pointUse counts the points of one cloud by outcome.
type pointUse [numPointOutcomes]uint64

// count notes a cloud of which the usable points were resampled to capacity.
// It reports whether the cloud can be used: an empty one can, as zeros, for
// nobody may be there; one of broken points alone cannot.
func (u *pointUse) count(points, usable, capacity int) bool {
	used := min(usable, capacity)
	*u = pointUse{pointsUsed: uint64(used), pointsBroken: uint64(points - usable), pointsSurplus: uint64(usable - used)}
	return points == 0 || usable > 0
}

// maxViewerPoints bounds the LiDAR points of one message for viewers.
const maxViewerPoints = 1500

// viewerMinNS is the shortest time between two messages for viewers: 10 Hz,
// less a little, so that a tick that comes early is not skipped.
const viewerMinNS = 90_000_000

// pointSet is what a tick hands to the viewers' publisher. Samples are
// immutable, so it can be used after the tick.
type pointSet struct {
	captureNS int64
	lidar     *sensors.PointCloud
	radar     *sensors.RadarFrame
}

// pointFeed publishes point clouds for viewers apart from the tick loop; a
// set that comes while the one before is being encoded replaces its successor.
type pointFeed struct {
	frame   string
	lidar   frame.Transform // to the frame of the message
	radar   frame.Transform
	room    string
	pending chan pointSet // capacity 1
	lastNS  int64
}

func newPointFeed(room, frame string, e *ExtrinsicsConfig) *pointFeed {
	f := &pointFeed{frame: frame, room: room, lidar: cameraFromSensor, radar: cameraFromSensor, pending: make(chan pointSet, 1)}
	if e.RoomFromCamera == nil {
		return f
	}
	roomFromCamera := e.RoomFromCamera.RoomFromCamera()
	f.lidar = roomFromCamera.After(&cameraFromSensor)
	f.radar = f.lidar
	if e.RoomFromLiDAR != nil {
		f.lidar = e.RoomFromLiDAR.RoomFromSensor()
	}
	if e.RoomFromRadar != nil {
		f.radar = e.RoomFromRadar.RoomFromSensor()
	}
	return f
}

// offer hands over a set and never waits. Calls come from one goroutine.
func (f *pointFeed) offer(s pointSet) {
	if f.lastNS != 0 && s.captureNS-f.lastNS < viewerMinNS {
		return
	}
	f.lastNS = s.captureNS
	select {
	case <-f.pending:
	default:
	}
	f.pending <- s // this goroutine alone sends, so there is room
}

// run publishes until ctx ends.
func (f *pointFeed) run(ctx context.Context, publish func(*message.Points)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-f.pending:
			publish(f.message(s))
		}
	}
}

func (f *pointFeed) message(s pointSet) *message.Points {
	m := &message.Points{Schema: message.PointsSchema, Room: f.room, CaptureNS: s.captureNS, Frame: f.frame,
		LiDAR: [][3]float32{}, Radar: [][4]float32{}}
	if s.lidar != nil {
		n := len(s.lidar.XYZ) / 3
		// Every k-th point keeps the shape of a sweep.
		step := (n + maxViewerPoints - 1) / maxViewerPoints
		for i := 0; i < n; i += max(step, 1) {
			p := s.lidar.XYZ[3*i : 3*i+3]
			if q, ok := viewerPoint(&f.lidar, p[0], p[1], p[2]); ok {
				m.LiDAR = append(m.LiDAR, q)
			}
		}
	}
	if s.radar != nil {
		for _, p := range s.radar.Points {
			if q, ok := viewerPoint(&f.radar, p.X, p.Y, p.Z); ok && p.Doppler-p.Doppler == 0 {
				m.Radar = append(m.Radar, [4]float32{q[0], q[1], q[2], float32(roundTo(float64(p.Doppler), 1e3))})
			}
		}
	}
	return m
}

// viewerPoint transforms a point and rounds it to millimetres, which halves
// the message. Points that are not finite are dropped.
func viewerPoint(t *frame.Transform, x, y, z float32) ([3]float32, bool) {
	q := t.Apply([3]float64{float64(x), float64(y), float64(z)})
	var out [3]float32
	for k, v := range q {
		if !sensors.Finite(v) {
			return out, false
		}
		out[k] = float32(roundTo(v, 1e3))
	}
	return out, true
}

// roundTo rounds v to 1/parts.
func roundTo(v, parts float64) float64 { return math.Round(v*parts) / parts }
