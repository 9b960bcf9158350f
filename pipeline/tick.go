package pipeline

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// jointOrder is the order of the joints in messages: H36M, 17 joints.
const jointOrder = "h36m17"

// tickLoop turns aligned sets into published poses. tick is called from one
// goroutine; the model may be swapped and the counters read from others.
type tickLoop struct {
	clock          timesync.Clock
	roomFromCamera *frame.Transform // nil: poses stay in the camera frame
	intake         *intake.Intake   // from samples to the network's input
	person         *personStage     // the intake, if it finds the person
	body           *bodyStage       // nil: poses stay as the network gives them
	publish        func(buf []byte, p *message.Pose) ([]byte, error)
	points         *pointFeed
	metrics        *metrics
	onError        func(err error) // rate-limited by its owner

	engine             atomic.Pointer[engine] // the newest, in use from the next tick on
	swap               sync.Mutex             // guards what follows and changes of engine and current
	adopted            bool                   // engine is current
	trial              *trial                 // of engine; nil: none
	ended              bool                   // nothing is installed any more
	pace               pace                   // of current
	warmTap, shadowTap inputTap
	period             time.Duration

	// Owned by tick and settled.
	current *engine
	pool    *encoderPool // nil: encoders run on the goroutine of tick
	pose    message.Pose
	joints  [model.NumJoints][3]float64
	spread  [model.NumJoints]float64
	ages    [modality.Count]float64
	skews   [modality.Count]float64
	// What the message's SpreadMeanMM and InfluenceMM point to.
	spreadMean float64
	sigma      [model.NumJoints]float64
	presence   float64
	influences [modality.Count]float64
	buf        []byte
	stamp      []byte

	progress progress
}

// progress counts what the tick loop published.
type progress struct {
	poses  atomic.Uint64
	lastNS atomic.Int64 // room clock of the newest pose's publication

	mu     sync.Mutex
	recent []int64 // room clock of publications, a ring over at least 5 s
	next   int
}

// rateWindow is the span over which the pose rate is measured.
const rateWindow = 5 * time.Second

func (p *progress) note(ns int64) {
	p.mu.Lock()
	p.recent[p.next] = ns
	p.next = (p.next + 1) % len(p.recent)
	p.mu.Unlock()
	p.poses.Add(1)
	p.lastNS.Store(ns)
}

// fps returns the poses a second over the last rateWindow, or since the start
// if that is less.
func (p *progress) fps(nowNS, startNS int64) float64 {
	span := min(int64(rateWindow), nowNS-startNS)
	if span <= 0 {
		return 0
	}
	n := 0
	p.mu.Lock()
	for _, ns := range p.recent {
		if ns != 0 && ns > nowNS-span {
			n++
		}
	}
	p.mu.Unlock()
	return float64(n) * float64(time.Second) / float64(span)
}

func newTickLoop(room string, rateHz float64, clock timesync.Clock, roomFromCamera *frame.Transform) *tickLoop {
	l := &tickLoop{period: time.Duration(float64(time.Second) / rateHz), clock: clock, roomFromCamera: roomFromCamera, intake: intake.New()}
	l.pose = message.Pose{Schema: message.PoseSchema, Room: room, Frame: frameName(roomFromCamera), JointOrder: jointOrder,
		Modalities: make(map[string]message.PoseModality, modality.Count)}
	l.progress.recent = make([]int64, int(math.Ceil(rateHz*rateWindow.Seconds()))+8)
	return l
}

func frameName(roomFromCamera *frame.Transform) string {
	if roomFromCamera == nil {
		return "camera"
	}
	return "room"
}

// run gives ticks of the aligner to the engine until ctx ends.
func (l *tickLoop) run(ctx context.Context, a *timesync.Aligner, workers int) error {
	l.pool = newEncoderPool(workers)
	err := a.Run(ctx, l.tick)
	l.closeEngines()
	l.pool.close()
	return err
}

// settled starts a modality's encoder before its tick is complete.
func (l *tickLoop) settled(m modality.Kind, _ int64, s *timesync.Slot) {
	if l.current == nil {
		l.adopt()
	}
	if l.current != nil {
		l.current.settled(m, s, l.pool)
	}
}

