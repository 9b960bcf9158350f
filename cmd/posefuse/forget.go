package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"posefuse/history"
	"posefuse/pipeline"
	"posefuse/recording/session"
)

type forgetCmd struct {
	Code string `arg:"" placeholder:"CODE" help:"The person's pseudonym, as sessions have it."`
	Yes  bool   `help:"Delete it. Without it the command only says what it would delete."`
	stateFlags
}

// Help shows the command's example.
func (forgetCmd) Help() string {
	return "Deletes all that is stored of one person in a daemon's state_dir. The embedded server keeps the newest\n" +
		"exercise results without a name; where the daemon does not run they are deleted as well, for they may be\n" +
		"of that person. Backups, exports and the log of the machine are yours to look after. What is deleted\n" +
		"cannot be brought back.\n\n" +
		"Example:\n\n  posefuse forget P017 --state /var/lib/posefuse --yes"
}

// kept is something stored that is, or may be, of a person.
type kept struct {
	What string `json:"what"`
	Path string `json:"path"`

	remove func() error
}

// memories are the places that keep something by a person's code. A new one
// belongs into this list and into docs/security.md.
var memories = []func(state, code string) ([]kept, error){jobOf, sessionsOf, setsOf}

func sessionsOf(state, code string) ([]kept, error) {
	list, err := session.List(filepath.Join(state, session.Folder))
	var found []kept
	for _, e := range list {
		if e.Err != nil {
			err = errors.Join(err, fmt.Errorf("%w; it may be of %s: posefuse sessions recover it, or delete it by its name", e.Err, code))
		} else if e.Info.Subject == code {
			found = append(found, kept{"session", e.Dir, func() error { return session.Delete(e.Dir) }})
		}
	}
	return found, err
}

// jobOf returns the retraining that a hub's workers were asked for with a person's
// sessions, copies of which are there.
func jobOf(state, code string) ([]kept, error) {
	away := &awayRetrainer{state: state}
	x := away.read()
	if x == nil || !slices.Contains(x.People, code) {
		return nil, nil
	}
	return []kept{{"copies at the hub", away.file(), func() error {
		return errors.New("a hub's workers have copies of sessions: let the daemon take the job back first, nats request posefuse.ROOM.ctl.retrain.cancel '', and do this again")
	}}}, nil
}

// setsOf returns the history of a person's sets.
func setsOf(state, code string) ([]kept, error) {
	dir := filepath.Join(state, history.Folder)
	subjects, err := history.Subjects(dir)
	if !slices.Contains(subjects, code) {
		return nil, err
	}
	return []kept{{"history of sets", filepath.Join(dir, code), func() error { return history.Delete(dir, code) }}}, err
}

// serverStore returns what the embedded server keeps, if no daemon uses it.
func serverStore(state string) (found []kept, running bool, release func()) {
	dir := filepath.Join(state, "nats")
	if _, err := os.Stat(dir); err != nil {
		return nil, false, func() {}
	}
	release, err := pipeline.LockState(state)
	if err != nil {
		return nil, true, func() {}
	}
	return []kept{{"exercise results without a name", dir, func() error { return os.RemoveAll(dir) }}}, false, release
}

// Run deletes what is stored of a person, or says what that is.
func (c forgetCmd) Run(out io.Writer) error {
	if err := session.CheckSubject(c.Code); err != nil {
		return err
	}
	var found []kept
	var failed error
	for _, of := range memories {
		some, err := of(c.State, c.Code)
		found, failed = append(found, some...), errors.Join(failed, err)
	}
	store, running, release := serverStore(c.State)
	defer release()
	gone := []kept{}
	for _, k := range append(found, store...) {
		if c.Yes {
			if err := k.remove(); err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s %s: %w", k.What, k.Path, err))
				continue
			}
		}
		gone = append(gone, k)
	}
	if c.JSON {
		return errors.Join(failed, json.NewEncoder(out).Encode(map[string]any{"code": c.Code, "deleted": c.Yes, "found": gone, "daemon_runs": running}))
	}
	for _, k := range gone {
		word := "would delete"
		if c.Yes {
			word = "deleted"
		}
		_, _ = fmt.Fprintln(out, word, k.What, k.Path)
	}
	if running {
		_, _ = fmt.Fprintln(out, "the daemon runs: the newest exercise results, which have no name, stay until the next ones; stop it and run this again to delete them")
	}
	if len(found) == 0 {
		_, _ = fmt.Fprintf(out, "nothing is stored of %s in %s\n", c.Code, c.State)
	}
	if !c.Yes && len(gone) > 0 {
		_, _ = fmt.Fprintln(out, "nothing was deleted; --yes does it")
	}
	return failed
}
