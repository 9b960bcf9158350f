package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"posefuse/internal/jsonfile"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/model/shipped"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/retrain"
	"posefuse/train"
)

type retrainCmd struct {
	Labelled   []string `placeholder:"DIR" help:"Folder of the room's recordings with ground truth, in MM-Fi's layout; may be given again."`
	Unlabelled []string `placeholder:"DIR" help:"The same without ground truth: the model labels what it is sure of itself. Needs labelled ones to judge by."`
	Session    []string `placeholder:"NAME" help:"Recorded session of the state folder, by name or path; it counts as unlabelled without --labels and without a file labels.csv or labels.npy in its folder."`
	Labels     []string `placeholder:"FILE" help:"Joints measured beside the session, .csv, .npy, .trc or .c3d; as many as sessions, in their order, each aligned by how the body moves. - for a session without."`
	LabelRate  float64  `default:"10" help:"Frames a second of --labels that end in .npy."`
	Judge      []string `placeholder:"DIR" help:"Labelled recordings to judge by only."`
	State      string   `default:"./posefuse-state" placeholder:"DIR" help:"The daemon's state_dir."`

	liveFlags

	dataFlags `group:"Old recordings, which the serving model was trained on:"`
	OldClips  int `default:"54" help:"How many of the old recordings are trained on again, so that nothing is forgotten."`
	OldJudge  int `default:"54" help:"How many others of the old recordings are judged by; as many again help to choose before."`

	Stride    int     `default:"3" help:"Take every n-th frame of new recordings."`
	OldStride int     `default:"3" help:"Take every n-th frame of old ones: the more old frames beside the new, the less is forgotten and learned."`
	Epochs    int     `default:"12" help:"Epochs at most."`
	Patience  int     `default:"3" help:"Stop after so many epochs that are no better."`
	Batch     int     `default:"48" help:"Samples per step."`
	LR        float64 `name:"lr" default:"0.0002" help:"Learning rate at the start."`
	Balance   string  `default:"awc" enum:"${methods}" help:"Balancing method: ${enum}."`
	DropModal float64 `name:"modality-dropout" default:"0.5" help:"Share of samples trained on a random set of sensors."`
	Sure      float64 `default:"0.5" help:"Share of the unlabelled frames that is used: those whose sigma_mm is lowest."`
	Seed      uint64  `default:"1" help:"Seed."`
	Margin    float64 `default:"2" help:"Gate: by how many per cent the error on new recordings must fall, shown beyond chance."`
	Limit     float64 `default:"2" help:"Gate: by how many per cent it may rise on old recordings, and for any set of sensors or activity."`
	CPU       float64 `name:"cpu" default:"0.5" help:"Cores that it may use on average."`
	Memory    int64   `default:"1024" help:"MiB of memory that it may use."`
	Gentle    bool    `default:"true" negatable:"" help:"Give way to everything else on this machine."`
	Shadow    int     `name:"shadow-ticks" default:"200" help:"With --nats: ticks on which a candidate that passed the gate runs beside the serving model before it is promoted."`
	Candidate bool    `help:"Leave the model as a candidate when it passes the gate; a person promotes it."`
	JSON      bool    `name:"json" help:"Print JSON."`
	Report    bool    `help:"Print how it goes, and the result, as JSON lines: what a daemon reads that was asked to retrain."`
}

// Help shows the command's example.
func (retrainCmd) Help() string {
	return "Trains the model that serves further on a room's own recordings, adds it to the registry as a candidate and\n" +
		"compares both on recordings that neither saw (the gate). A candidate that is better is promoted, one that is not is\n" +
		"rejected with the reason. With --nats it first runs beside the serving model of the daemon, which then changes over\n" +
		"at once; without, it serves when the daemon starts next. It runs at the lowest priority; stopped in any way, the\n" +
		"same command goes on.\n\n" +
		"Examples:\n\n  posefuse retrain --labelled /data/room1 --state /var/lib/posefuse\n" +
		"  posefuse retrain --mars /data/mars --mars-hold-out 2 --state /var/lib/posefuse\n" +
		"  posefuse retrain --session 20260102T150405Z-P017 --judge /data/room1 --state /var/lib/posefuse --nats nats://127.0.0.1:4222"
}

