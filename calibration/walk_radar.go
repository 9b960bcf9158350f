package calibration

import (
	"math"
	"math/rand/v2"

	"posefuse/frame"
)

const (
	minEchoes  = 60
	echoM      = 0.12 // what the middle of a frame's points is usually off
	echoNearM  = 0.4  // from the track, to be of the person
	frontM     = 0.12 // from the side of a body that faces the radar to its axis
	echoApartM = 1.0  // between the two that a first guess is made of
)

// pair is an echo with the person's place.
type pair struct{ echo, at [2]float64 }

// solveRadar finds where the radar stands and looks: from above, as its elevations
// are too coarse to tell its height and tilt, which stay what they are thought.
func (w *Walk) solveRadar(s *Sensors, camera []float64) {
	var pairs []pair
	for _, e := range w.echoes {
		if at, _, ok := w.placeAt(e.atNS); ok {
			pairs = append(pairs, pair{e.at, at})
		}
	}
	if len(pairs) < minEchoes {
		return
	}
	p, near := firstRadar(pairs)
	if len(near) < minEchoes || 3*len(near) < len(pairs) {
		return
	}
	l := &least{n: 2*len(near) + 2, residuals: func(p, r []float64) {
		sin, cos := math.Sincos(p[2])
		for i, q := range near {
			// The echo is of the side that faces the radar.
			far := 1 + p[3]/max(math.Hypot(q.echo[0], q.echo[1]), 0.5)
			r[2*i] = (p[0] + far*(cos*q.echo[0]-sin*q.echo[1]) - q.at[0]) / echoM
			r[2*i+1] = (p[1] + far*(sin*q.echo[0]+cos*q.echo[1]) - q.at[1]) / echoM
		}
		r[2*len(near)], r[2*len(near)+1] = priorWeight*(p[3]-frontM)/axisM, 0
	}}
	l.solve(p, 60)
	rho := echoesAlike(l, p, len(near))
	deviation, ok := l.deviations(p, rho)
	if !ok {
		return
	}
	r := make([]float64, l.n)
	l.residuals(p, r)
	sum := 0.0
	for i := range near {
		sum += r[2*i]*r[2*i] + r[2*i+1]*r[2*i+1]
	}
	s.RadarResidualM = echoM * math.Sqrt(sum/float64(len(near)))
	s.RadarUsed, s.RadarRejected = len(near), len(pairs)-len(near)
	s.RadarDeviation = PoseDeviation{PositionM: vec{math.Hypot(deviation[0], bodyM), math.Hypot(deviation[1], bodyM), 0}, PanDeg: degrees(deviation[2])}
	// Height, tilt and roll as they are thought.
	thought := frame.SensorPoseOf(w.rig.RoomFromRadar)
	level := frame.SensorPose{PositionM: vec{p[0], p[1], thought.PositionM[2]}, PanDeg: degrees(p[2]), TiltDeg: thought.TiltDeg, RollDeg: thought.RollDeg}
	room, t := roomFromLevel(camera), level.RoomFromSensor()
	pose := frame.SensorPoseOf(room.After(&t))
	s.Radar = &pose
}

// firstRadar returns place and turn with which the most echoes are near the
// person, and those.
func firstRadar(pairs []pair) (p []float64, near []pair) {
	r := rand.New(rand.NewPCG(3, 4))
	best := 0
	p = make([]float64, 4)
	for range 600 {
		a, b := pairs[r.IntN(len(pairs))], pairs[r.IntN(len(pairs))]
		ex, ey, ax, ay := b.echo[0]-a.echo[0], b.echo[1]-a.echo[1], b.at[0]-a.at[0], b.at[1]-a.at[1]
		if math.Hypot(ex, ey) < echoApartM || math.Abs(math.Hypot(ex, ey)-math.Hypot(ax, ay)) > echoNearM {
			continue
		}
		turn := math.Atan2(ay, ax) - math.Atan2(ey, ex)
		sin, cos := math.Sincos(turn)
		mx, my := (a.echo[0]+b.echo[0])/2, (a.echo[1]+b.echo[1])/2
		try := []float64{(a.at[0]+b.at[0])/2 - cos*mx + sin*my, (a.at[1]+b.at[1])/2 - sin*mx - cos*my, turn, frontM}
		if n := len(nearEchoes(pairs, try)); n > best {
			best, p = n, try
		}
	}
	return p, nearEchoes(pairs, p)
}

func nearEchoes(pairs []pair, p []float64) (near []pair) {
	sin, cos := math.Sincos(p[2])
	for _, q := range pairs {
		dx := p[0] + cos*q.echo[0] - sin*q.echo[1] - q.at[0]
		dy := p[1] + sin*q.echo[0] + cos*q.echo[1] - q.at[1]
		if math.Hypot(dx, dy) < echoNearM {
			near = append(near, q)
		}
	}
	return near
}

// echoesAlike is alike for echoes.
func echoesAlike(l *least, p []float64, n int) float64 {
	r := make([]float64, l.n)
	l.residuals(p, r)
	var same, next float64
	for i := 0; i+3 < 2*n; i++ {
		same, next = same+r[i]*r[i], next+r[i]*r[i+2]
	}
	rho := min(max(next/max(same, 1e-12), 0), 0.97)
	return (1 + rho) / (1 - rho)
}
