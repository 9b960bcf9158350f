package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"posefuse/internal/jsonfile"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/study/baseline"
	"posefuse/study/plot"
	"posefuse/train"
)

// Options say how to run an experiment; what it computes is in its File.
type Options struct {
	Out string // folder of cells and report
	// Machine describes where it runs, for cell.json.
	Machine Machine
	// Loading is called while clips are prepared, from several goroutines, and
	// Progress while cells are trained; both may be nil.
	Loading  func(label string, done, total int)
	Progress func(Progress)
	// Finished is called after each cell; may be nil.
	Finished func(c Cell, mpjpeMM, seconds float64)
}

// Progress tells how far an experiment is.
type Progress struct {
	Cell        string
	Done, Total int     // cells
	Share       float64 // of the cells to be trained in this run, 0..1
	Note        string
}

// Experiment is a file with its data, ready to run.
type Experiment struct {
	File    *File
	options Options
	dataset recording.Dataset
	source  Source
	picked  map[string]Picked // by head and method
	results map[string]*Result
}

// Result is what a finished cell leaves in result.json.
type Result struct {
	Cell         string        `json:"cell"` // its hash
	Epochs       int           `json:"epochs"`
	TrainFrames  int           `json:"train_frames"`
	TestFrames   int           `json:"test_frames"`
	TestSubjects []int         `json:"test_subjects"`
	Parameters   int           `json:"parameters"`
	Evaluation   *train.Report `json:"evaluation"` // on the test subjects; in tuning on the validation subjects

	seconds float64       // of training, also before an interruption
	curve   string        // path
	epochs  *[]plot.Epoch // of the curve, once read
}

// Provenance is cell.json: the cell, and where and when it was trained.
type Provenance struct {
	Hash     string  `json:"hash"`
	Cell     Cell    `json:"cell"`
	Data     string  `json:"data"`
	Machine  Machine `json:"machine"`
	Started  string  `json:"started"`            // RFC 3339
	Finished string  `json:"finished,omitempty"` // empty while training
	Seconds  float64 `json:"seconds,omitempty"`  // without those of epochs that were lost in a kill
}

