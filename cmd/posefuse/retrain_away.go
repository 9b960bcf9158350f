package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/hub"
	"posefuse/internal/jsonfile"
	"posefuse/message"
	"posefuse/model/registry"
	"posefuse/model/shipped"
	"posefuse/pipeline"
	"posefuse/recording/session"
)

// awayRetrainer gives a room's retrainings to the workers at its hub. What it asked
// for is in a file, so that a daemon that was stopped goes on waiting.
type awayRetrainer struct {
	state string
	room  string
	judge []string
	log   *slog.Logger
	keys  registry.Keys
	poll  time.Duration // between looks at what the worker says

	open func(ctx context.Context) (*hub.Desk, error)
}

// sendRate is what a room sends to the hub at most, bytes a second: poses go first.
const sendRate = 8 << 20

// patience is how long a room waits for a worker.
const patience = 7 * 24 * time.Hour

func newAwayRetrainer(nc *nats.Conn, cfg *pipeline.Config, log *slog.Logger) *awayRetrainer {
	keys, _ := cfg.Model.Keys() // checked with the configuration
	a := &awayRetrainer{state: cfg.StateDir, room: cfg.Room, judge: cfg.Retrain.Judge, log: log, keys: keys, poll: 2 * time.Second}
	a.open = func(ctx context.Context) (*hub.Desk, error) {
		said := time.Time{}
		return hub.OpenDesk(ctx, nc, hub.Domain, hub.Options{BytesPerSecond: sendRate, Away: func(err error) {
			if time.Since(said) > time.Minute {
				said = time.Now()
				log.Warn("waiting for the hub", "error", err)
			}
		}})
	}
	return a
}

// asked is what the file keeps.
type asked struct {
	ID      string         `json:"id"`
	Request retrainRequest `json:"request"`
	People  []string       `json:"people"`  // pseudonyms whose sessions go to the hub
	Serving string         `json:"serving"` // the version that is trained further
	Since   time.Time      `json:"since"`
	Posted  bool           `json:"posted"` // all of it is at the hub
}

func (a *awayRetrainer) file() string { return filepath.Join(a.state, "retrain", "hub.json") }

// read returns what was asked for, nil if nothing is.
func (a *awayRetrainer) read() *asked {
	b, err := os.ReadFile(a.file())
	if err != nil {
		return nil
	}
	var x asked
	if json.Unmarshal(b, &x) != nil || x.ID == "" {
		return nil // what is broken asks for nothing
	}
	return &x
}

// pending is the request that a daemon before this one did not see to its end.
func (a *awayRetrainer) pending() *retrainRequest {
	if x := a.read(); x != nil {
		return &x.Request
	}
	return nil
}

// withdraw takes back what was asked for, as far as the hub can be reached.
func (a *awayRetrainer) withdraw(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	desk, err := a.open(ctx)
	if err == nil {
		err = desk.Clear(ctx)
	}
	if err != nil {
		a.log.Warn("the hub keeps what was sent until the next retraining, at most a week", "error", err)
	}
	a.forget()
}

func (a *awayRetrainer) forget() {
	if err := os.Remove(a.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.Error("retraining", "error", err)
	}
}

// retrain has a worker do it and adds the candidate to the registry.
func (a *awayRetrainer) retrain(ctx context.Context, q *retrainRequest, report func(*message.Retrain)) (*retrainResult, error) {
	reg := registry.Open(a.state, nil)
	index, err := reg.Index()
	if err != nil {
		return nil, err
	}
	desk, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	x := a.read()
	if x == nil || !slices.Equal(x.Request.Sessions, q.Sessions) || x.Serving != index.ServingName() {
		now := time.Now().UTC()
		if err = desk.Clear(ctx); err != nil { // of another retraining
			return nil, err
		}
		if desk, err = a.open(ctx); err != nil {
			return nil, err
		}
		x = &asked{ID: fmt.Sprintf("%s-%03d", now.Format("20060102T150405Z"), now.Nanosecond()/1e6), Serving: index.ServingName(), Since: now}
	}
	x.Request = *q
	if err = a.post(ctx, desk, reg, x); err != nil {
		return nil, err
	}
	word, err := a.await(ctx, desk, x, report)
	if err != nil {
		return nil, err
	}
	var result *retrainResult
	if word.Failed != "" {
		err = fmt.Errorf("worker %s: %s", word.Worker, word.Failed)
	} else if result, err = a.take(ctx, desk, reg, word); ctx.Err() != nil || noDisk(err) {
		return nil, fmt.Errorf("%w; what the worker made stays at the hub, and the same retraining takes it from there", err)
	}
	a.withdraw(ctx)
	if err != nil {
		return nil, err
	}
	if index, err = reg.Index(); err == nil && index.ServingName() != x.Serving {
		a.log.Warn("another model serves than the candidate was compared with; a person decides", "candidate", result.Model.String(), "compared_with", x.Serving)
		q.Candidate = true
	}
	return result, err
}

