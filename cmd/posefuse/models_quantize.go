package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"posefuse/model"
	"posefuse/model/shipped"
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
		model.SetThreads(c.Threads)
	}
	net, card, err := shipped.Open(c.Model)
	if err != nil {
		return err
	}
	mode := model.Precision(c.Mode)
	if !mode.Native() {
		fmt.Fprintf(os.Stderr, "posefuse: this CPU has no instructions that make %s faster than float32: its accuracy is measured all the same, perhaps slowly, and its time not at all\n", mode)
	}
	split, err := c.choose()
	if err != nil {
		return err
	}
	show, done := progressOf()
	q, err := train.Quantize(ctx, net, card.Window, split, c.Samples, model.QuantizeOptions{Mode: mode, Clip: c.Clip}, show)
	done()
	if err != nil {
		return err
	}
	q.Created, q.Command = time.Now().UTC().Format(time.RFC3339), commandLine()
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
	if q.TimeRatio >= 1 {
		fmt.Printf("%s is no faster than float32 here: posefuse run takes float32 unless model.precision says %s\n", q.Mode, q.Mode)
	}
}
