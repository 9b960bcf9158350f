package main

import (
	"cmp"
	"context"
	le "encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"posefuse/internal/jsonfile"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/sensors/modality"
	body "posefuse/skeleton"
	"posefuse/study/plot"
	"posefuse/train"
)

// evaluate runs the network on the data for every set of its sensors, and keeps and
// draws its poses if that is asked.
func (c evalCmd) evaluate(ctx context.Context, net *model.Network, card *model.Card, data, reference *train.Data, missing int, visit func(recording.Key, int, *[model.OutputDim]float32)) (*train.Report, error) {
	run, err := model.NewRuntime(net)
	if err != nil {
		return nil, err
	}
	defer func() { _ = run.Close() }() // gives memory back only
	full := net.Config.Mask()
	tap := &poseTap{Poser: run, full: full, data: data, left: len(data.Samples), draw: c.Pictures != ""}
	if c.Predictions != "" {
		if err = tap.create(c.Predictions); err != nil {
			return nil, errors.Join(fmt.Errorf("--predictions: %w", err), tap.close())
		}
		defer func() { _ = tap.close() }() // after an error; else closed below
	}
	rep, err := train.EvaluatePoser(ctx, tap, full, data, reference, full.Subsets(), data.Describe(), visit)
	if err != nil {
		return nil, err
	}
	split := c.split()
	if c.Clips != "" {
		split = "clips " + c.Clips
	}
	rep.About.Of(card, net.Config, split, missing)
	if c.Predictions != "" {
		if err := tap.finish(rep); err != nil {
			return nil, fmt.Errorf("--predictions: %w", err)
		}
	}
	if c.Pictures == "" {
		return rep, nil
	}
	picture := tap.picture(rep)
	return rep, writePicture("--pictures", c.Pictures, picture)
}

// missingOf returns how many clips of the chosen split are not in the data.
func (c evalCmd) missingOf(present []recording.Key) int {
	if c.Clips != "" {
		return 0
	}
	return c.missing(present)
}

// poseTap is a network whose poses are kept: all of them in files, those of all
// sensors to draw some.
type poseTap struct {
	train.Poser
	full modality.Set
	data *train.Data
	left int // samples to come
	rows int // of the batch that are samples

	dir   string // empty: no files
	files map[modality.Set]*os.File
	truth *os.File
	buf   []byte

	draw  bool
	seen  int
	poses []keptPose
}

type keptPose struct {
	sample      int
	mm          float64
	pose, truth [model.OutputDim]float32
}

func (p *poseTap) create(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	p.dir, p.files = dir, map[modality.Set]*os.File{}
	header := mmfi.AppendNPYHeader(nil, "f4", len(p.data.Samples), model.NumJoints, 3)
	file := func(name string) (*os.File, error) {
		f, err := os.Create(filepath.Join(dir, name+".npy"))
		if err != nil {
			return nil, err
		}
		_, err = f.Write(header)
		return f, err
	}
	var err error
	if p.truth, err = file("truth"); err != nil {
		return err
	}
	for _, set := range p.full.Subsets() {
		if p.files[set], err = file(set.String()); err != nil {
			return err
		}
	}
	return nil
}

// InferBatch implements train.Poser.
func (p *poseTap) InferBatch(b *model.Batch, n int, pose []float32) error {
	p.seen += p.rows
	p.rows = min(n, p.left)
	p.left -= p.rows
	if err := p.write(p.truth, b.Target); err != nil {
		return err
	}
	p.poses = slices.Grow(p.poses, n)
	for row := range p.rows {
		if p.draw {
			p.poses = append(p.poses, keptPose{sample: p.seen + row, truth: [model.OutputDim]float32(b.Target[row*model.OutputDim:])})
		}
	}
	return p.Poser.InferBatch(b, n, pose)
}

