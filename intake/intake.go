// Package intake turns what the sensors of a room saw into what a network takes.
// It is the only way from one to the other: the ticks of the daemon, training,
// evaluation and sample files go through it, so that a recording of a live run
// gives the input of the live run bit for bit.
package intake

import (
	"io"
	"sync"
	"sync/atomic"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/person"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Intake prepares one room's samples, tick by tick. LiDAR, Radar, Camera and CSI
// may be called at the same time, each by one goroutine, while Ordered is false;
// End ends the tick after all of them.
type Intake struct {
	stage   *person.Stage // nil: the network sees each sensor in its own frame
	finder  *person.Finder
	trained frame.Arrangement
	perSet  int // values of a set of keypoints, see model.Config.KeypointFrame

	ordered atomic.Bool // changes between two ticks only

	mu       sync.Mutex      // guards stage, finder and what follows
	searched person.Sweep    // points of the sweeps by what they were taken for, since TakeSearched
	sweep    *sensors.Sample // the newest, whose labels the finder has
	frame    *sensors.Sample // the newest of the radar
	track    person.Track    // of the newest tick; valid if there
	there    bool
	assumed  bool
	shape    bool  // a person's shape suffices
	usedNS   int64 // of the newest usable set of keypoints
	used     bool
	cloud    []float32 // of the newest sweep, arrangement's frame
	window   [2][]set  // the window before and the one being made
	history  radarHistory

	// Each of one modality's goroutine.
	rows []float32 // of the newest radar frame
	amp  []float64 // CSI amplitudes, dB
	csi  [][]complex64
}

// Package person writes what package model reads.
var _ = [1]struct{}{}[model.ViewedKeypoints-person.ViewedKeypoints]

// set is a set of keypoints as the network takes it.
type set struct {
	sample *sensors.Sample
	known  bool                           // values say something
	values [model.ViewedKeypoints]float32 // perSet of them
}

// New returns an intake whose network sees each sensor in its own frame.
func New() *Intake {
	return &Intake{perSet: model.KeypointValues, amp: make([]float64, model.CSIValues), csi: make([][]complex64, model.CSIPackets)}
}

// NewStaged returns an intake that finds the person in a room and brings what the
// sensors see of them into the arrangement that the network was trained in.
func NewStaged(rig frame.Rig, a frame.Arrangement, c person.Config) *Intake {
	p := New()
	c.LiDARAtM = rig.RoomFromLiDAR.T
	p.finder = person.NewFinder(c)
	for i := range p.window {
		p.window[i] = make([]set, 0, model.CameraWindow)
	}
	p.Arrange(rig, a)
	return p
}

// Arrange goes on for a network of another arrangement, between two ticks. What
// was learned of the room and the track stay.
func (p *Intake) Arrange(rig frame.Rig, a frame.Arrangement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trained, p.stage = a, person.NewStage(rig, a, p.finder)
	p.perSet = model.KeypointValues
	if a.Anywhere {
		p.perSet = model.ViewedKeypoints
	}
	p.ordered.Store(true)
	for i := range p.window {
		p.window[i] = p.window[i][:0] // as seen in the arrangement before
	}
	p.history.forget()
}

// HoldRadar goes on with samples of the newest n radar frames, see
// model.PointsConfig.Frames; only an intake that finds the person has more than
// one. It is called between two ticks.
func (p *Intake) HoldRadar(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n != p.history.frames {
		p.history = radarHistory{frames: n}
	}
}

// Arrangement returns the one that the network was trained in.
func (p *Intake) Arrangement() frame.Arrangement {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trained
}

// Ordered reports whether the sensors of this tick must be given in the order
// LiDAR, radar, camera, one after the other, because nobody knows yet where the
// person is. Otherwise their order changes nothing.
func (p *Intake) Ordered() bool { return p.ordered.Load() }

// LiDAR prepares a sweep for a network that takes len(dst)/3 points. It returns
// how many points reached the network's door and how many of them are usable; a
// second sweep of a tick replaces the first.
func (p *Intake) LiDAR(dst []float32, s *sensors.Sample) (points, usable int) {
	xyz := s.Cloud.XYZ
	if p.stage != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cloud = p.stage.Cloud(s.CaptureNS, xyz, p.cloud[:0])
		for label, n := range p.finder.Count() {
			p.searched[label] += n
		}
		p.sweep, xyz = s, p.cloud
	}
	return len(xyz) / model.LiDARPointDim, model.PrepPoints(dst, xyz, model.LiDARPointDim)
}