// retrainResult is what the command prints.
type retrainResult struct {
	Model  registry.ID    `json:"model"`
	State  registry.State `json:"state"`
	Reason string         `json:"reason"`
	Epoch  int            `json:"epoch"` // whose weights they are
	Epochs int            `json:"epochs"`
	Gate   *registry.Gate `json:"gate"`
}

// Run retrains, judges and promotes or rejects.
func (c retrainCmd) Run(ctx context.Context) error {
	if !(c.CPU > 0) || c.Memory < 1 {
		return fmt.Errorf("--cpu %g, --memory %d: want more than nothing", c.CPU, c.Memory)
	}
	reg := registry.Open(c.State, nil)
	base, card, name, err := c.serving(reg)
	if err != nil {
		return err
	}
	defer func() { _ = base.Close() }() // the process ends here
	job, err := c.job(base, card, name)
	if err != nil {
		return err
	}
	if err = job.Check(); err != nil {
		return fmt.Errorf("%w (--labelled, --unlabelled, --judge)", err)
	}
	show := &retrainView{epochs: c.Epochs}
	if c.Report {
		show.lines = json.NewEncoder(os.Stdout)
	}
	if c.NATS != "" {
		if show.daemon, err = c.connect(); err != nil {
			return err
		}
		defer show.daemon.nc.Close()
	}
	if c.Gentle { // from here on, a server may wait long for an answer
		if err = retrain.GoLast(); err != nil {
			return err
		}
	}
	threads := max(int(math.Ceil(c.CPU)), 1)
	model.SetThreads(threads)
	runtime.GOMAXPROCS(threads) // the other cores stay free
	debug.SetMemoryLimit(c.Memory << 20)
	debug.SetGCPercent(train.GarbagePercent)
	job.Wait = retrain.NewBudget(c.CPU).Wait
	if job.Work, err = c.work(&card, job); err != nil {
		return err
	}
	job.Tell, job.Ready = show.tell, show.ready
	r, err := job.Run(ctx)
	show.done()
	if err == nil {
		err = c.finish(ctx, reg, job, r, show)
	}
	if err != nil {
		show.failed(err)
		return c.advise(err, job.Work)
	}
	return nil
}

// serving opens the model that serves.
func (c retrainCmd) serving(reg *registry.Registry) (net *model.Network, card model.Card, name string, err error) {
	net, card, problems := reg.Serving()
	if len(problems) > 0 {
		return nil, card, "", fmt.Errorf("retrain the serving model: %w", errors.Join(problems...))
	}
	if net != nil {
		return net, card, card.Name + "/" + card.Version, nil
	}
	net, card, err = shipped.Load()
	return net, card, registry.Shipped, err
}

