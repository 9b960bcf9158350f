package retrain

import (
	"context"
	"slices"

	"posefuse/model"
	"posefuse/train"
)

// shares are those of the trained weights that are tried; the rest is the serving
// model's. Between the two lie models that keep more of the old and most of the new.
var shares = [...]float32{1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125}

// average mixes the trained weights with the serving model's, in the share that
// recordings of both kinds choose, none of which the gate sees. Without old ones to
// choose by the weights stay.
func (j *Job) average(ctx context.Context, r *Result, d *data) error {
	r.Share = 1
	if d.oldStop == nil {
		return nil
	}
	sets := []*train.Data{d.stop, d.oldStop}
	before, err := coalitionErrors(ctx, j.Base, sets)
	if err != nil {
		return err
	}
	trained := snapshot(r.Net)
	base := tensors(j.Base)
	var best blendChoice
	for i, share := range shares {
		for k, t := range tensors(r.Net) {
			mix(t, base[k], trained[k], share)
		}
		after, err := coalitionErrors(ctx, r.Net, sets)
		if err != nil {
			return err
		}
		c := blendChoice{share: share, newRatio: after[0][0] / before[0][0], oldRatio: max(after[1][0]/before[1][0], meanRatio(after[1], before[1]))}
		if i == 0 || c.betterThan(best, 1+j.Rule.LimitPercent/150) { // two thirds of the limit, by judgement: the rest is left to chance
			best = c
		}
		j.wait(ctx)
	}
	for k, t := range tensors(r.Net) {
		mix(t, base[k], trained[k], best.share)
	}
	r.Share = float64(best.share)
	return nil
}

// blendChoice is how a share did: the errors after as shares of those before, on
// the new recordings with all sensors, on the old ones with all sensors or on average
// over every coalition, whichever is worse.
type blendChoice struct {
	share              float32
	newRatio, oldRatio float64
}

// betterThan prefers what forgets no more than a ratio, then what learned most;
// where all forget, what is best on the whole.
func (c blendChoice) betterThan(o blendChoice, most float64) bool {
	switch keeps, oKeeps := c.oldRatio <= most, o.oldRatio <= most; {
	case keeps && oKeeps:
		return c.newRatio < o.newRatio
	case keeps != oKeeps:
		return keeps && c.newRatio < 1
	}
	return c.newRatio+c.oldRatio < o.newRatio+o.oldRatio
}

// coalitionErrors returns the errors on each set, of all sensors first.
func coalitionErrors(ctx context.Context, net *model.Network, sets []*train.Data) (out [][]float64, err error) {
	full := net.Config.Mask()
	for _, set := range sets {
		rep, err := train.Evaluate(ctx, net, set, nil, full.Subsets(), set.Describe(), nil)
		if err != nil {
			return nil, err
		}
		errors := []float64{rep.Coalitions[full.String()].MPJPEMM}
		for _, m := range full.Subsets() {
			if m != full {
				errors = append(errors, rep.Coalitions[m.String()].MPJPEMM)
			}
		}
		out = append(out, errors)
	}
	return out, nil
}

func meanRatio(after, before []float64) float64 {
	sum := 0.0
	for i, v := range after {
		sum += v / before[i]
	}
	return sum / float64(len(after))
}

// tensors are all values of a network that a checkpoint holds.
func tensors(n *model.Network) (out [][]float32) {
	for _, p := range n.Parameters() {
		out = append(out, p.Value)
	}
	for _, b := range n.Buffers() {
		out = append(out, b.Value)
	}
	return out
}

func snapshot(n *model.Network) (out [][]float32) {
	for _, t := range tensors(n) {
		out = append(out, slices.Clone(t))
	}
	return out
}

// mix sets into to share·trained + (1-share)·base.
func mix(into, base, trained []float32, share float32) {
	if share == 1 { // exactly what was trained
		copy(into, trained)
		return
	}
	for i, v := range trained {
		into[i] = share*v + (1-share)*base[i]
	}
}