// Coalition implements train.Poser.
func (p *poseTap) Coalition(mask modality.Set, n int, pose []float32) error {
	if err := p.Poser.Coalition(mask, n, pose); err != nil {
		return err
	}
	if p.draw && mask == p.full {
		for row := range p.rows {
			k := &p.poses[p.seen+row]
			k.pose = [model.OutputDim]float32(pose[row*model.OutputDim:])
			k.mm = 1000 * model.MPJPE(k.pose[:], k.truth[:])
		}
	}
	return p.write(p.files[mask], pose)
}

func (p *poseTap) write(f *os.File, poses []float32) error {
	if p.dir == "" {
		return nil
	}
	p.buf = p.buf[:0]
	for _, v := range poses[:p.rows*model.OutputDim] {
		p.buf = le.LittleEndian.AppendUint32(p.buf, math.Float32bits(v))
	}
	if _, err := f.Write(p.buf); err != nil {
		return fmt.Errorf("--predictions: %w", err)
	}
	return nil
}

// finish closes the files and writes what names their rows.
func (p *poseTap) finish(rep *train.Report) error {
	if err := p.close(); err != nil {
		return err
	}
	type row struct {
		Clip  string `json:"clip"`
		Frame int    `json:"frame"` // from 1
	}
	index := struct {
		About  train.About `json:"about"`
		Data   string      `json:"data"`
		Joints []string    `json:"joints"`
		Rows   []row       `json:"rows"`
	}{About: rep.About, Data: rep.Data, Joints: train.JointNames[:]}
	for _, ref := range p.data.Samples {
		clip := p.data.Clips[ref.Clip]
		index.Rows = append(index.Rows, row{clip.Key.String(), clip.Frames[ref.Row] + 1})
	}
	return jsonfile.Write(filepath.Join(p.dir, "frames.json"), index)
}

// close closes the files; it may be called again.
func (p *poseTap) close() (err error) {
	for _, f := range p.files {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if p.truth != nil {
		err = errors.Join(err, p.truth.Close())
	}
	p.files, p.truth = nil, nil
	return err
}

// drawnPoses is how many poses a picture shows.
const drawnPoses = 6

// picture draws poses at even steps of the order from the best to the worst.
func (p *poseTap) picture(rep *train.Report) *plot.Poses {
	slices.SortStableFunc(p.poses, func(a, b keptPose) int { return cmp.Compare(a.mm, b.mm) })
	out := &plot.Poses{Title: fmt.Sprintf("Poses of %s, from the best to the worst", rep.About.Model), Caption: fmt.Sprintf("%s; %s; front above, side below", rep.Data, rep.About.Split)}
	for _, b := range body.Bones {
		out.Bones = append(out.Bones, [2]int{b.Parent, b.Child})
	}
	n := min(drawnPoses, len(p.poses))
	for i := range n {
		k := &p.poses[i*(len(p.poses)-1)/max(n-1, 1)]
		ref := p.data.Samples[k.sample]
		clip := p.data.Clips[ref.Clip]
		f := plot.Figure{Name: fmt.Sprintf("%s frame %d: %.0f mm", clip.Key, clip.Frames[ref.Row]+1, k.mm)}
		for j := range model.NumJoints {
			f.Pose = append(f.Pose, [3]float64{float64(k.pose[3*j]), float64(k.pose[3*j+1]), float64(k.pose[3*j+2])})
			f.Truth = append(f.Truth, [3]float64{float64(k.truth[3*j]), float64(k.truth[3*j+1]), float64(k.truth[3*j+2])})
		}
		out.Figures = append(out.Figures, f)
	}
	return out
}

// isPicture reports whether a picture can be written to a file of the name.
func isPicture(flag, name string) error {
	if ext := strings.ToLower(filepath.Ext(name)); name != "" && ext != ".svg" && ext != ".png" {
		return fmt.Errorf("%s %s: name a file that ends in .svg or .png", flag, name)
	}
	return nil
}

// writePicture writes an SVG or PNG file, as the name says.
func writePicture(flag, name string, picture *plot.Poses) error {
	draw := picture.SVG
	if strings.EqualFold(filepath.Ext(name), ".png") {
		draw = picture.PNG
	}
	b, err := draw()
	if err == nil {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}