// Open opens the experiment's data. Nothing is generated or trained yet.
func Open(f *File, opt Options) (*Experiment, error) {
	e := &Experiment{File: f, options: opt, picked: map[string]Picked{}, results: map[string]*Result{}}
	var err error
	if e.dataset, e.source, err = f.Data.open(); err != nil {
		return nil, err
	}
	own := *f
	own.Splits = f.Data.splits(f.Splits, e.dataset.Keys())
	e.File, f = &own, &own
	for _, p := range f.Protocols {
		for _, s := range f.Splits {
			if _, err = f.Data.roles(p, s, e.dataset.Keys()); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

// Simulated reports whether any figure of the experiment is about simulated
// sensors, also when they were read from a folder.
func (e *Experiment) Simulated() bool { return strings.Contains(e.dataset.Describe(), sim.Statement) }

// Run trains every cell that has no result yet: first the trials of the
// tuning, then, with what they chose, the rest. When ctx ends it stops within a
// step; what is finished stays.
func (e *Experiment) Run(ctx context.Context) error {
	p, err := e.newPools()
	if err != nil {
		return err
	}
	var trials []Cell
	if e.File.Tuning.Trials != nil {
		for _, h := range e.File.Fusions {
			for _, m := range e.File.Methods {
				for _, seeds := range e.tuningCells(h, m) {
					trials = append(trials, seeds...)
				}
			}
		}
	}
	// How many cells there will be does not depend on what the tuning chooses,
	// but for rows that happen to coincide.
	if err := e.runAll(ctx, p, trials, len(e.finalCells())); err != nil {
		return err
	}
	if err := e.pick(); err != nil {
		return err
	}
	if err := e.runAll(ctx, p, e.finalCells(), 0); err != nil {
		return err
	}
	return e.measureOverhead(ctx)
}

// MissingTrialsError is a tuning without results to choose by.
type MissingTrialsError struct {
	Trials int
	Out    string
}

func (e *MissingTrialsError) Error() string {
	return fmt.Sprintf("%d trials of the tuning are missing in %s", e.Trials, e.Out)
}

// Load reads the results there are, without training anything. Rows without
// results stay empty, but what the tuning chose must be known.
func (e *Experiment) Load() error {
	missing := 0
	load := func(cells []Cell) error {
		for _, c := range cells {
			r, err := e.read(c)
			if err != nil {
				return err
			}
			if r == nil {
				missing++
			}
		}
		return nil
	}
	if e.File.Tuning.Trials != nil {
		for _, h := range e.File.Fusions {
			for _, m := range e.File.Methods {
				for _, seeds := range e.tuningCells(h, m) {
					if err := load(seeds); err != nil {
						return err
					}
				}
			}
		}
		if missing > 0 {
			return &MissingTrialsError{missing, e.options.Out}
		}
		if err := e.pick(); err != nil {
			return err
		}
	}
	return load(e.finalCells())
}

func (e *Experiment) folder(c Cell) string { return filepath.Join(e.options.Out, "cells", c.Folder()) }

// read returns the cell's result, nil if it has none yet.
func (e *Experiment) read(c Cell) (*Result, error) {
	hash := c.Hash()
	if r := e.results[hash]; r != nil {
		return r, nil
	}
	path := filepath.Join(e.folder(c), "result.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	r := &Result{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w: delete the folder to train the cell again", path, err)
	}
	if r.Cell != hash || r.Evaluation == nil {
		return nil, fmt.Errorf("%s: it is the result of cell %q, not of %s: delete the folder to train the cell again", path, r.Cell, hash)
	}
	r.curve = filepath.Join(e.folder(c), "curve.jsonl")
	e.results[hash] = r
	return r, nil
}

// runAll trains the cells without a result. More is how many cells come after
// them, for the progress.
func (e *Experiment) runAll(ctx context.Context, p *pools, cells []Cell, more int) error {
	var todo []Cell
	for _, c := range cells {
		r, err := e.read(c)
		if err != nil {
			return err
		}
		if r == nil {
			todo = append(todo, c)
			continue
		}
		if err = e.dropCheckpoint(c); err != nil { // a kill may have come before it
			return err
		}
	}
	for i, c := range todo {
		show := func(share float64, note string) {
			if e.options.Progress != nil {
				e.options.Progress(Progress{
					Cell: c.String(), Done: len(cells) - len(todo) + i, Total: len(cells) + more,
					Share: (float64(i) + share) / float64(len(todo)+more), Note: note,
				})
			}
		}
		r, err := e.runCell(ctx, p, c, show)
		if err != nil {
			return fmt.Errorf("cell %s: %w", c.Folder(), err)
		}
		if e.options.Finished != nil {
			e.options.Finished(c, full(r).MPJPEMM, r.seconds)
		}
	}
	return nil
}

// trained is the data of one cell.
type cellData struct{ train, curve, test *train.Data }

func (e *Experiment) dataOf(ctx context.Context, p *pools, c Cell) (d cellData, err error) {
	r, err := c.Data.roles(c.Protocol, c.Split, e.dataset.Keys())
	if err != nil {
		return d, err
	}
	mask := c.Network.Mask()
	learn, held, test := r.train, r.val, r.test
	switch {
	case c.Tuning:
		test = r.val
	case c.Data.TrainOnValidation && !train.Methods.Find(c.Method).Needs.HeldOut:
		learn.keys = slices.Concat(r.train.keys, r.val.keys)
		if r.val.part != r.train.part { // the validation set is the end of the clips
			learn = selection{r.train.keys, train.Part{From: r.train.part.From, To: r.val.part.To}}
		}
		if held = r.test; c.Baseline == baseline.AverageVarianceRow {
			held = selection{} // it chooses by them: a part of the training clips must do
		}
	}
	if d.train, err = p.view(ctx, "training clips", learn, c.Training.Stride, mask); err != nil {
		return d, err
	}
	if len(held.keys) > 0 {
		if d.curve, err = p.view(ctx, "validation clips", held, c.Training.ValStride, mask); err != nil {
			return d, err
		}
	}
	d.test, err = p.view(ctx, "test clips", test, c.Training.ValStride, mask)
	return d, err
}

// options returns the recipe of a cell.
func (f *File) options(c Cell) train.Options {
	t := c.Training
	o := train.Options{Epochs: t.Epochs, Batch: t.Batch, LR: t.LR, DecayEvery: t.DecayEvery, WeightDecay: t.WeightDecay,
		Seed: c.Seed, Replicas: t.Replicas, Dropout: t.Dropout, MeanStart: t.MeanStart, TimeLimit: t.TimeLimit}
	if a := t.Augment; a != nil {
		o.Augment = &train.Augment{RotateDeg: a.RotateDeg, ShiftM: a.ShiftM, Mirror: a.Mirror, MirrorX: a.MirrorX, DropPoints: a.DropPoints, JitterM: a.JitterM}
	}
	if t.DecayEvery == 0 {
		o.ScheduleTime = t.TimeLimit
	}
	return o
}

// checkpointFolder holds a cell's state after its last epoch, while it trains.
const checkpointFolder = "checkpoint"

// runCell trains one cell, scores it and writes its folder: cell.json first,
// curve.jsonl while training, result.json last. A cell without a result.json
// is not finished; it goes on from its checkpoint.
func (e *Experiment) runCell(ctx context.Context, p *pools, c Cell, show func(share float64, note string)) (*Result, error) {
	dir := e.folder(c)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	data, err := e.dataOf(ctx, p, c)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	prov := Provenance{Hash: c.Hash(), Cell: c, Data: e.dataset.Describe(), Machine: e.options.Machine, Started: begin.UTC().Format(time.RFC3339)}
	if err = jsonfile.Write(filepath.Join(dir, "cell.json"), prov); err != nil {
		return nil, err
	}
	res := &Result{Cell: prov.Hash, TrainFrames: len(data.train.Samples), TestFrames: len(data.test.Samples), curve: filepath.Join(dir, "curve.jsonl")}
	if err = e.trainCell(ctx, c, data, res, show); err != nil {
		return nil, err
	}
	for _, clip := range data.test.Clips {
		if !slices.Contains(res.TestSubjects, clip.Key.Subject) {
			res.TestSubjects = append(res.TestSubjects, clip.Key.Subject)
		}
	}
	slices.Sort(res.TestSubjects)
	prov.Finished, prov.Seconds = time.Now().UTC().Format(time.RFC3339), res.seconds+time.Since(begin).Seconds()
	if err := jsonfile.Write(filepath.Join(dir, "cell.json"), prov); err != nil {
		return nil, err
	}
	if err := jsonfile.Write(filepath.Join(dir, "result.json"), res); err != nil {
		return nil, err
	}
	if err := e.dropCheckpoint(c); err != nil {
		return nil, err
	}
	res.seconds = prov.Seconds
	e.results[prov.Hash] = res
	return res, nil
}

// dropCheckpoint removes what only resuming a cell needs.
func (e *Experiment) dropCheckpoint(c Cell) error {
	if err := os.RemoveAll(filepath.Join(e.folder(c), checkpointFolder)); err != nil {
		return fmt.Errorf("remove the finished training's checkpoint: %w", err)
	}
	return nil
}

// trainCell trains the cell's network and scores it.
func (e *Experiment) trainCell(ctx context.Context, c Cell, data cellData, res *Result, show func(float64, string)) (err error) {
	opt := e.File.options(c)
	if opt.Method, err = train.NewMethod(c.Method, c.Settings); err != nil {
		return err
	}
	opt.Validation = data.curve
	curve, err := os.Create(res.curve)
	if err != nil {
		return fmt.Errorf("create training curve: %w", err)
	}
	defer func() {
		if closeErr := curve.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close training curve: %w", closeErr)
		}
	}()
	opt.Curve = curve
	opt.Step = func(s train.StepInfo) { show(s.Share, fmt.Sprintf("epoch %d · %.1f mm", s.Epoch, s.LossMM)) }
	opt.AfterEpoch = func(i train.EpochInfo) error {
		res.Epochs = i.Epoch
		return nil
	}
	masks, describe := c.Network.Mask().Subsets(), e.dataset.Describe()
	if c.Baseline != "" {
		p, trainErr := baseline.Train(ctx, c.Baseline, c.Network, data.train, opt)
		if trainErr != nil {
			return trainErr
		}
		defer func() { _ = p.Close() }() // gives memory back only
		show(1, "evaluating")
		res.Parameters = p.NumParameters()
		res.Evaluation, err = baseline.Evaluate(ctx, p, data.test, data.train, masks, describe, nil)
		return err
	}
	net, err := model.New(c.Network, c.Seed)
	if err != nil {
		return err
	}
	opt.Checkpoint, opt.Resume = filepath.Join(e.folder(c), checkpointFolder), true
	opt.Resumed = func(i train.ResumeInfo) { res.Epochs, res.seconds = i.Epoch, i.Elapsed.Seconds() }
	if err = train.Run(ctx, net, data.train, opt); err != nil {
		return err
	}
	show(1, "evaluating")
	res.Parameters = net.NumParameters()
	res.Evaluation, err = train.Evaluate(ctx, net, data.test, data.train, masks, describe, nil)
	return err
}
