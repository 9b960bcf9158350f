package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"posefuse/hub"
	"posefuse/message"
	"posefuse/model/registry"
	"posefuse/model/shipped"
	"posefuse/recording/session"
)

// jobFolder is what the folders of jobs begin with.
const jobFolder = "job-"

// maxTries is how often a job is begun: one that ends its worker each time does not
// go round for ever.
const maxTries = 10

// pause is how long a job that has no room here waits for another worker.
const pause = time.Minute

// do does a job, or gives it back.
func (w *worker) do(ctx context.Context, task *hub.Task) {
	j := &task.Job
	log := w.log.With("job", j.ID, "room", j.Room)
	log.Info("took a job", "sessions", len(j.Sessions), "try", task.Try)
	dir := filepath.Join(w.dir, jobFolder+j.ID)
	held, release := task.Hold(ctx)
	defer release()
	var err error
	if task.Try > maxTries {
		err = fmt.Errorf("it was begun %d times and never ended; the last worker was %s", maxTries, task.Words.Worker)
	} else {
		err = w.work(held, task, dir)
	}
	switch {
	case errors.Is(context.Cause(held), hub.ErrWithdrawn) || errors.Is(err, hub.ErrGone):
		log.Info("the room has taken the job back")
		task.Release(0)
	case err == nil:
		log.Info("done")
	case ctx.Err() != nil:
		w.leave(ctx, task, dir)
		return // with what it has, to go on
	case noDisk(err):
		log.Error("there is no room for the job here; another worker may have some", "error", err)
		task.Release(pause)
	default:
		log.Error("failed", "error", err)
		if err = task.Fail(held, err.Error()); err != nil {
			log.Error("the room does not hear of it", "error", err)
		}
	}
	w.remove(dir)
}

// leave keeps the state of a job that this worker was stopped at, and gives it to
// another at once.
func (w *worker) leave(ctx context.Context, task *hub.Task, dir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if _, err := w.keepState(ctx, task, dir, ""); err != nil {
		w.log.Warn("another worker begins anew", "job", task.Job.ID, "error", err)
	}
	task.Release(0)
}

// work makes a candidate and hands it over.
func (w *worker) work(ctx context.Context, task *hub.Task, dir string) error {
	if err := w.prepare(ctx, task, dir); err != nil {
		return err
	}
	args := []string{"retrain", "--state", "state", "--report", "--candidate",
		"--cpu", strconv.FormatFloat(w.cpu, 'g', -1, 64), "--memory", strconv.FormatInt(w.memory, 10)}
	for _, s := range task.Job.Sessions {
		args = append(args, "--session", s.Name)
	}
	for i := range task.Job.Judge {
		args = append(args, "--judge", judgeFolder(i))
	}
	cmd, err := w.command(ctx, args)
	if err != nil {
		return err
	}
	cmd.Dir = dir
	watched, stop := context.WithCancel(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		w.keepStates(watched, task, dir)
	}()
	result, err := w.child(ctx, cmd, task)
	stop()
	<-kept
	if err != nil {
		return err
	}
	candidate := registry.Open(filepath.Join(dir, "state"), nil).Dir(result.Model)
	if w.signer != nil {
		if err = registry.Sign(candidate, w.signer); err != nil {
			return fmt.Errorf("sign the candidate: %w", err)
		}
	}
	return task.Done(ctx, candidate, result)
}

// child runs the retraining, which ends when this process does.
func (w *worker) child(ctx context.Context, cmd *exec.Cmd, task *hub.Task) (*retrainResult, error) {
	type outcome struct {
		result *retrainResult
		err    error
	}
	ended := make(chan outcome, 1)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	go func() {
		// The kernel kills a child when the thread ends that started it, so this one
		// stays as long, and then ends with its goroutine.
		runtime.LockOSThread()
		r, err := runRetrain(cmd, func(m *message.Retrain) {
			if m.TrainMM != nil && m.StopMM != nil {
				w.log.Info("trained", "job", task.Job.ID, "epoch", m.Epoch, "train_mm", *m.TrainMM, "stop_mm", *m.StopMM)
			}
			if err := task.Tell(ctx, m); err != nil && ctx.Err() == nil {
				w.log.Debug("the room does not hear how it goes", "error", err)
			}
		})
		ended <- outcome{r, err}
	}()
	o := <-ended
	return o.result, o.err
}

