package baseline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"

	"posefuse/model"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// The recipe of X-Fi's first baseline (reference/model.md 2.7).
const (
	tokensRate   = 1e-3
	tokensDecay  = 1e-2 // AdamW's usual one; the source names none
	tokensEpochs = 35
	tokensSteps  = 400 // an epoch at most
	tokensBatch  = 16
	tokensEps    = 1e-5 // of the layer norm
)

// tokens is the first baseline X-Fi compares itself with: networks of one
// modality each are trained and frozen, the features of those that are there
// are tokens, and their mean goes through a layer norm and a linear layer. It
// differs in that a modality is one token of model.FeatureDim values, the
// encoders' common output, where X-Fi's has 32 of 512.
type tokens struct {
	singles
	head  tokenHead
	mean  []float32 // the pose without a sensor
	token []float32
}

// tokenHead is the layer norm and the linear layer; only they learn from the
// joint pose.
type tokenHead struct {
	gain, shift  []float32 // FeatureDim
	weight, bias []float32 // OutputDim x FeatureDim, OutputDim

	normed, hidden []float32 // of the last token
}

func newTokenHead(seed uint64, bias []float32) tokenHead {
	h := tokenHead{gain: make([]float32, model.FeatureDim), shift: make([]float32, model.FeatureDim),
		weight: make([]float32, model.OutputDim*model.FeatureDim), bias: make([]float32, model.OutputDim),
		normed: make([]float32, model.FeatureDim), hidden: make([]float32, model.FeatureDim)}
	rng := rand.New(rand.NewPCG(seed, 0x746f6b656e))
	bound := float32(1 / math.Sqrt(model.FeatureDim))
	for i := range h.weight {
		h.weight[i] = (2*rng.Float32() - 1) * bound
	}
	for i := range h.gain {
		h.gain[i] = 1
	}
	copy(h.bias, bias)
	return h
}

func (h *tokenHead) parameters() [][]float32 {
	return [][]float32{h.gain, h.shift, h.weight, h.bias}
}

// forward writes the pose of a token, metres.
func (h *tokenHead) forward(token, pose []float32) {
	sum, square := 0.0, 0.0
	for _, v := range token {
		sum += float64(v)
	}
	mean := sum / float64(len(token))
	for _, v := range token {
		square += (float64(v) - mean) * (float64(v) - mean)
	}
	scale := 1 / math.Sqrt(square/float64(len(token))+tokensEps)
	for i, v := range token {
		h.normed[i] = float32((float64(v) - mean) * scale)
		h.hidden[i] = h.gain[i]*h.normed[i] + h.shift[i]
	}
	for o := range pose {
		sum := h.bias[o]
		for i, w := range h.weight[o*model.FeatureDim:][:model.FeatureDim] {
			sum += w * h.hidden[i]
		}
		pose[o] = sum
	}
}

// backward adds to grad, ordered as parameters, the gradient of the last
// forward's pose.
func (h *tokenHead) backward(dpose []float32, grad [][]float32) {
	for o, d := range dpose {
		grad[3][o] += d
		row := grad[2][o*model.FeatureDim:][:model.FeatureDim]
		for i, w := range h.weight[o*model.FeatureDim:][:model.FeatureDim] {
			row[i] += d * h.hidden[i]
			grad[0][i] += d * w * h.normed[i]
			grad[1][i] += d * w
		}
	}
}

// trainTokens trains a network for each modality with the options, then the
// head on their features with X-Fi's recipe: mean squared error, AdamW. The
// head takes seconds and calls nobody back.
func trainTokens(ctx context.Context, cfg model.Config, data *train.Data, opt train.Options) (p Predictor, err error) {
	nets, err := TrainSingles(ctx, cfg, data, opt)
	if err != nil {
		return nil, err
	}
	t := &tokens{mean: MeanPose(data), token: make([]float32, model.FeatureDim)}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	for _, net := range nets {
		if err = t.add(net); err != nil {
			return nil, err
		}
	}
	var bias []float32
	if opt.MeanStart {
		bias = t.mean
	}
	t.head = newTokenHead(opt.Seed, bias)
	for _, p := range t.head.parameters() {
		t.params += len(p)
	}
	return t, t.trainHead(ctx, data, opt.Seed)
}