// post sends everything and hands out the job, unless that was done.
func (a *awayRetrainer) post(ctx context.Context, desk *hub.Desk, reg *registry.Registry, x *asked) error {
	if x.Posted {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(a.file()), 0o755); err != nil {
		return err
	}
	x.People = nil
	for _, name := range x.Request.Sessions {
		info, err := session.Read(filepath.Join(a.state, session.Folder, name))
		if err != nil {
			return err
		}
		x.People = append(x.People, info.Subject)
	}
	if err := jsonfile.Write(a.file(), x); err != nil {
		return err
	}
	job := &hub.Job{ID: x.ID, Room: a.room, Version: version(), Created: x.Since}
	for _, name := range x.Request.Sessions {
		p, err := desk.Send(ctx, filepath.Join(a.state, session.Folder, name), session.LeftBehind)
		if err != nil {
			return err
		}
		job.Sessions = append(job.Sessions, hub.Session{Name: name, Parcel: p})
	}
	for _, dir := range a.judge {
		p, err := desk.Send(ctx, dir, nil)
		if err != nil {
			return fmt.Errorf("retrain.judge: %w", err)
		}
		job.Judge = append(job.Judge, p)
	}
	err := a.addModel(ctx, desk, reg, job)
	if err == nil {
		err = desk.Post(ctx, job)
	}
	if err != nil {
		return err
	}
	a.log.Info("handed to the hub's workers", "job", x.ID, "sessions", x.Request.Sessions)
	x.Posted = true
	return jsonfile.Write(a.file(), x)
}

// addModel sends the model that serves; the one inside the program a worker has.
func (a *awayRetrainer) addModel(ctx context.Context, desk *hub.Desk, reg *registry.Registry, job *hub.Job) error {
	net, card, problems := reg.Serving()
	if len(problems) > 0 {
		return fmt.Errorf("retrain the serving model: %w", errors.Join(problems...))
	}
	inside := net == nil
	if inside {
		var err error
		if net, card, err = shipped.Load(); err != nil {
			return err
		}
	}
	if err := net.Close(); err != nil {
		return err
	}
	job.Model = hub.Model{Name: card.Name, Version: card.Version, SHA256: card.SHA256}
	if inside {
		return nil
	}
	p, err := desk.Send(ctx, reg.Dir(registry.ID{Name: card.Name, Version: card.Version}), nil)
	job.Model.Parcel = &p
	return err
}

// await tells how it goes until a worker is done.
func (a *awayRetrainer) await(ctx context.Context, desk *hub.Desk, x *asked, report func(*message.Retrain)) (*hub.Word, error) {
	every := time.NewTicker(a.poll)
	defer every.Stop()
	silent, last := false, ""
	for {
		word, err := desk.Word(ctx, x.ID)
		if (err != nil) != silent && ctx.Err() == nil {
			if silent = err != nil; silent {
				a.log.Warn("the hub is away; the retraining goes on there", "error", err)
			} else {
				a.log.Info("the hub is back")
			}
		}
		switch {
		case word == nil:
		case word.Ended():
			return word, nil
		case string(word.Progress) != last:
			last = string(word.Progress)
			a.told(word, report)
		}
		if word == nil && time.Since(x.Since) > patience {
			a.withdraw(ctx)
			return nil, fmt.Errorf("no worker has taken the retraining for %.0f days: does posefuse worker run with a login of this room?", patience.Hours()/24)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-every.C:
		}
	}
}

// told passes a worker's progress on.
func (a *awayRetrainer) told(word *hub.Word, report func(*message.Retrain)) {
	var m message.Retrain
	if json.Unmarshal(word.Progress, &m) != nil || !slices.Contains([]string{"loading", "training", "judging"}, m.Stage) {
		return // whether it is done the room says
	}
	m.Model, m.State, m.Reason = nil, "", ""
	report(&m)
}

// take fetches the candidate, checks it and adds it with the gate's word.
func (a *awayRetrainer) take(ctx context.Context, desk *hub.Desk, reg *registry.Registry, word *hub.Word) (*retrainResult, error) {
	r, err := desk.Result(ctx, *word.Result)
	if err != nil {
		return nil, err
	}
	var result retrainResult
	if err = json.Unmarshal(r.Report, &result); err != nil || result.Gate == nil {
		return nil, fmt.Errorf("worker %s reports nothing that this program knows: both need the same version", word.Worker)
	}
	dir := filepath.Join(a.state, "retrain", "from-hub")
	if err = os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err = desk.Fetch(ctx, r.Candidate, dir); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the next one does, else
	if err = a.keys.Verify(dir); err != nil {
		return nil, fmt.Errorf("the candidate of worker %s: %w; posefuse worker --sign does", word.Worker, err)
	}
	e, err := reg.Add(dir, "retrained from "+result.Gate.Against+" by worker "+word.Worker)
	switch {
	case errors.Is(err, registry.ErrExists): // by a daemon that was stopped here
	case err != nil:
		return nil, fmt.Errorf("the candidate of worker %s: %w", word.Worker, err)
	case e.ID != result.Model:
		return nil, errors.Join(fmt.Errorf("the candidate of worker %s is %s, and it says %s", word.Worker, e.ID, result.Model), reg.Reject(e.ID, "its worker says it is another"))
	}
	return &result, reg.Judged(result.Model, result.Gate)
}

// noDisk reports whether a disk is why something was not written.
func noDisk(err error) bool {
	var none *hub.SpaceError
	return errors.As(err, &none) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}
