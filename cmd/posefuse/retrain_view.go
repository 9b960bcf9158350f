package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"posefuse/message"
	"posefuse/model/registry"
	"posefuse/retrain"
)

// retrainView tells how a retraining goes: on standard error, and to a daemon,
// which tells the room.
type retrainView struct {
	daemon *daemonLink   // nil: nobody else is told
	lines  *json.Encoder // for the daemon that started it; may be nil
	epochs int

	mu    sync.Mutex
	bar   *progress
	stage string // told last
	epoch int
}

// ready says how much is trained on.
func (v *retrainView) ready(trained, old int) {
	fmt.Fprintf(os.Stderr, "training on %d new frames and %d old ones\n", trained, old)
}

// tell comes from several goroutines while recordings are loaded.
func (v *retrainView) tell(p retrain.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := &message.Retrain{Stage: p.Stage, Share: p.Share, Epoch: v.epoch, Epochs: v.epochs}
	if e := p.Epoch; e != nil {
		v.epoch = e.Epoch
		v.end()
		var phi []string
		for _, letter := range "RLMW" {
			if value, ok := e.Shapley[string(letter)]; ok {
				phi = append(phi, fmt.Sprintf("%c %.1f", letter, value))
			}
		}
		fmt.Fprintf(os.Stderr, "epoch %d: %.1f mm, to stop by %.1f mm, contributions %s\n", e.Epoch, e.LossMM, e.ValMM, strings.Join(phi, ", "))
		m.Epoch, m.TrainMM, m.StopMM, m.Shapley = e.Epoch, &e.LossMM, &e.ValMM, e.Shapley
	}
	if p.Epoch != nil || p.Stage != v.stage {
		v.report(m)
	}
	v.stage = p.Stage
	if p.Epoch != nil || p.Stage == retrain.Loading {
		return
	}
	if v.bar == nil {
		v.bar = newProgress(p.Stage)
	}
	v.bar.show(p.Share, "")
}

// failed tells why there is no candidate.
func (v *retrainView) failed(err error) {
	if v.lines != nil {
		return // the daemon sees how it ended
	}
	m := &message.Retrain{Stage: "failed", Epoch: v.epoch, Epochs: v.epochs, Reason: err.Error()}
	if errors.Is(err, context.Canceled) {
		m.Stage, m.Reason = "stopped", ""
	}
	v.report(m)
	v.flush()
}

// ended tells what became of the candidate.
func (v *retrainView) ended(e *registry.Entry) {
	if v.lines != nil {
		return // the daemon goes on with the result
	}
	v.report(&message.Retrain{Stage: "done", Share: 1, Epoch: v.epoch, Epochs: v.epochs, State: string(e.State), Reason: e.Reason,
		Model: &message.PoseModel{Name: e.Name, Version: e.Version, SHA256: e.SHA256}})
	v.flush()
}

// flush waits until the daemon's server has what was reported.
func (v *retrainView) flush() {
	if v.daemon != nil {
		_ = v.daemon.nc.Flush() // one that is away is told nothing
	}
}

func (v *retrainView) report(m *message.Retrain) {
	if v.daemon != nil {
		v.daemon.report(m)
	}
	if v.lines != nil {
		_ = v.lines.Encode(reportLine{Progress: m}) // a daemon that went away hears nothing
	}
}

// done ends the bar.
func (v *retrainView) done() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.end()
}

func (v *retrainView) end() {
	if v.bar != nil {
		v.bar.done()
		v.bar = nil
	}
}