func judgeFolder(i int) string { return filepath.Join("judge", strconv.Itoa(i)) }

// prepare brings what the job needs into its folder, unless it is there.
func (w *worker) prepare(ctx context.Context, task *hub.Task, dir string) error {
	state := filepath.Join(dir, "state")
	fetch := func(p hub.Parcel, to string) error {
		if _, err := os.Stat(to); err == nil { //nolint:gosec // names of jobs are checked
			return nil // it was whole when it appeared
		}
		return task.Store().Fetch(ctx, p, to)
	}
	for _, s := range task.Job.Sessions {
		if err := fetch(s.Parcel, filepath.Join(state, session.Folder, s.Name)); err != nil {
			return err
		}
	}
	for i, p := range task.Job.Judge {
		if err := fetch(p, filepath.Join(dir, judgeFolder(i))); err != nil {
			return err
		}
	}
	if err := w.prepareModel(&task.Job.Model, state, dir, fetch); err != nil {
		return err
	}
	kept := filepath.Join(state, "retrain")
	if _, err := os.Stat(kept); err == nil { //nolint:gosec // names of jobs are checked
		return nil // this worker's own
	}
	return task.Checkpoint(ctx, kept, version())
}

// prepareModel makes the room's model serve in the job's registry.
func (w *worker) prepareModel(m *hub.Model, state, dir string, fetch func(hub.Parcel, string) error) error {
	if m.Parcel == nil {
		net, card, err := shipped.Load()
		if err != nil {
			return err
		}
		if err = net.Close(); err == nil && card.SHA256 != m.SHA256 {
			err = fmt.Errorf("the room's program has another model inside (%.12s…) than this one (%.12s…): install the same version on both", m.SHA256, card.SHA256)
		}
		return err
	}
	folder := filepath.Join(dir, "model")
	if err := fetch(*m.Parcel, folder); err != nil {
		return err
	}
	reg := registry.Open(state, nil)
	e, err := reg.Add(folder, "serves in the room")
	switch {
	case errors.Is(err, registry.ErrExists):
		return nil // begun before
	case err != nil:
		return err
	case e.SHA256 != m.SHA256 || e.ID != registry.ID{Name: m.Name, Version: m.Version}:
		return fmt.Errorf("the room's model %s/%s %w: it is %s with sha256 %s", m.Name, m.Version, hub.ErrDamaged, e.ID, e.SHA256)
	}
	_, err = reg.Promote(e.ID, "serves in the room", nil)
	return err
}

// keepStates keeps the training's state at the hub as it goes on, until ctx ends.
func (w *worker) keepStates(ctx context.Context, task *hub.Task, dir string) {
	every := time.NewTicker(w.keep)
	defer every.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		now, err := w.keepState(ctx, task, dir, last)
		if err != nil && ctx.Err() == nil {
			w.log.Warn("the state of the training is not kept at the hub", "error", err)
		}
		if err == nil {
			last = now
		}
	}
}

// keepState keeps the state if it is another than the one named, and returns its
// name.
func (w *worker) keepState(ctx context.Context, task *hub.Task, dir, last string) (string, error) {
	from := filepath.Join(dir, "state", "retrain")
	before, err := listing(from)
	if err != nil || before == last || before == "" {
		return before, err
	}
	still := filepath.Join(dir, "keep")
	if err = os.RemoveAll(still); err != nil { //nolint:gosec // names of jobs are checked
		return "", err
	}
	defer w.remove(still)
	if err = linkTree(from, still); err != nil {
		return "", err
	}
	after, err := listing(from)
	if err != nil || after != before {
		return last, err // it changed meanwhile; the next time
	}
	if err = task.Keep(ctx, still, version()); err == nil {
		w.log.Info("kept the state of the training at the hub", "job", task.Job.ID)
	}
	return before, err
}

// listing tells the files of a folder apart from those of another time: they are
// replaced, never written into.
func listing(dir string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error { //nolint:gosec // names of jobs are checked
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", path, st.Size(), st.ModTime().UnixNano())
		}
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		return "", nil // nothing yet, or it changes just now
	}
	return b.String(), err
}

// linkTree makes a second name for every file of a folder.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error { //nolint:gosec // names of jobs are checked
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700) //nolint:gosec // in a folder of this process alone
		}
		return os.Link(path, filepath.Join(to, name)) //nolint:gosec // in a folder of this process alone
	})
}