// Radar prepares a frame, with those before where a sample holds several, for a
// network that takes len(dst)/5 points, as LiDAR does a sweep.
func (p *Intake) Radar(dst []float32, s *sensors.Sample) (points, usable int) {
	if p.stage != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.rows = p.stage.Radar(s.CaptureNS, s.Radar.Points, p.rows[:0])
		p.frame = s
		if p.history.frames > 1 {
			rows := p.history.sample(s.CaptureNS, p.rows)
			return len(rows) / model.RadarPointDim, model.PrepPoints(dst, rows, model.RadarPointDim)
		}
	} else {
		p.rows = p.rows[:0]
		for _, q := range s.Radar.Points {
			p.rows = append(p.rows, q.X, q.Y, q.Z, q.Doppler, q.SNRdB)
		}
	}
	return len(p.rows) / model.RadarPointDim, model.PrepPoints(dst, p.rows, model.RadarPointDim)
}

// CSI prepares a window of packets. It reports false if they are no channel state
// of the network's shape: another card.
func (p *Intake) CSI(dst []float32, window []*sensors.Sample) bool {
	if len(window) != model.CSIPackets {
		return false
	}
	for i, w := range window {
		if w.CSI == nil {
			return false
		}
		p.csi[i] = w.CSI.H
	}
	if model.CSIAmplitude(p.amp, p.csi) != nil {
		return false
	}
	p.Amplitudes(dst, p.amp)
	return true
}

// Amplitudes prepares the amplitudes of a window, dB, as recordings hold them.
func (*Intake) Amplitudes(dst []float32, amp []float64) { model.CleanCSI(dst, amp) }

// Place is where the person of a tick is.
type Place struct {
	// CameraFromPose brings the tick's pose into the frame of the room's camera.
	CameraFromPose frame.Transform
	// Found says that somebody is there: without a person there is no pose.
	Found bool
	// Moved says that CameraFromPose holds; else poses are in the camera's frame.
	Moved bool
	// Presence is the probability that somebody is there, 0 to 1; Searched says
	// that somebody was looked for.
	Presence float64
	Searched bool
}

// TrustShape is for a room in which neither camera nor radar can tell a person
// from a thing of their shape: the LiDAR's word suffices.
func (p *Intake) TrustShape() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shape = true
}

// sureOfSomebody is from when on a track gives poses: a thing that has a person's
// shape, but has neither moved nor been taken for a person by the camera, is
// furniture until it does.
const sureOfSomebody = 0.65

// End ends a tick that took the samples of some sensors: what they told is where
// the next one is seen from. What was given of others, for a tick that was then
// left out for example, is forgotten.
func (p *Intake) End(took modality.Set) Place {
	if p.stage == nil {
		return Place{Found: true}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.stage.CameraFromArrangement()
	sure := ok && (p.assumed || p.shape || p.there && p.track.Sure >= sureOfSomebody)
	for m := range (modality.All &^ took).Kinds() {
		p.stage.Forget(m)
	}
	p.stage.Advance()
	p.ordered.Store(!p.stage.Placed())
	p.track, p.there = p.stage.Track()
	p.assumed = p.stage.Assumed()
	p.history.end(took.Has(modality.Radar), p.there)
	seen := person.Presence(p.track, p.there, p.assumed, took)
	return Place{CameraFromPose: t, Found: sure, Moved: ok, Presence: seen, Searched: true}
}

// Person returns the person's track as the newest tick left it and false if nobody
// is there; assumed says that their distance is a guess.
func (p *Intake) Person() (track person.Track, there, assumed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.track, p.there, p.assumed
}

// TakeSearched returns what the points of the sweeps since the last call were
// taken for.
func (p *Intake) TakeSearched() person.Sweep {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.searched
	p.searched = person.Sweep{}
	return c
}

// SaveBackground writes what has been learned of the room.
func (p *Intake) SaveBackground(w io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.finder.SaveBackground(w)
}

// LoadBackground replaces what has been learned by what SaveBackground wrote. On
// an error nothing is changed.
func (p *Intake) LoadBackground(r io.Reader) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.finder.LoadBackground(r)
}
