package pipeline

import (
	"context"
	"math"
	"slices"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/message"
	"posefuse/person"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
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

// Bounds of the LiDAR points of one message for viewers: of all, and of them the
// person's and what else is new.
const (
	maxViewerPoints = 1500
	maxViewerPerson = 600
	maxViewerNew    = 300
)

// viewerMinNS is the shortest time between two messages for viewers: 10 Hz,
// less a little, so that a tick that comes early is not skipped.
const viewerMinNS = 90_000_000

// pointSet is what a tick hands to the viewers' publisher. Samples are
// immutable, so it can be used after the tick.
type pointSet struct {
	captureNS int64
	lidar     *sensors.PointCloud
	radar     *sensors.RadarFrame
	searched  bool           // for the person
	labels    []person.Label // of lidar's points; empty if that sweep was not searched
	own       []int          // the person's points of radar
}

// pointFeed publishes point clouds for viewers apart from the tick loop; a
// set that comes while the one before is being encoded replaces its successor.
type pointFeed struct {
	frame   string
	lidar   frame.Transform // to the frame of the message
	radar   frame.Transform
	room    string
	pending chan pointSet       // capacity 1
	labels  chan []person.Label // memory of sets that are done with
	lastNS  int64
}

// newPointFeed makes the feed of a room whose sensors stand as rig says; without
// roomFromCamera its messages are in the camera's frame, as poses are.
func newPointFeed(room string, roomFromCamera *frame.Transform, rig *frame.Rig) *pointFeed {
	f := &pointFeed{frame: frameName(roomFromCamera), room: room, lidar: rig.RoomFromLiDAR, radar: rig.RoomFromRadar, pending: make(chan pointSet, 1), labels: make(chan []person.Label, 2)}
	if roomFromCamera == nil {
		cameraFromRoom := rig.RoomFromCamera.Inverse()
		f.lidar, f.radar = cameraFromRoom.After(&f.lidar), cameraFromRoom.After(&f.radar)
	}
	return f
}

// offerTick hands over a tick's points with what they were taken for.
func (f *pointFeed) offerTick(t *timesync.Tick, in *intake.Intake) {
	if f.lastNS != 0 && t.TimeNS-f.lastNS < viewerMinNS {
		return
	}
	s := pointSet{captureNS: t.TimeNS}
	if t.Fused(modality.LiDAR) {
		sample := t.Slots[modality.LiDAR].Sample
		s.lidar = sample.Cloud
		var buf []person.Label
		select {
		case buf = <-f.labels:
		default:
		}
		s.labels, s.searched = in.Labels(sample, buf[:0])
	}
	if t.Fused(modality.Radar) {
		sample := t.Slots[modality.Radar].Sample
		s.radar = sample.Radar
		var ok bool
		s.own, ok = in.RadarPerson(sample, nil)
		s.searched = s.searched || ok
	}
	f.offer(s)
}

// offer hands over a set and never waits. Calls come from one goroutine.
func (f *pointFeed) offer(s pointSet) {
	if f.lastNS != 0 && s.captureNS-f.lastNS < viewerMinNS {
		return
	}
	f.lastNS = s.captureNS
	select {
	case old := <-f.pending:
		f.reuse(&old)
	default:
	}
	f.pending <- s // this goroutine alone sends, so there is room
}

// reuse keeps the memory of a set that nobody needs any more.
func (f *pointFeed) reuse(s *pointSet) {
	if s.labels == nil {
		return
	}
	select {
	case f.labels <- s.labels:
	default:
	}
}

// run publishes until ctx ends.
func (f *pointFeed) run(ctx context.Context, publish func(*message.Points)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-f.pending:
			publish(f.message(s))
			f.reuse(&s)
		}
	}
}

func (f *pointFeed) message(s pointSet) *message.Points {
	m := &message.Points{Schema: message.PointsSchema, Room: f.room, CaptureNS: s.captureNS, Frame: f.frame,
		LiDAR: [][3]float32{}, Radar: [][4]float32{}}
	if s.searched {
		m.Search = &message.PointSearch{}
	}
	if s.lidar != nil {
		f.addSweep(m, &s)
	}
	if s.radar != nil {
		f.addRadar(m, &s)
	}
	return m
}

// addSweep adds a choice of a sweep's points: the person's, what else is new, the
// rest. Every k-th of each keeps their shape.
func (f *pointFeed) addSweep(m *message.Points, s *pointSet) {
	n := len(s.lidar.XYZ) / 3
	add := func(is func(person.Label) bool, many, most int) (added int) {
		step, at := max((many+most-1)/max(most, 1), 1), 0
		for i := range n {
			if s.labels != nil && !is(s.labels[i]) {
				continue
			}
			if at++; (at-1)%step != 0 {
				continue
			}
			p := s.lidar.XYZ[3*i : 3*i+3]
			if q, ok := viewerPoint(&f.lidar, p[0], p[1], p[2]); ok {
				m.LiDAR = append(m.LiDAR, q)
				added++
			}
		}
		return added
	}
	if len(s.labels) != n || n == 0 {
		s.labels = nil
		add(nil, n, maxViewerPoints)
		return
	}
	var count person.Sweep
	for _, l := range s.labels {
		count[l]++
	}
	m.Search.Sweep = map[string]int{}
	for l, many := range count {
		m.Search.Sweep[person.Label(l).String()] = many
	}
	isPerson := func(l person.Label) bool { return l == person.Person }
	isNew := func(l person.Label) bool { return l == person.Other }
	m.Search.LiDARPerson = add(isPerson, count[person.Person], maxViewerPerson)
	m.Search.LiDARNew = add(isNew, count[person.Other], maxViewerNew)
	add(func(l person.Label) bool { return !isPerson(l) && !isNew(l) }, n-count[person.Person]-count[person.Other], maxViewerPoints-len(m.LiDAR))
}

// addRadar adds a frame's detections: the person's, the rest.
func (f *pointFeed) addRadar(m *message.Points, s *pointSet) {
	for _, own := range [...]bool{true, false} {
		for i, p := range s.radar.Points {
			if slices.Contains(s.own, i) != own {
				continue
			}
			if q, ok := viewerPoint(&f.radar, p.X, p.Y, p.Z); ok && p.Doppler-p.Doppler == 0 {
				m.Radar = append(m.Radar, [4]float32{q[0], q[1], q[2], float32(roundTo(float64(p.Doppler), 1e3))})
			}
		}
		if own && m.Search != nil {
			m.Search.RadarPerson = len(m.Radar)
		}
	}
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
