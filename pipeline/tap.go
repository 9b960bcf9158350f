package pipeline

import (
	"sync/atomic"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// tickInput is what the network was given in a tick and what it said.
type tickInput struct {
	in   model.Input // with memory of its own
	pose [model.OutputDim]float32
	done chan struct{} // capacity 1: the tick loop filled it
}

// newTickInput has room for what a network of the card is given.
func newTickInput(card *model.Card) *tickInput {
	size := inputSizes(card)
	return &tickInput{done: make(chan struct{}, 1), in: model.Input{
		Camera: make([]float32, size[modality.Camera]), LiDAR: make([]float32, size[modality.LiDAR]),
		Radar: make([]float32, size[modality.Radar]), CSI: make([]float32, size[modality.CSI]),
	}}
}

// inputTap hands the input of a tick to another goroutine that asked for one. A
// tick that nobody asked for costs nothing.
type inputTap struct{ want atomic.Pointer[tickInput] }

// ask has the next tick with a pose fill t. One ask replaces another.
func (a *inputTap) ask(t *tickInput) { a.want.Store(t) }

// withdraw takes t back, unless a tick has it already: then done follows.
func (a *inputTap) withdraw(t *tickInput) bool { return a.want.CompareAndSwap(t, nil) }

// offer fills what was asked for with the tick that e has just done.
func (a *inputTap) offer(e *engine) {
	t := a.want.Load()
	if t == nil || !t.fits(e) || !a.want.CompareAndSwap(t, nil) {
		return
	}
	t.in.Present, t.pose = e.in.Present, e.out.Pose
	copy(t.in.Camera, e.in.Camera)
	copy(t.in.LiDAR, e.in.LiDAR)
	copy(t.in.Radar, e.in.Radar)
	copy(t.in.CSI, e.in.CSI)
	t.done <- struct{}{}
}

// fits reports whether the engine's input has the sizes of t.
func (t *tickInput) fits(e *engine) bool {
	return len(t.in.Camera) == len(e.in.Camera) && len(t.in.LiDAR) == len(e.in.LiDAR) && len(t.in.Radar) == len(e.in.Radar)
}

// inputSizes returns how many values each modality of a network's input has.
func inputSizes(card *model.Card) [modality.Count]int {
	return [modality.Count]int{
		modality.Camera: card.Config.CameraValues(),
		modality.LiDAR:  card.Config.LiDAR.Points * model.LiDARPointDim,
		modality.Radar:  card.Config.Radar.Points * model.RadarPointDim,
		modality.CSI:    model.CSIValues,
	}
}

// sameInput reports whether two networks are given the same numbers for the
// same samples. The modalities may differ.
func sameInput(a, b *model.Card) bool {
	return a.Config.Recipe == b.Config.Recipe && a.TrainedIn() == b.TrainedIn() && inputSizes(a) == inputSizes(b) &&
		a.Config.RadarFrames() == b.Config.RadarFrames()
}