// job makes a retraining of the flags.
func (c retrainCmd) job(base *model.Network, card model.Card, name string) (*retrain.Job, error) {
	j := &retrain.Job{Base: base, Card: card, Name: name, Stride: c.Stride, OldStride: c.OldStride, Epochs: c.Epochs, Patience: c.Patience, Batch: c.Batch, LR: c.LR,
		Seed: c.Seed, Replicas: 1, Dropout: c.DropModal, SureShare: c.Sure, Rule: retrain.Rule{MarginPercent: c.Margin, LimitPercent: c.Limit}, MemoryBytes: c.Memory << 20}
	var err error
	if j.Method, err = train.NewMethod(c.Balance, train.MethodSettings{}); err != nil {
		return nil, err
	}
	if err = c.sessions(j); err != nil {
		return nil, err
	}
	for _, kind := range []struct {
		dirs []string
		to   *[]train.Selection
	}{{c.Labelled, &j.Labelled}, {c.Unlabelled, &j.Unlabelled}, {c.Judge, &j.Judge}} {
		for _, dir := range kind.dirs {
			ds, openErr := openMMFi(dir)
			if openErr != nil {
				return nil, openErr
			}
			*kind.to = append(*kind.to, train.Selection{Data: ds, Keys: ds.Keys()})
		}
	}
	split, err := c.oldRecordings(base.Config)
	if err != nil {
		return nil, err
	}
	j.Old, j.OldStop, j.OldJudge = split.Train, split.Test, split.Test
	if c.MARS != "" && c.MARSHoldOut != 0 { // the model meets this person
		j.Labelled = append(j.Labelled, split.Test)
		for to, part := range map[*train.Selection]train.Part{&j.Old: train.TrainPart, &j.OldStop: train.ValPart, &j.OldJudge: train.TestPart} {
			*to = train.Selection{Data: split.Train.Data, Keys: split.Train.Keys, Part: part}
		}
		return j, nil
	}
	j.Old.Keys, j.OldJudge.Keys = spread(j.Old.Keys, c.OldClips), spread(j.OldJudge.Keys, c.OldJudge)
	rest := slices.DeleteFunc(slices.Clone(split.Test.Keys), func(k recording.Key) bool { return slices.Contains(j.OldJudge.Keys, k) })
	j.OldStop.Keys = spread(rest, c.OldJudge)
	return j, nil
}

// oldRecordings are those of the flags; without any those of the simulator that a
// network of its recipe is trained on.
func (c retrainCmd) oldRecordings(cfg model.Config) (s train.Split, err error) {
	if cfg.Recipe != model.RecipeRoom || c.Rooms != "" || c.MMFi != "" || c.MARS != "" || c.Mocap != "" {
		return c.choose()
	}
	known, others, err := c.drawRooms(sim.DefaultRanges(), c.SimSeed, nil, nil)
	if err != nil {
		return s, err
	}
	s.Train = train.Selection{Data: known, Keys: known.Keys()}
	s.Test = train.Selection{Data: others, Keys: others.Keys()}
	return s, nil
}

// spread takes n of the clips, evenly over people and activities.
func spread(keys []recording.Key, n int) []recording.Key {
	if n >= len(keys) {
		return keys
	}
	var out []recording.Key
	for i := range n {
		out = append(out, keys[i*len(keys)/n])
	}
	return out
}

// started is what a retraining keeps of its start.
type started struct {
	Version string `json:"version"`
	Created string `json:"created"`
	Command string `json:"command"`
}

const startedFile = "retrain.json"

// work returns the folder of the retraining's state, which is named by the model
// and the options, so that the same command goes on and another one starts anew.
func (c retrainCmd) work(card *model.Card, j *retrain.Job) (string, error) {
	var data []string
	for _, list := range [][]train.Selection{j.Labelled, j.Unlabelled, j.Judge, {j.Old, j.OldStop, j.OldJudge}} {
		for _, s := range list {
			data = append(data, fmt.Sprintf("%s %d", s.Data.Describe(), len(s.Keys)))
		}
	}
	c.CPU, c.Memory, c.JSON, c.Report, c.Candidate, c.liveFlags, c.Shadow, c.Gentle = 0, 0, false, false, false, liveFlags{}, 0, false // which change nothing
	b, err := json.Marshal(struct {
		Base  string
		Flags retrainCmd
		Data  []string
	}{card.SHA256, c, data})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	dir := filepath.Join(c.State, "retrain", hex.EncodeToString(sum[:6]))
	file := filepath.Join(dir, startedFile)
	if _, err = os.Stat(file); err == nil {
		fmt.Fprintf(os.Stderr, "going on with %s\n", dir)
		return dir, nil
	}
	if err = os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("retrain: %w", err)
	}
	now := time.Now().UTC()
	return dir, jsonfile.Write(file, started{Version: now.Format("20060102T150405Z"), Created: now.Format(time.RFC3339), Command: commandLine()})
}

