package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"posefuse/model"
	"posefuse/model/nn/kernel"
	"posefuse/recording"
	"posefuse/train"
)

type modelsQuantizeCmd struct {
	dataFlags
	Mode    string `required:"" enum:"bf16,int8" help:"Number format of the WiFi trunk's convolutions: ${enum}."`
	Model   string `placeholder:"DIR" help:"Folder with card.json and its weights; the shipped edge model if empty."`
	Out     string `required:"" placeholder:"DIR" help:"Folder for the checkpoint that runs in this mode."`
	Samples int    `default:"256" help:"Frames to calibrate on, and as many held-out ones to evaluate on."`
	Clip    string `default:"mse" enum:"mse,max,percentile" help:"How int8 chooses the largest activation: ${enum}."`
	Threads int    `default:"0" help:"CPU threads; 0 for all."`
	JSON    bool   `name:"json" help:"Print the card's part as JSON."`
}

// Help shows the command's example.
func (modelsQuantizeCmd) Help() string {
	return "Calibrates on the training part of the data, evaluates float32 and the mode on its validation part, and writes\n" +
		"both errors and times into the new card. The weights stay float32 in the file.\n\n" +
		"Examples:\n\n" +
		"  posefuse models quantize --mode int8 --out models/edge-int8\n" +
		"  posefuse models quantize --mode bf16 --mmfi /data/mmfi --protocol 1 --split s1 --model models/paper --out models/paper-bf16"
}

// Run calibrates, measures and writes the checkpoint.
func (c modelsQuantizeCmd) Run(ctx context.Context) error {
	if c.Samples < 1 {
		return fmt.Errorf("--samples %d: want at least 1", c.Samples)
	}
	if c.Threads > 0 {
		kernel.SetThreads(c.Threads)
	}
	net, card, err := loadModel(c.Model)
	if err != nil {
		return err
	}
	mode := model.Precision(c.Mode)
	if !mode.Native() {
		fmt.Fprintf(os.Stderr, "posefuse: this CPU has no instructions for %s: its accuracy is measured in portable code, slowly, and its time not at all\n", mode)
	}
	q, err := c.quantize(ctx, net, card.Window, c.Samples, model.QuantizeOptions{Mode: mode, Clip: c.Clip})
	if err != nil {
		return err
	}
	q.Created, q.Command = time.Now().UTC().Format(time.RFC3339), strings.Join(append([]string{"posefuse"}, os.Args[1:]...), " ")
	card.Quantization = q
	if card, err = model.SaveCheckpoint(c.Out, net, card); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(q)
	}
	printQuantization(q)
	fmt.Printf("written to %s (%s)\n", c.Out, card.Weights)
	return nil
}

// quantize calibrates net on samples frames of the training part of the data
// and measures on as many of the validation part.
func (f dataFlags) quantize(ctx context.Context, net *model.Network, window model.Window, samples int, opt model.QuantizeOptions) (*model.Quantization, error) {
	trainSet, valSet, err := f.open()
	if err != nil {
		return nil, err
	}
	trainKeys, valKeys, err := f.keys(trainSet, valSet)
	if err != nil {
		return nil, err
	}
	if len(trainKeys) == 0 {
		return nil, fmt.Errorf("%s holds no training clip of protocol %d, split %s to calibrate on", trainSet.Describe(), f.Protocol, f.Split)
	}
	calibration, err := spreadSamples(ctx, "loading calibration clips", trainSet, trainKeys, net.Config, train.LoadOptions{Window: window, Part: f.part(forTraining)}, samples)
	if err != nil {
		return nil, err
	}
	heldOut, err := spreadSamples(ctx, "loading held-out clips", valSet, valKeys, net.Config, train.LoadOptions{Window: window, Part: f.part(forTest)}, samples)
	if err != nil {
		return nil, err
	}
	bar := newProgress("quantizing")
	defer bar.done()
	opt.Data = fmt.Sprintf("%s; %s", valSet.Describe(), f.split())
	opt.Progress = func(share float64) { bar.show(share, "") }
	return model.Quantize(net, calibration, heldOut, opt)
}

func printQuantization(q *model.Quantization) {
	fmt.Printf("data: %s\n", q.Data)
	if q.Samples > 0 {
		fmt.Printf("calibrated on %d frames, clip %s; ", q.Samples, q.Clip)
	}
	fmt.Printf("evaluated on %d held-out frames\n\n%-8s %10s %10s\n", q.HeldOut, "", "MPJPE mm", "median ms")
	row := func(p model.Precision, mpjpe, ms float64) {
		fmt.Printf("%-8s %10.3f", p, mpjpe)
		if q.MedianMS > 0 {
			fmt.Printf(" %10.2f", ms)
		}
		fmt.Println()
	}
	row(model.Float32, q.MPJPEFloat32MM, q.MedianFloat32MS)
	row(q.Mode, q.MPJPEMM, q.MedianMS)
	fmt.Printf("\nCSI alone: %.3f mm in float32, %.3f mm in %s; a joint moves by %.3f mm\n", q.CSIFloat32MM, q.CSIMM, q.Mode, q.CSIMovesMM)
	fmt.Printf("difference %+.3f mm; a joint moves by %.3f mm on average", q.DifferenceMM, q.DisplacementMM)
	if q.MedianMS > 0 {
		fmt.Printf("; %.2f of float32's time (%d threads, %s)", q.TimeRatio, q.Threads, q.CPU)
	}
	fmt.Println()
}

// spreadSamples loads n frames, spread evenly over up to 48 clips that are
// themselves spread evenly over keys.
func spreadSamples(ctx context.Context, label string, ds recording.Dataset, keys []recording.Key, cfg model.Config, opt train.LoadOptions, n int) (model.Samples, error) {
	const most, clipFrames = 48, 297 // MM-Fi's frames per clip
	clips := min(len(keys), most, n)
	chosen := make([]recording.Key, clips)
	for i := range chosen {
		chosen[i] = keys[i*len(keys)/clips]
	}
	opt.Stride = max(1, clips*clipFrames/n)
	if opt.Part != (train.Part{}) {
		opt.Stride = max(1, int(float64(opt.Stride)*(opt.Part.To-opt.Part.From)))
	}
	data, err := loadWithProgress(ctx, label, ds, chosen, cfg, opt)
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
