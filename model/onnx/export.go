// Package onnx writes a pose network as an ONNX model that gives the same pose
// and features as package model: same inputs, evaluation mode, batch
// normalisation folded into the weights. It only writes; nothing here reads
// ONNX.
package onnx

import (
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Versions of the format that the models state. Opset 17 is the first with
// LayerNormalization.
const (
	Opset     = 17
	irVersion = 8
)

// Options says what part of a network to write and for which batch.
type Options struct {
	// Modalities are the encoders to write, all of the network's if 0. The
	// pose is then that of model.Runtime for this coalition: the features of
	// the others are zero.
	Modalities modality.Set
	// Batch is the number of samples per run; 0 leaves it open, which makes
	// the model a little slower.
	Batch int
	// Precision of the WiFi trunk's convolutions: float32 if empty, or int8.
	Precision model.Precision
	// InputScales for int8; nil for those of the network's checkpoint.
	InputScales model.InputScales
	// Name and Version of the checkpoint, SHA256 of its weights: metadata.
	Name, Version, SHA256 string
}

// lower returns the precision if it is not float32.
func (o *Options) lower() model.Precision {
	if o.Precision == model.Float32 {
		return ""
	}
	return o.Precision
}

// PoseOutput is the output with the pose: [batch, 51], metres, camera frame.
const PoseOutput = "pose"

// InputName returns the name of a modality's input. Its shape is that of the
// array of model.Input with the batch in front.
func InputName(m modality.Kind) string { return m.String() }

// FeatureOutput returns the name of the output with a modality's features,
// [batch, 256].
func FeatureOutput(m modality.Kind) string { return m.String() + "_features" }

// Write writes the network as an ONNX model and returns its size in bytes.
// Everything lies in one file; ONNX ends at 2 GiB.
func Write(out io.Writer, net *model.Network, opt Options) (int64, error) {
	cfg := net.Config
	mask := opt.Modalities
	if mask == 0 {
		mask = cfg.Mask()
	}
	if extra := mask &^ cfg.Mask(); extra != 0 {
		return 0, fmt.Errorf("onnx export: modalities %s: the network has only %s", mask, cfg.Mask())
	}
	if opt.Batch < 0 {
		return 0, fmt.Errorf("onnx export: batch %d: want a positive number, or 0 to leave it open", opt.Batch)
	}
	scales, err := int8Scales(net, mask, opt)
	if err != nil {
		return 0, err
	}
	w := &weights{byName: map[string]tensor{}, int8: scales}
	for _, p := range net.Parameters() {
		w.byName[p.Name] = tensor{p.Shape, p.Value}
	}
	for _, b := range net.Buffers() {
		w.byName[b.Name] = tensor{b.Shape, b.Value}
	}
	g := newGraph()
	room := 0
	for _, t := range w.byName {
		room += 4 * len(t.value)
	}
	g.constants = make([]byte, 0, room+room/32)
	var features []value
	for m := range modality.Count {
		if !mask.Has(m) {
			continue
		}
		x := g.input(InputName(m), elementFloat, append(batchDim(opt.Batch), fixed(cfg.InputShape(m)...)...))
		g.scope = InputName(m)
		f := value(FeatureOutput(m))
		switch m {
		case modality.Camera:
			g.camera(f, x, w, cfg.Camera, cfg.KeypointFrame(), cfg.Carried(m))
		case modality.LiDAR:
			g.points(f, x, w, InputName(m), cfg.LiDAR, model.LiDARPointDim, opt.Batch)
		case modality.Radar:
			g.points(f, x, w, InputName(m), cfg.Radar, model.RadarPointDim, opt.Batch)
		case modality.CSI:
			g.csi(f, x, w, cfg.CSI)
		}
		features = append(features, f)
	}
	if err = g.head(cfg.Head, fusion{features, cfg.Mask(), mask}, w); err != nil {
		return 0, err
	}
	if w.err != nil {
		return 0, w.err
	}
	g.output(PoseOutput, elementFloat, append(batchDim(opt.Batch), fixed(model.OutputDim)...))
	for _, f := range features {
		g.output(f, elementFloat, append(batchDim(opt.Batch), fixed(model.FeatureDim)...))
	}
	return writeModel(out, g.parts("posefuse"), mask, opt)
}

func batchDim(batch int) []dimension {
	if batch == 0 {
		return []dimension{{name: "batch"}}
	}
	return fixed(batch)
}

// writeModel wraps the pieces of the graph.
func writeModel(out io.Writer, graph [][]byte, mask modality.Set, opt Options) (int64, error) {
	b := appendInt(nil, modelIRVersion, irVersion)
	b = appendString(b, modelProducer, "posefuse")
	b = appendString(b, modelDoc, "Fused 3D human pose: 17 joints, metres, camera frame (x right, y down, z forward).")
	b = appendMessage(b, modelOpset, appendInt(nil, opsetVersion, Opset))
	for _, e := range [][2]string{{"modalities", mask.String()}, {"precision", string(opt.lower())}, {"name", opt.Name}, {"version", opt.Version}, {"weights_sha256", opt.SHA256}} {
		if e[1] != "" {
			b = appendMessage(b, modelMetadata, appendString(appendString(nil, entryKey, e[0]), entryValue, e[1]))
		}
	}
	var inner int64
	for _, p := range graph {
		inner += int64(len(p))
	}
	b = protowire.AppendTag(b, modelGraph, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	size := int64(len(b)) + inner
	if size >= 2<<30 {
		return 0, fmt.Errorf("onnx export: the model takes %d bytes, ONNX files end at 2 GiB: export fewer modalities", size)
	}
	for _, p := range append([][]byte{b}, graph...) {
		if _, err := out.Write(p); err != nil {
			return 0, fmt.Errorf("onnx export: %w", err)
		}
	}
	return size, nil
}