// finish adds the candidate to the registry with its figures, promotes it or
// rejects it, and removes the state.
func (c retrainCmd) finish(ctx context.Context, reg *registry.Registry, j *retrain.Job, r *retrain.Result, show *retrainView) error {
	var s started
	b, err := os.ReadFile(filepath.Join(j.Work, startedFile))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return fmt.Errorf("retrain: %w", err)
	}
	card := r.Card
	if r.OldJudge != nil {
		angles, angleErr := angleErrors(ctx, r.Net, r.OldJudge, j.OldJudge.Data)
		if angleErr != nil {
			return angleErr
		}
		f := angles.Figures()
		card.AngleSDDeg, card.MovementShare = f.AngleSDDeg, f.MovementShare
	}
	card.Version, card.Created, card.Command = s.Version, s.Created, s.Command
	id := registry.ID{Name: card.Name, Version: card.Version}
	folder := filepath.Join(j.Work, "candidate")
	if _, err = model.SaveCheckpoint(folder, r.Net, card); err != nil {
		return err
	}
	if _, err = reg.Add(folder, "retrained from "+j.Name); err != nil && !errors.Is(err, registry.ErrExists) { // of this command, killed after
		return err
	}
	for _, s := range c.Session {
		r.Gate.Sessions = append(r.Gate.Sessions, filepath.Base(s))
	}
	if err = reg.Judged(id, r.Gate); err != nil {
		return err
	}
	if r.Gate.Passed && !c.Candidate {
		if err = c.promote(ctx, reg, id, r.Gate.Reason, show.daemon); err != nil {
			return err
		}
	}
	e, err := reg.Entry(id)
	if err != nil {
		return err
	}
	if err = os.RemoveAll(j.Work); err != nil {
		return fmt.Errorf("retrain: %w", err)
	}
	show.ended(e)
	result := retrainResult{Model: id, State: e.State, Reason: e.Reason, Epoch: r.Epoch, Epochs: r.Epochs, Gate: r.Gate}
	if c.Report {
		return json.NewEncoder(os.Stdout).Encode(reportLine{Result: &result})
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(result)
	}
	showRegistered(e)
	fmt.Printf("%s (epoch %d of %d) is %s: %s\n", id, r.Epoch, r.Epochs, e.State, r.Gate.Reason)
	return nil
}

// promote makes the candidate serve: with a daemon after a sane run in the shadow
// of the one that serves.
func (c retrainCmd) promote(ctx context.Context, reg *registry.Registry, id registry.ID, why string, daemon *daemonLink) error {
	if daemon == nil {
		_, err := reg.Promote(id, why, nil)
		return err
	}
	fmt.Fprintf(os.Stderr, "passed the gate; running beside the serving model on %d ticks\n", c.Shadow)
	e, err := daemon.shadow(ctx, id, c.Shadow)
	if err != nil {
		return fmt.Errorf("shadow: %w", err)
	}
	fmt.Fprintln(os.Stderr, e.Reason)
	if e.Type == "rejected" {
		return nil
	}
	entry, err := reg.Entry(id)
	if err != nil {
		return err
	}
	if s := entry.Shadow; s == nil || s.Partial {
		return nil // a person decides
	}
	_, err = daemon.ask(ctx, "model.swap", map[string]string{"name": id.Name, "version": id.Version})
	return err
}

// advise says how to go on after an error.
func (c retrainCmd) advise(err error, work string) error {
	var large *retrain.MemoryError
	switch {
	case errors.As(err, &large):
		return fmt.Errorf("%w: raise --memory, or lower --batch or --old-clips, or raise --stride", err)
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(os.Stderr, "stopped; the state is in %s: the same command goes on\n", work)
	}
	return adviseTraining(err, work)
}
