package main

import (
	"bufio"
	"context"
	le "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"posefuse/internal/jsonfile"
	"posefuse/model"
	"posefuse/model/onnx"
	"posefuse/model/shipped"
	"posefuse/recording"
	"posefuse/sensors/modality"
	"posefuse/train"
)

type modelsSamplesCmd struct {
	dataFlags
	Model     string `placeholder:"DIR" help:"Checkpoint the samples are for, e.g. the one export --safetensors wrote; the shipped edge model if empty."`
	Stride    int    `default:"1" help:"Take every n-th frame for training."`
	ValStride int    `default:"4" help:"Take every n-th frame for validation."`
	Out       string `required:"" placeholder:"DIR" help:"Folder to write; it must not hold samples yet."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsSamplesCmd) Help() string {
	return "Writes what training here would see, after preprocessing: raw little-endian float32, one file per array\n" +
		"in train/ and val/, one row per sample, and samples.json with the shapes. MM-Fi's protocol 1 at paper size\n" +
		"takes 7 GB.\n\n" +
		"Example:\n\n  posefuse models samples --mmfi /data/mmfi --protocol 1 --split s1 --model start --out samples"
}

// samplesFile describes a folder of samples; it is written last.
const samplesFile = "samples.json"

// samplesView is the content of samples.json.
type samplesView struct {
	Schema int                    `json:"schema"`
	Data   string                 `json:"data"`
	Split  string                 `json:"split"`
	Window model.Window           `json:"window"`
	Config model.Config           `json:"config"`
	Arrays []onnx.Port            `json:"arrays"` // file name without .f32, shape of one sample
	Parts  map[string]samplesPart `json:"parts"`  // train, val
}

// samplesPart is one of the two folders.
type samplesPart struct {
	Samples int `json:"samples"`
	Clips   int `json:"clips"`
}

// Run prepares the clips a few at a time and appends them to the files.
func (c modelsSamplesCmd) Run(ctx context.Context) error {
	if c.Stride < 1 || c.ValStride < 1 {
		return fmt.Errorf("--stride %d, --val-stride %d: want at least 1", c.Stride, c.ValStride)
	}
	if _, err := os.Stat(filepath.Join(c.Out, samplesFile)); err == nil {
		return fmt.Errorf("models samples: %s holds samples already: choose another folder", c.Out)
	}
	net, card, err := shipped.Open(c.Model)
	if err != nil {
		return err
	}
	if err = net.Close(); err != nil {
		return err
	}
	trainSet, valSet, err := c.open()
	if err != nil {
		return err
	}
	trainKeys, valKeys, err := c.keys(trainSet, valSet)
	if err != nil {
		return err
	}
	v := samplesView{Schema: 1, Data: trainSet.Describe(), Split: c.split(),
		Window: card.Window, Config: card.Config, Parts: map[string]samplesPart{}}
	for m := range modality.Count {
		if card.Config.Mask().Has(m) {
			v.Arrays = append(v.Arrays, onnx.Port{Name: onnx.InputName(m), Shape: onnx.InputShape(card.Config, m)})
		}
	}
	v.Arrays = append(v.Arrays, onnx.Port{Name: "target", Shape: []int{model.OutputDim}})
	for _, p := range []struct {
		name string
		ds   recording.Dataset
		keys []recording.Key
		opt  train.LoadOptions
	}{
		{"train", trainSet, trainKeys, train.LoadOptions{Window: v.Window, Stride: c.Stride, Part: c.part(forTraining)}},
		{"val", valSet, valKeys, train.LoadOptions{Window: v.Window, Stride: c.ValStride, Part: c.part(forValidation)}},
	} {
		n, writeErr := v.write(ctx, filepath.Join(c.Out, p.name), p.ds, p.keys, p.opt)
		if writeErr != nil {
			return writeErr
		}
		v.Parts[p.name] = samplesPart{n, len(p.keys)}
	}
	if err := jsonfile.Write(filepath.Join(c.Out, samplesFile), v); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(v)
	}
	fmt.Printf("%s: %d training and %d validation samples of %s\n", c.Out, v.Parts["train"].Samples, v.Parts["val"].Samples, v.Data)
	return nil
}

// clipsAtOnce bounds the memory: a clip of MM-Fi takes 8 MB at paper size.
const clipsAtOnce = 16

// write prepares the clips and returns the number of samples.
func (v *samplesView) write(ctx context.Context, dir string, ds recording.Dataset, keys []recording.Key, opt train.LoadOptions) (n int, err error) {
	if err = os.MkdirAll(dir, 0o755); err != nil {
		return 0, fmt.Errorf("create output folder: %w", err)
	}
	var files []*floatFile
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.close())
		}
	}()
	for _, a := range v.Arrays {
		f, createErr := createFloats(filepath.Join(dir, a.Name+".f32"))
		if createErr != nil {
			return 0, createErr
		}
		files = append(files, f)
	}
	bar := newProgress(filepath.Base(dir))
	defer bar.done()
	for at := 0; at < len(keys); at += clipsAtOnce {
		bar.show(float64(at)/float64(len(keys)), "")
		d, loadErr := train.Load(ctx, ds, keys[at:min(at+clipsAtOnce, len(keys))], v.Config, opt)
		if loadErr != nil {
			return n, loadErr
		}
		b := d.NewBatch(1)
		arrays := map[string][]float32{"target": b.Target}
		for m, x := range [][]float32{b.Camera, b.LiDAR, b.Radar, b.CSI} {
			arrays[onnx.InputName(modality.Kind(m))] = x
		}
		for _, ref := range d.Samples {
			d.Fill(b, 0, ref)
			for i, a := range v.Arrays {
				files[i].write(arrays[a.Name])
			}
			n++
		}
	}
	return n, nil
}

// floatFile is a file of float32 values. It keeps the first error until close.
type floatFile struct {
	f   *os.File
	w   *bufio.Writer
	buf []byte
	err error
}

func createFloats(path string) (*floatFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err // names the file and what is wrong
	}
	return &floatFile{f: f, w: bufio.NewWriterSize(f, 1<<20)}, nil
}

func (f *floatFile) write(x []float32) {
	f.buf = f.buf[:0]
	for _, v := range x {
		f.buf = le.LittleEndian.AppendUint32(f.buf, math.Float32bits(v))
	}
	if _, err := f.w.Write(f.buf); err != nil && f.err == nil {
		f.err = err
	}
}

func (f *floatFile) close() error {
	err := errors.Join(f.err, f.w.Flush(), f.f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", f.f.Name(), err)
	}
	return nil
}
