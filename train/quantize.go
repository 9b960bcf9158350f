package train

import (
	"context"
	"fmt"

	"posefuse/model"
	"posefuse/recording"
)

// QuantizeProgress is called with what is being done and the share of it done,
// from several goroutines; nil is not called.
type QuantizeProgress func(label string, share float64)

// Quantize calibrates net on samples frames of the training part of the data
// and measures on as many of the test part. It fills in the options' data and
// progress.
func Quantize(ctx context.Context, net *model.Network, window model.Window, s Split, samples int, opt model.QuantizeOptions, show QuantizeProgress) (*model.Quantization, error) {
	if len(s.Train.Keys) == 0 {
		return nil, fmt.Errorf("%s holds no training clip of %s to calibrate on", s.Train.Data.Describe(), s.Name)
	}
	calibration, err := s.Train.spread(ctx, net.Config, window, samples, show.of("loading calibration clips"))
	if err != nil {
		return nil, err
	}
	heldOut, err := s.Test.spread(ctx, net.Config, window, samples, show.of("loading held-out clips"))
	if err != nil {
		return nil, err
	}
	opt.Data = fmt.Sprintf("%s; %s", s.Test.Data.Describe(), s.Name)
	if show != nil {
		opt.Progress = func(share float64) { show("quantizing", share) }
	}
	return model.Quantize(net, calibration, heldOut, opt)
}

// of returns the progress of loading clips.
func (p QuantizeProgress) of(label string) func(done, total int) {
	if p == nil {
		return nil
	}
	return func(done, total int) { p(label, float64(done)/float64(total)) }
}

// spread loads n frames, spread evenly over up to 48 clips that are themselves
// spread evenly over those of the selection.
func (s Selection) spread(ctx context.Context, cfg model.Config, window model.Window, n int, progress func(done, total int)) (model.Samples, error) {
	const most, clipFrames = 48, 297 // MM-Fi's frames per clip
	clips := min(len(s.Keys), most, n)
	chosen := Selection{Data: s.Data, Keys: make([]recording.Key, clips), Part: s.Part}
	for i := range chosen.Keys {
		chosen.Keys[i] = s.Keys[i*len(s.Keys)/clips]
	}
	stride := max(1, clips*clipFrames/n)
	if s.Part != (Part{}) {
		stride = max(1, int(float64(stride)*(s.Part.To-s.Part.From)))
	}
	data, err := chosen.Load(ctx, cfg, window, stride, progress)
	if err != nil {
		return model.Samples{}, err
	}
	n = min(n, len(data.Samples))
	b := data.NewBatch(n)
	for i := range n {
		data.Fill(b, i, data.Samples[i*len(data.Samples)/n])
	}
	return model.Samples{Batch: b, N: n}, nil
}
