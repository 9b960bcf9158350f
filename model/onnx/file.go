package onnx

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// File describes a file that WriteFile wrote. An open batch is -1.
type File struct {
	File       string `json:"file"`
	Bytes      int64  `json:"bytes"`
	Opset      int    `json:"opset"`
	Modalities string `json:"modalities"`
	Precision  string `json:"precision"` // of the WiFi trunk
	Inputs     []Port `json:"inputs"`
	Outputs    []Port `json:"outputs"`
}

// Port is an input or output of a model, or another array.
type Port struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
}

// WriteFile writes a model to a file that appears whole or not at all.
func WriteFile(file string, net *model.Network, opt Options) (*File, error) {
	v := &File{File: file, Opset: Opset, Modalities: opt.Modalities.String(), Precision: string(cmp.Or(opt.Precision, model.Float32))}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("write ONNX model: %w", err)
	}
	f, err := renameio.NewPendingFile(file, renameio.WithPermissions(0o644))
	if err != nil {
		return nil, fmt.Errorf("write ONNX model: %w", err)
	}
	defer func() { _ = f.Cleanup() }() // does nothing after the replacement
	if v.Bytes, err = Write(f, net, opt); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return nil, fmt.Errorf("write ONNX model: %w", err)
	}
	batch := opt.Batch
	if batch == 0 {
		batch = -1
	}
	v.Outputs = []Port{{PoseOutput, []int{batch, model.OutputDim}}}
	for m := range modality.Count {
		if opt.Modalities.Has(m) {
			v.Inputs = append(v.Inputs, Port{InputName(m), append([]int{batch}, net.Config.InputShape(m)...)})
			v.Outputs = append(v.Outputs, Port{FeatureOutput(m), []int{batch, model.FeatureDim}})
		}
	}
	return v, nil
}
