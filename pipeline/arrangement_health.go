package pipeline

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"

	"posefuse/frame"
	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors"
)

// arrangementHealth says whether the model holds where the sensors stand.
func (c *Core) arrangementHealth() message.PartHealth {
	h := message.PartHealth{Part: "arrangement", Code: "ok", Severity: severityOK}
	e := c.ticks.engine.Load()
	var card model.Card
	if e != nil {
		card = e.card // that of a model which came later, too
	}
	_, notes := c.opt.Config.Arrangement(card)
	if n, ok := c.pictures.conflict(c.cfg.Extrinsics.Camera); ok {
		notes = append([]ArrangementNote{n}, notes...)
	}
	switch {
	case len(notes) > 0:
		h.Severity, h.Code = severityWarning, notes[0].Code
		var all []string
		for _, n := range notes {
			all = append(all, n.String())
		}
		h.Text = strings.Join(all, "; ")
	case c.ticks.person == nil:
		h.Code, h.Text = stateOff, "not looked at: person.enabled is false"
	case card.Envelope == nil:
		h.Code, h.Text = codeUnmeasured, "the model's card does not say in which rooms it holds; posefuse eval --world measures it"
	default:
		h.Text = fmt.Sprintf("the model holds where the sensors stand: at most %.2g times the %.0f mm of its own arrangement (%s)", card.Envelope.MaxRatio, card.Envelope.BaseMM, card.Envelope.Data)
	}
	return h
}

// away says what it costs that somebody stands at a place, "" where the model
// holds or nobody measured it.
func (c *Core) away(placeM [2]float64) string {
	e := c.ticks.engine.Load()
	if e == nil || e.card.Envelope == nil {
		return ""
	}
	trained := e.card.TrainedIn()
	rig, _ := c.cfg.rig(&trained)
	place := frame.Measures{}
	place[frame.Distance], place[frame.Aside] = rig.MeasurePlace(placeM)
	var all []string
	for _, x := range e.card.Envelope.Outside(place) {
		all = append(all, x.String())
	}
	return strings.Join(all, "; ")
}

// pictureSize is that of the newest keypoints' picture. It is safe for concurrent
// use.
type pictureSize struct{ packed atomic.Uint64 }

// take notes the size of a sample's picture.
func (p *pictureSize) take(s *sensors.Sample) {
	if k := s.Keypoints; k != nil && k.Width > 0 && k.Height > 0 {
		p.packed.Store(uint64(k.Width)<<32 | uint64(uint32(k.Height)))
	}
}

// conflict reports pictures that the intrinsics are not of: of another shape, so
// that they are no scaled view of the same.
func (p *pictureSize) conflict(c *frame.Intrinsics) (n ArrangementNote, ok bool) {
	size := p.packed.Load()
	if c == nil || size == 0 {
		return n, false
	}
	w, h := float64(size>>32), float64(uint32(size))
	if math.Abs(w/h*c.HeightPx/c.WidthPx-1) < 0.01 {
		return n, false
	}
	return ArrangementNote{"extrinsics.camera_intrinsics", codeConflict, fmt.Sprintf(
		"they are of pictures of %.0f x %.0f, the camera sends %.0f x %.0f, which is another view: calibrate with pictures as the daemon takes them, or set the camera to that shape", c.WidthPx, c.HeightPx, w, h)}, true
}
