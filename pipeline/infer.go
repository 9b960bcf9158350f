package pipeline

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/model"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// ErrCentredWindow is wrapped when a model needs frames of the future.
var ErrCentredWindow = errors.New("camera window is centred")

// Inferer turns prepared inputs into poses. *model.Runtime does the work;
// NewInferer joins it to its card. Calls come from one goroutine. One that is
// an io.Closer is closed when it is replaced or the daemon ends.
type Inferer interface {
	Infer(in *model.Input, out *model.Output) error
	Card() model.Card
}

// StagedInferer can work on one modality at a time, as *model.Runtime does:
// the daemon then starts each encoder as soon as its input is there. Encode is
// called for different modalities at the same time.
type StagedInferer interface {
	Inferer
	Begin()
	Encode(m modality.Kind, input []float32) error
	Finish(present modality.Set, out *model.Output) error
}

// Influencer is an Inferer that can tell what each modality did to the pose
// of the sample it worked on last, as *model.Runtime does. It is called between
// the Infer or Finish of a sample and the next Begin.
type Influencer interface {
	Influence(present modality.Set, c *model.Influence)
}

type runtimeInferer struct {
	*model.Runtime
	card model.Card
	why  string // its precision was chosen; "" if it was not
}

// chosen returns the precision and why it was chosen.
func (r runtimeInferer) chosen() string {
	if r.why == "" {
		return string(r.Precision())
	}
	return fmt.Sprintf("%s: %s", r.Precision(), r.why)
}

// ModelMemory returns the bytes of the model by kind.
func (r runtimeInferer) ModelMemory() map[string]int64 {
	m := r.Network().Memory()
	return map[string]int64{"mapped": m.Mapped, "heap": m.Heap, "packed": m.Packed, "buffers": r.Memory()}
}

// Card returns what the checkpoint says about itself.
func (r runtimeInferer) Card() model.Card { return r.card }

// PrecisionAuto is the model.precision that a short trial chooses.
const PrecisionAuto = "auto"

// NewInferer prepares a loaded network for the tick loop, in the precision that
// its card names. The network can be closed after; the inferer keeps what it
// needs.
func NewInferer(n *model.Network, card model.Card) (Inferer, error) {
	return NewInfererIn(n, card, "")
}

// NewInfererIn is NewInferer in a precision of model.precision.
func NewInfererIn(n *model.Network, card model.Card, precision string) (Inferer, error) {
	var rt *model.Runtime
	var why string
	var err error
	if precision == PrecisionAuto {
		rt, why, err = model.NewFastestRuntime(n)
	} else {
		rt, err = model.NewRuntimeWith(n, model.RuntimeOptions{Precision: model.Precision(precision)})
	}
	if err != nil {
		return nil, fmt.Errorf("model %s %s: %w", card.Name, card.Version, err)
	}
	if card.Window == model.Causal && card.Config.Mask().Has(modality.Camera) {
		// Live windows mostly continue the one before. Layers in low precision
		// compute whole windows.
		if err := rt.StreamCamera(); err != nil && !errors.Is(err, model.ErrLowPrecision) {
			return nil, fmt.Errorf("model %s %s: %w", card.Name, card.Version, err)
		}
	}
	return runtimeInferer{rt, card, why}, nil
}

