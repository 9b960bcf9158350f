package main

import "posefuse/study/bench"

// benchCmd groups the measurements; without a subcommand it measures the
// network.
type benchCmd struct {
	Model    bench.Inference `cmd:"" default:"withargs" help:"Time inference: sizes, precisions, threads, sets of sensors (the default)."`
	Train    bench.Training  `cmd:"" help:"Time training steps and state their memory."`
	Scaling  bench.Scaling   `cmd:"" help:"How cost grows with points, batch and rooms."`
	Peers    bench.Peers     `cmd:"" help:"Time the network against ONNX Runtime and PyTorch and hold the ratios against the project's bars."`
	Detector bench.Detector  `cmd:"" help:"Measure the error of the camera's keypoint detector against a better model and known motion."`
	Decode   bench.Decode    `cmd:"" help:"Time the decoders of LiDARs and radars against what the sensors send."`
	Record   bench.Record    `cmd:"" help:"Measure what recording a session costs."`
	Room     benchRoomCmd    `cmd:"" help:"How many rooms this machine carries: daemons and simulated sensors, each in a process of its own."`
	Parity   bench.Parity    `cmd:"" help:"Compare the network with the same one in PyTorch: outputs, gradients, training curve, round trip of weights."`
}

// Help shows the command's example.
func (benchCmd) Help() string {
	return "Example: what one sample takes on this machine, and how that compares with other programs\n\n" +
		"  posefuse bench\n  posefuse bench peers --threads 2"
}