// tick infers and publishes exactly one message for t, whatever happens.
func (l *tickLoop) tick(t *timesync.Tick) {
	if l.current == nil {
		l.adopt()
	}
	defer l.adopt()
	e := l.current
	var res result
	var unusable modality.Set
	if e != nil {
		var err error
		begin := l.clock.NowNS()
		if unusable, err = e.run(t, l.pool, l.roomFromCamera, &res); err != nil {
			res = result{}
			l.metrics.inferErrors.Inc()
			l.onError(err)
		}
		defer l.judge(e, err, time.Duration(l.clock.NowNS()-begin))
		if res.present != 0 {
			l.warmTap.offer(e)
			l.shadowTap.offer(e)
		}
		for m := range e.jobs {
			for when, n := range e.jobs[m].starts {
				l.metrics.encoderStarts[m][when].Add(float64(n))
			}
			e.jobs[m].starts = [numStarts]uint64{}
		}
		l.countPoints(t, e)
	}
	p := &l.pose
	p.Seq = t.Seq
	p.CaptureNS = t.TimeNS
	l.stamp = l.clock.WallAt(t.TimeNS).UTC().AppendFormat(l.stamp[:0], time.RFC3339Nano)
	p.CaptureTime = string(l.stamp)
	p.Coalition = res.present.String()
	p.JointsM, p.SpreadMM, p.SpreadMeanMM, p.SigmaMM, p.Presence = nil, nil, nil, nil, nil
	p.Calibrated = false
	if res.present != 0 {
		if l.body != nil {
			p.Calibrated = l.body.take(t.TimeNS, l.intake, &res)
		}
		for j := range res.joints {
			for k, v := range res.joints[j] {
				l.joints[j][k] = roundTo(v, 1e6)
			}
		}
		p.JointsM = &l.joints
	}
	if c := res.influence; c != nil {
		var sum float64
		for j, v := range c.SpreadMM {
			l.spread[j] = roundTo(v, 1e2)
			sum += v
		}
		l.spreadMean = roundTo(sum/model.NumJoints, 1e2)
		p.SpreadMM, p.SpreadMeanMM = &l.spread, &l.spreadMean
	}
	if res.sigmaMM != nil {
		for j, v := range res.sigmaMM {
			l.sigma[j] = roundTo(v, 1e1)
		}
		p.SigmaMM = &l.sigma
	}
	if res.place.Searched {
		l.presence = roundTo(res.place.Presence, 1e3)
		p.Presence = &l.presence
	}
	p.Model = message.PoseModel{}
	if e != nil {
		p.Model = message.PoseModel{Name: e.card.Name, Version: e.card.Version, SHA256: e.card.SHA256}
	}
	// The clock is read last, so that the numbers leave out only the encoding
	// and the write to the bus.
	now := l.clock.NowNS()
	for m := range modality.Count {
		p.Modalities[m.Letter()] = l.modality(m, t, e, &res, unusable, now)
	}
	last := t.LastByteNS()
	if last == 0 {
		last = t.ReadyNS
	}
	p.LatencyMS = message.PoseLatency{
		Align: milliseconds(t.ReadyNS - t.TimeNS),
		Infer: milliseconds(int64(res.time)),
		Total: milliseconds(now - last),
	}
	var err error
	if l.buf, err = l.publish(l.buf, p); err != nil {
		l.onError(err)
	}
	l.metrics.observe(p, t, now-last)
	l.progress.note(l.clock.NowNS())
	l.points.offerTick(t, l.intake)
}

// countPoints counts what became of the points of the tick's clouds, and says
// so if all of one were broken.
func (l *tickLoop) countPoints(t *timesync.Tick, e *engine) {
	for label, n := range l.intake.TakeSearched() {
		l.metrics.searched[label].Add(float64(n))
	}
	for _, m := range [...]modality.Kind{modality.LiDAR, modality.Radar} {
		u := e.points[m]
		e.points[m] = pointUse{}
		if !e.mask.Has(m) || !t.Fused(m) {
			continue
		}
		for outcome, n := range u {
			l.metrics.points[m][outcome].Add(float64(n))
		}
		if u[pointsUsed] == 0 && u[pointsBroken] > 0 {
			l.onError(fmt.Errorf("%s: none of the %d points of a frame is usable: each has a value that is not finite or beyond ±%g; the frame is left out, check the sensor",
				m, u[pointsBroken], model.MaxPointValue))
		}
	}
}

// modality describes one slot. A modality that the model does not know is
// off; one whose data could not be used is a gap.
func (l *tickLoop) modality(m modality.Kind, t *timesync.Tick, e *engine, res *result, unusable modality.Set, now int64) message.PoseModality {
	slot := &t.Slots[m]
	out := message.PoseModality{State: string(slot.State), Presence: res.present.Has(m)}
	if out.Presence && res.influence != nil {
		l.influences[m] = roundTo(res.influence.InfluenceMM[m], 1e2)
		out.InfluenceMM = &l.influences[m]
	}
	if slot.State != timesync.Fused {
		return out
	}
	l.ages[m] = milliseconds(now - slot.Sample.CaptureNS)
	l.skews[m] = milliseconds(slot.SkewNS)
	out.AgeMS, out.SkewMS = &l.ages[m], &l.skews[m]
	if m == modality.CSI {
		out.MeasuredAntennas = slot.Sample.CSI.Measured
	}
	switch {
	case e != nil && !e.mask.Has(m):
		out.State = string(timesync.Off)
	case unusable.Has(m):
		out.State = string(timesync.Gap)
	}
	return out
}

// milliseconds converts and rounds to microseconds.
func milliseconds(ns int64) float64 { return roundTo(float64(ns)/1e6, 1e3) }
