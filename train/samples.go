package train

import (
	"bufio"
	"context"
	le "encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"posefuse/internal/jsonfile"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// SamplesFile describes a folder of samples; it is written last.
const SamplesFile = "samples.json"

// Samples is the content of that file.
type Samples struct {
	Schema int                    `json:"schema"`
	Data   string                 `json:"data"`
	Split  string                 `json:"split"`
	Window model.Window           `json:"window"`
	Config model.Config           `json:"config"`
	Arrays []Array                `json:"arrays"` // file name without .f32, shape of one sample
	Parts  map[string]SamplesPart `json:"parts"`  // train, val
}

// SamplesPart is one of the two folders.
type SamplesPart struct {
	Samples int `json:"samples"`
	Clips   int `json:"clips"`
}

// Array is one file of a part: its name without .f32, the shape of one sample.
type Array struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
}

// SampleOptions say which frames WriteSamples prepares.
type SampleOptions struct {
	Window            model.Window
	Stride, ValStride int                               // every n-th frame to train on, to validate on
	Progress          func(label string, share float64) // may be nil
}

// WriteSamples writes what training here would see of a split, after
// preprocessing, for a network of configuration cfg: raw little-endian float32,
// one file an array in train/ and val/, one row a sample. It prepares the clips
// a few at a time.
func WriteSamples(ctx context.Context, dir string, split Split, cfg model.Config, opt SampleOptions) (Samples, error) {
	v := Samples{Schema: 1, Data: split.Train.Data.Describe(), Split: split.Name,
		Window: opt.Window, Config: cfg, Parts: map[string]SamplesPart{}}
	for m := range modality.Count {
		if cfg.Mask().Has(m) {
			v.Arrays = append(v.Arrays, Array{m.String(), cfg.InputShape(m)})
		}
	}
	v.Arrays = append(v.Arrays, Array{"target", []int{model.OutputDim}})
	for _, p := range []struct {
		name   string
		from   Selection
		stride int
	}{{"train", split.Train, opt.Stride}, {"val", split.Validation, opt.ValStride}} {
		n, err := v.write(ctx, filepath.Join(dir, p.name), p.from, p.stride, opt.Progress)
		if err != nil {
			return v, err
		}
		v.Parts[p.name] = SamplesPart{n, len(p.from.Keys)}
	}
	return v, jsonfile.Write(filepath.Join(dir, SamplesFile), v)
}

// clipsAtOnce bounds the memory: a clip of MM-Fi takes 8 MB at paper size.
const clipsAtOnce = 16

// write prepares the clips and returns the number of samples.
func (v *Samples) write(ctx context.Context, dir string, s Selection, stride int, show func(label string, share float64)) (n int, err error) {
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
	for at := 0; at < len(s.Keys); at += clipsAtOnce {
		if show != nil {
			show(filepath.Base(dir), float64(at)/float64(len(s.Keys)))
		}
		few := s
		few.Keys = s.Keys[at:min(at+clipsAtOnce, len(s.Keys))]
		d, loadErr := few.Load(ctx, v.Config, v.Window, stride, nil)
		if loadErr != nil {
			return n, loadErr
		}
		b := d.NewBatch(1)
		arrays := map[string][]float32{"target": b.Target}
		for m, x := range [][]float32{b.Camera, b.LiDAR, b.Radar, b.CSI} {
			arrays[modality.Kind(m).String()] = x
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
