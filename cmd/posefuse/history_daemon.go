package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/nats-io/nats.go"

	"posefuse/history"
	"posefuse/message"
	"posefuse/pipeline"
)

// roomHistory joins a daemon to the keeper of its patients' sets.
type roomHistory struct {
	keeper *history.Keeper
	core   *pipeline.Core
	room   string
	dir    string
}

// newRoomHistory returns the keeper of a room, nil if history.enabled is false.
func newRoomHistory(core *pipeline.Core, cfg *pipeline.Config, log *slog.Logger) *roomHistory {
	if !cfg.History.Enabled {
		return nil
	}
	dir := filepath.Join(cfg.StateDir, history.Folder)
	h := &roomHistory{core: core, room: cfg.Room, dir: dir, keeper: history.NewKeeper(history.Config{
		Dir: dir, Room: cfg.Room, KeepDays: cfg.History.KeepDays, Log: log.With("part", "history"),
	})}
	core.Report(h.health)
	core.OnReload(pipeline.Reloadable{Keys: []string{"history.keep_days"},
		Prepare: func(next *pipeline.Config) (func(), error) {
			return func() { h.keeper.SetKeepDays(next.History.KeepDays) }, nil
		}})
	return h
}

// historyRequest is what the requests of ctl.history carry.
type historyRequest struct {
	Subject string `json:"subject"`
	Consent bool   `json:"consent"`
}

// historyReply is what they answer.
type historyReply struct {
	Subjects []string          `json:"subjects,omitempty"` // without a subject: of whom something is kept
	Keeping  string            `json:"keeping,omitempty"`  // without a subject: whose sets are kept now
	Sets     []json.RawMessage `json:"sets,omitempty"`     // of history.Entry
	LeftOut  int               `json:"left_out,omitempty"` // older sets beyond the bounds below
	Broken   int               `json:"broken_lines,omitempty"`
}

// Bounds of an answer, which holds the newest sets: a message of the bus is at most a
// mebibyte.
const (
	mostSets     = 400
	mostSetBytes = 768 << 10
)

// serve answers requests and takes the sets of the room.
func (h *roomHistory) serve() error {
	core, b := h.core, h.core.Bus()
	for name, answer := range map[string]func(historyRequest) (historyReply, error){
		"history.begin": func(q historyRequest) (historyReply, error) {
			if err := core.StateProblem(); err != nil {
				return historyReply{}, fmt.Errorf("no sets are kept: %w", err)
			}
			return historyReply{}, h.keeper.Begin(q.Subject, q.Consent)
		},
		"history.end": func(historyRequest) (historyReply, error) { h.keeper.End(); return historyReply{}, nil },
		"history.get": h.get,
		"history.delete": func(q historyRequest) (historyReply, error) {
			if err := core.StateProblem(); err != nil {
				return historyReply{}, fmt.Errorf("nothing was deleted: %w", err)
			}
			return historyReply{}, h.keeper.Forget(q.Subject)
		},
	} {
		if err := b.HandleControl(name, func(request []byte) ([]byte, error) {
			var q historyRequest
			if len(request) > 0 {
				if err := json.Unmarshal(request, &q); err != nil {
					return nil, fmt.Errorf(`%s: %w; send {"subject":"P017"}`, name, err)
				}
			}
			reply, err := answer(q)
			if err != nil {
				return nil, err
			}
			return json.Marshal(reply)
		}); err != nil {
			return err
		}
	}
	if _, err := b.Conn().Subscribe("posefuse."+h.room+".exercise.summary", func(m *nats.Msg) { h.keeper.Summary(m.Data) }); err != nil {
		return fmt.Errorf("sets are not kept: %w", err)
	}
	return nil
}

// health is the keeper's, or says that nothing can be kept.
func (h *roomHistory) health() message.PartHealth {
	if h.core.StateProblem() != nil {
		return message.PartHealth{Part: "history", Code: "read_only", Severity: "error", Text: "no sets can be kept: see state"}
	}
	return h.keeper.Health()
}

func (h *roomHistory) get(q historyRequest) (r historyReply, err error) {
	if q.Subject == "" {
		r.Keeping = h.keeper.Subject()
		r.Subjects, err = history.Subjects(h.dir)
		return r, err
	}
	sets, broken, err := history.Read(h.dir, q.Subject)
	if errors.Is(err, history.ErrNotFound) {
		return r, nil // nothing yet
	}
	r.Broken, r.LeftOut = broken, len(sets)
	for size := 0; r.LeftOut > 0 && len(r.Sets) < mostSets; r.LeftOut-- {
		text, merr := json.Marshal(&sets[r.LeftOut-1])
		if merr != nil {
			return r, merr
		}
		if size += len(text) + 1; size > mostSetBytes {
			break
		}
		r.Sets = append(r.Sets, text)
	}
	slices.Reverse(r.Sets)
	return r, err
}