// closeInferer closes an inferer that wants it.
func closeInferer(inf Inferer) error {
	if c, ok := inf.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// engine is a model ready to run: the inferer and its buffers. It is built
// completely, tried once, and then swapped in by one pointer.
type engine struct {
	inf  Inferer
	card model.Card
	mask modality.Set
	in   model.Input
	out  model.Output
	bufs [modality.Count][]float32 // inputs by modality

	points [modality.Count]pointUse // of the newest cloud prepared; of L and M

	memory map[string]int64 // bytes by kind, as built; nil if the inferer does not tell
	chosen string           // the precision and why; "" if the inferer does not tell
	intake *intake.Intake   // fills bufs; the tick loop's

	holds  atomic.Int32  // who keeps it, see hold
	staged StagedInferer // inf, or nil if it works on whole samples only
	jobs   [modality.Count]encodeJob

	influencer Influencer // inf, or nil if it cannot tell or must not
	influence  model.Influence

	known [1 << modality.Count]*model.CoalitionErrors // of the card, nil where it does not tell
	sigma [model.NumJoints]float64
	// worthMM is how much larger the error is without a sensor, by letter.
	worthMM map[string]float64
}

// newEngine refuses models that cannot run live and proves that the others
// give finite poses for zero input of every shape.
// It tells the influence of the modalities if the model can and influence says
// so.
func newEngine(inf Inferer, influence bool) (*engine, error) {
	card := inf.Card()
	fail := func(err error) (*engine, error) {
		return nil, fmt.Errorf("model %s %s: %w", card.Name, card.Version, err)
	}
	if card.Window != model.Causal {
		return fail(fmt.Errorf("%w (%q): it needs 40 frames of the future; train one with a causal window", ErrCentredWindow, card.Window))
	}
	if err := card.Config.Validate(); err != nil {
		return fail(err)
	}
	e := &engine{inf: inf, card: card, mask: card.Config.Mask(), intake: intake.New(), known: card.KnownErrors.By(), worthMM: card.KnownErrors.WorthMM(card.Config.Mask())}
	for m, n := range inputSizes(&card) {
		e.bufs[m] = make([]float32, n)
	}
	e.staged, _ = inf.(StagedInferer)
	if influence {
		e.influencer, _ = inf.(Influencer)
	}
	for m := range modality.Count {
		e.jobs[m] = encodeJob{engine: e, modality: m, done: make(chan struct{}, 1)}
	}
	e.in = model.Input{Present: e.mask, Camera: e.bufs[modality.Camera], LiDAR: e.bufs[modality.LiDAR], Radar: e.bufs[modality.Radar], CSI: e.bufs[modality.CSI]}
	if err := inf.Infer(&e.in, &e.out); err != nil {
		return fail(err)
	}
	if !sensors.Finite(e.out.Pose[:]...) {
		return fail(errors.New("gives a pose that is not finite for zero input; the weights are broken"))
	}
	e.askInfluence(e.mask) // its buffers have their size before the first tick
	if e.staged != nil {
		e.staged.Begin()
	}
	if m, ok := inf.(interface{ ModelMemory() map[string]int64 }); ok {
		e.memory = m.ModelMemory() // now that the buffers have their size
	}
	if c, ok := inf.(interface{ chosen() string }); ok {
		e.chosen = c.chosen()
	}
	return e, nil
}

// prepare fills the network's input from an aligned set. A modality whose
// data cannot be used is left out and named in unusable.
func (e *engine) prepare(t *timesync.Tick) (unusable modality.Set) {
	e.in.Present = 0
	for _, m := range inOrder {
		if e.mask.Has(m) && t.Fused(m) {
			if e.prepareModality(m, &t.Slots[m]) {
				e.in.Present |= 1 << m
			} else {
				unusable |= 1 << m
			}
		}
	}
	return unusable
}

func (e *engine) prepareModality(m modality.Kind, s *timesync.Slot) bool {
	buf := e.bufs[m]
	switch m {
	case modality.Camera:
		return e.intake.Camera(buf, s.Window)
	case modality.LiDAR:
		if s.Sample.Cloud == nil {
			return false
		}
		points, usable := e.intake.LiDAR(buf, s.Sample)
		return e.points[m].count(points, usable, len(buf)/model.LiDARPointDim)
	case modality.Radar:
		if s.Sample.Radar == nil {
			return false
		}
		points, usable := e.intake.Radar(buf, s.Sample)
		return e.points[m].count(points, usable, len(buf)/model.RadarPointDim)
	case modality.CSI:
		return e.intake.CSI(buf, s.Window)
	}
	return true
}

// result is what the engine says about one tick.
type result struct {
	present modality.Set
	joints  [model.NumJoints][3]float64 // metres, frame of the message; valid if present is not 0
	// influence is of the same modalities as the pose, at least two; nil if
	// it is not told.
	influence *model.Influence
	sigmaMM   *[model.NumJoints]float64 // standard deviation per axis; nil if nobody knows
	place     intake.Place
	time      time.Duration
}

// run infers the tick. A modality whose data cannot be used is left out and
// named in unusable.
func (e *engine) run(t *timesync.Tick, pool *encoderPool, roomFromCamera *frame.Transform, r *result) (unusable modality.Set, err error) {
	*r = result{}
	start := time.Now()
	if e.staged == nil {
		unusable, err = e.inferWhole(t)
	} else {
		unusable, err = e.inferStaged(t, pool)
	}
	place := e.intake.End(e.took(t))
	r.place = place
	if err != nil {
		return unusable, fmt.Errorf("inference: %w", err)
	}
	if e.in.Present == 0 || !place.Found { // without a person there is no pose, whatever WiFi makes of the room
		return unusable, nil
	}
	r.time = time.Since(start)
	if !sensors.Finite(e.out.Pose[:]...) {
		return unusable, errors.New("inference: pose is not finite")
	}
	r.present = e.out.Coalition
	if r.present == 0 {
		return unusable, nil
	}
	if place.Moved {
		t := place.CameraFromPose
		if roomFromCamera != nil {
			t = roomFromCamera.After(&t)
		}
		roomFromCamera = &t
	}
	transformPose(&r.joints, &e.out.Pose, roomFromCamera)
	if c := &e.influence; c.Of == r.present && finiteInfluence(c) {
		r.influence = c
	}
	r.sigmaMM = e.sigmaOf(r)
	return unusable, nil
}

// sigmaOf returns how far off the joints of the pose are, nil if the card does not
// tell for its coalition.
func (e *engine) sigmaOf(r *result) *[model.NumJoints]float64 {
	c := e.known[r.present]
	if c == nil {
		return nil
	}
	var spreadMM *[model.NumJoints]float64
	if r.influence != nil {
		spreadMM = &r.influence.SpreadMM
	}
	e.card.KnownErrors.Sigma(c, &e.out.Pose, spreadMM, &e.sigma)
	return &e.sigma
}

// took returns the sensors whose samples the engine has taken of a tick.
func (e *engine) took(t *timesync.Tick) (took modality.Set) {
	for m := range e.mask.Kinds() {
		if t.Fused(m) {
			took |= modality.Of(m)
		}
	}
	return took
}

func (e *engine) inferWhole(t *timesync.Tick) (unusable modality.Set, err error) {
	unusable = e.prepare(t)
	if e.in.Present == 0 {
		return unusable, nil
	}
	if err = e.inf.Infer(&e.in, &e.out); err == nil {
		e.askInfluence(e.in.Present)
	}
	return unusable, err
}

// askInfluence asks what each modality does to the pose, if there is somebody to
// ask and more than one modality.
func (e *engine) askInfluence(present modality.Set) {
	e.influence.Of = 0
	if e.influencer != nil && present&(present-1) != 0 {
		e.influencer.Influence(present, &e.influence)
	}
}

// finiteInfluence reports whether every number can go into a message.
func finiteInfluence(c *model.Influence) bool {
	sum := 0.0
	for _, v := range c.InfluenceMM {
		sum += v
	}
	for _, v := range c.SpreadMM {
		sum += v
	}
	return c.Of&(c.Of-1) != 0 && sensors.Finite(sum)
}
