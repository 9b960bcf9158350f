package train

import (
	"context"
	"fmt"
	"slices"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Begin is a checkpoint whose weights a training begins with.
type Begin struct {
	From       *model.Network
	Card       model.Card
	Modalities modality.Set // whose encoders are taken; 0 for all that it has
}

// which are the modalities to take.
func (b Begin) which() modality.Set {
	if b.Modalities != 0 {
		return b.Modalities
	}
	return b.From.Config.Mask()
}

// network makes the network to train: of the seed, then with what the checkpoints
// hold. A whole one that comes first keeps its head, and so its mean pose.
func (j *Job) network(opt *Options) (*model.Network, error) {
	net, err := model.New(j.Config, opt.Seed)
	if err != nil {
		return nil, err
	}
	for _, b := range j.Begin {
		if err = net.TakeFrom(b.From, b.which()); err != nil {
			return nil, fmt.Errorf("begin with %s %s: %w", b.Card.Name, b.Card.Version, err)
		}
		opt.Begun = append(opt.Begun, b.which().String()+"="+b.Card.SHA256)
		if b.whole(j.Config) {
			opt.MeanStart = false
		}
	}
	slices.Sort(opt.Begun)
	return net, nil
}

// whole reports whether a network of a configuration takes everything of it.
func (b Begin) whole(c model.Config) bool {
	return b.which() == c.Mask() && b.From.Config.Mask() == c.Mask() && b.From.Config.Head == c.Head
}

// begun notes in the card where the weights come from.
func (j *Job) begun(card *model.Card) {
	for _, b := range j.Begin {
		if b.whole(j.Config) {
			card.Parent = b.Card.SHA256
			continue
		}
		if card.Began == nil {
			card.Began = map[string]string{}
		}
		card.Began[b.which().String()] = b.Card.SHA256
	}
}

// alone notes how far off each encoder that was trained alone was, on the data that
// the fused network is judged on: what it lost in fusing is seen beside it.
func (j *Job) alone(ctx context.Context, data *Data, metrics map[string]float64, prefix string) error {
	for _, b := range j.Begin {
		of := b.From.Config.Mask()
		if of&(of-1) != 0 || data.CheckFits(b.From.Config) != nil {
			continue // not one sensor, or not of these samples
		}
		seen := *data
		seen.cfg = b.From.Config
		rep, err := Evaluate(ctx, b.From, &seen, nil, nil, data.Describe(), nil)
		if err != nil {
			return fmt.Errorf("%s alone: %w", of, err)
		}
		metrics[prefix+of.String()+"_alone_mpjpe_mm"] = rep.Coalitions[of.String()].MPJPEMM
	}
	return nil
}