// meanTokens returns the samples' tokens, all modalities there, as one row of
// FeatureDim each.
func (t *tokens) meanTokens(ctx context.Context, data *train.Data) ([]float32, error) {
	const size = 32
	b := data.NewBatch(size)
	out := make([]float32, 0, len(data.Samples)*model.FeatureDim)
	for at := 0; at < len(data.Samples); at += size {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(size, len(data.Samples)-at)
		for row := range size {
			data.Fill(b, row, data.Samples[at+min(row, n-1)])
		}
		if err := t.infer(b, size); err != nil {
			return nil, err
		}
		for s := range n {
			t.average(t.mask, s)
			out = append(out, t.token...)
		}
	}
	return out, nil
}

func (t *tokens) trainHead(ctx context.Context, data *train.Data, seed uint64) error {
	rows, err := t.meanTokens(ctx, data)
	if err != nil {
		return err
	}
	var params []*model.Parameter
	var grad [][]float32
	for _, p := range t.head.parameters() {
		grad = append(grad, make([]float32, len(p)))
		params = append(params, &model.Parameter{Value: p, Grad: grad[len(grad)-1]})
	}
	adam := model.NewAdam(params, 0)
	pose, dpose := make([]float32, model.OutputDim), make([]float32, model.OutputDim)
	batch := min(tokensBatch, len(data.Samples))
	for epoch := range tokensEpochs {
		order := rand.New(rand.NewPCG(seed, 0x746f6b656e+uint64(epoch+1)<<40)).Perm(len(data.Samples))
		for step := range min(len(order)/batch, tokensSteps) {
			if err := ctx.Err(); err != nil {
				return err
			}
			for _, g := range grad {
				clear(g)
			}
			for _, s := range order[step*batch : (step+1)*batch] {
				t.head.forward(rows[s*model.FeatureDim:(s+1)*model.FeatureDim], pose)
				want := truth(data, data.Samples[s])
				for i := range dpose {
					dpose[i] = 2 * (pose[i] - want[i]) / float32(batch*model.OutputDim)
				}
				t.head.backward(dpose, grad)
			}
			for _, p := range params {
				for k := range p.Value { // AdamW: the decay does not pass through the moments
					p.Value[k] *= 1 - tokensRate*tokensDecay
				}
			}
			adam.Step(tokensRate)
		}
	}
	return nil
}

// average writes the mean of the members' features of a sample to token.
func (t *tokens) average(members modality.Set, s int) {
	clear(t.token)
	share := 1 / float32(bits.OnesCount8(uint8(members)))
	for m := range members.Kinds() {
		for i, v := range t.feature(m, s) {
			t.token[i] += v * share
		}
	}
}

// InferBatch implements Predictor.
func (t *tokens) InferBatch(b *model.Batch, n int, pose []float32) error {
	if err := t.infer(b, n); err != nil {
		return fmt.Errorf("xfi-tokens: %w", err)
	}
	return t.Coalition(t.mask, n, pose)
}

// Coalition implements Predictor: without any member the mean training pose.
func (t *tokens) Coalition(mask modality.Set, n int, pose []float32) error {
	if len(pose) != n*model.OutputDim || n > len(t.present) {
		return fmt.Errorf("xfi-tokens: coalition %s of %d samples into %d values: the last batch held %d", mask, n, len(pose), len(t.present))
	}
	for s := range n {
		to := pose[s*model.OutputDim : (s+1)*model.OutputDim]
		members := mask & t.mask & t.present[s]
		if members == 0 {
			copy(to, t.mean)
			continue
		}
		t.average(members, s)
		t.head.forward(t.token, to)
	}
	return nil
}
