package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"posefuse/recording/session"
)

type sessionsCmd struct {
	List    sessionsListCmd    `cmd:"" help:"List the sessions of a daemon's state."`
	Info    sessionsInfoCmd    `cmd:"" help:"Show what a session holds."`
	Verify  sessionsVerifyCmd  `cmd:"" help:"Read all of a session and say whether anything is missing."`
	Recover sessionsRecoverCmd `cmd:"" help:"Make a session whole after a crash or damage."`
	Export  sessionsExportCmd  `cmd:"" help:"Write a session's poses or sets for other programs."`
	Delete  sessionsDeleteCmd  `cmd:"" help:"Delete a session, or all sessions of a person."`
}

// Help shows the command's examples.
func (sessionsCmd) Help() string {
	return "A session is named as in the list, or by the path of its folder. Its .mcap files open in Foxglove and other programs.\n\n" +
		"Examples:\n\n  posefuse sessions list\n  posefuse sessions export 20261130T101500Z --to poses.csv\n  posefuse sessions delete --subject P017 --yes"
}

// stateFlags say where the sessions are.
type stateFlags struct {
	State string `default:"posefuse-state" placeholder:"DIR" help:"The daemon's state_dir."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

func (f stateFlags) root() string { return filepath.Join(f.State, session.Folder) }

// Exit codes of commands that look for losses; 1 is any error.
const exitLost = 3

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *exitError) Unwrap() error { return e.err }

type sessionsListCmd struct {
	stateFlags
	Subject string `placeholder:"PSEUDONYM" help:"Those of one person only."`
}

// Help shows the command's example.
func (sessionsListCmd) Help() string {
	return "One that cannot be read is listed with the reason.\n\nExample:\n\n  posefuse sessions list --state /var/lib/posefuse"
}

// Run prints a line per session.
func (c sessionsListCmd) Run(out io.Writer) error {
	list, err := session.List(c.root())
	if err != nil {
		return err
	}
	rows := []sessionBrief{}
	for _, e := range list {
		if c.Subject != "" && e.Info.Subject != c.Subject {
			continue
		}
		row := brief(&e.Info)
		if e.Err != nil {
			row.Error = e.Err.Error()
		}
		rows = append(rows, row)
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(rows)
	}
	live := session.Live(c.root())
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "session\tsubject\tstate\tlength\tmessages\tsize") // errors come from Flush
	for _, r := range rows {
		state := r.State
		switch {
		case r.Error != "":
			state = r.Error
		case state == session.Recording && r.ID != live:
			state = "interrupted: posefuse sessions recover " + r.ID
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%v\t%d\t%s\n", r.ID, r.Subject, state, (time.Duration(r.Seconds) * time.Second), r.Messages, sizeText(r.Bytes))
	}
	return t.Flush()
}

type sessionsInfoCmd struct {
	stateFlags
	Session string `arg:"" placeholder:"SESSION" help:"Session, by name or path."`
}

// Help shows the command's example.
func (sessionsInfoCmd) Help() string { return "Example:\n\n  posefuse sessions info 20261130T101500Z" }

// Run prints what session.json says.
func (c sessionsInfoCmd) Run(out io.Writer) error {
	dir, err := session.Find(c.root(), c.Session)
	if err != nil {
		return err
	}
	i, err := session.Read(dir)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(i)
	}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line := func(key, format string, args ...any) {
		_, _ = fmt.Fprintf(t, key+"\t"+format+"\n", args...) // errors come from Flush
	}
	line("session", "%s in %s", i.ID, dir)
	line("subject", "%s, consent noted %s", i.Subject, i.Consent.Noted.Format(time.RFC3339))
	if i.Note != "" {
		line("note", "%s", i.Note)
	}
	line("state", "%s", i.State)
	line("room", "%s, posefuse %s, model %s", i.Room, i.Version, orDefault(i.Model, "none"))
	line("time", "%s, %v", i.Started.Format(time.RFC3339), i.Duration().Round(time.Second))
	n, by := i.Messages()
	line("messages", "%d in %d files, %s", n, len(i.Segments), sizeText(i.Bytes()))
	for _, topic := range slices.Sorted(maps.Keys(by)) {
		line("  "+topic, "%d", by[topic])
	}
	if len(i.Raw) > 0 {
		line("raw bytes", "%s; posefuse replay --raw sends them to the drivers again", strings.Join(i.Raw, ", "))
	}
	if len(i.Dropped) > 0 {
		line("not recorded", "%v", i.Dropped)
	}
	if i.Lost > 0 {
		line("lost", "%d messages to damage", i.Lost)
	}
	return t.Flush()
}

// report prints what was found in a session and returns the error for its exit
// code.
func (f stateFlags) report(out io.Writer, c *session.Check, err error, none string) error {
	if err != nil {
		return err
	}
	if f.JSON {
		if err := json.NewEncoder(out).Encode(c); err != nil {
			return err
		}
	} else {
		for _, p := range c.Problems {
			_, _ = fmt.Fprintln(out, p) // the last line tells
		}
		for _, topic := range slices.Sorted(maps.Keys(c.RawBytes)) {
			_, _ = fmt.Fprintf(out, "%s: %d messages, %s of raw bytes\n", topic, c.ByTopic[topic], sizeText(int64(c.RawBytes[topic])))
		}
		if _, err := fmt.Fprintf(out, "session %s: %d messages, at least %d lost\n", c.Session, c.Messages, c.Lost); err != nil {
			return err
		}
	}
	switch {
	case c.Messages == 0:
		return fmt.Errorf("session %s: %s", c.Session, none)
	case c.Torn:
		return &exitError{exitLost, fmt.Errorf("session %s: something is lost", c.Session)}
	}
	return nil
}

type sessionsVerifyCmd struct {
	stateFlags
	Session string `arg:"" placeholder:"SESSION" help:"Session, by name or path."`
}

// Help shows the command's example and the exit codes.
func (sessionsVerifyCmd) Help() string {
	return "Nothing is changed. The exit code is 0 if all is there, 3 if something is lost, 1 if nothing can be read.\n\n" +
		"Example:\n\n  posefuse sessions verify 20261130T101500Z"
}

// Run reads a session.
func (c sessionsVerifyCmd) Run(out io.Writer) error {
	dir, err := session.Find(c.root(), c.Session)
	if err != nil {
		return err
	}
	check, err := session.Verify(dir)
	return c.report(out, &check, err, "nothing can be read")
}

type sessionsRecoverCmd struct {
	stateFlags
	Session string `arg:"" placeholder:"SESSION" help:"Session, by name or path."`
}

// Help shows the command's example and the exit codes.
func (sessionsRecoverCmd) Help() string {
	return "Unfinished files are ended, damaged ones written anew without what is broken; the original stays beside them, ending in .damaged. " +
		"A whole session is not changed. The exit code is 0 if nothing was lost, 3 if something was, 1 if nothing could be recovered.\n\n" +
		"Example:\n\n  posefuse sessions recover 20261130T101500Z"
}

// Run recovers a session.
func (c sessionsRecoverCmd) Run(out io.Writer) error {
	dir, err := session.Find(c.root(), c.Session)
	if err != nil {
		return err
	}
	check, err := session.Recover(dir)
	return c.report(out, &check, err, "nothing could be recovered")
}

type sessionsDeleteCmd struct {
	stateFlags
	Session []string `arg:"" optional:"" placeholder:"SESSION" help:"Sessions, by name or path."`
	Subject string   `placeholder:"PSEUDONYM" help:"All sessions of this person."`
	Yes     bool     `help:"Delete them. Without it the command only says what it would delete."`
}

// Help shows the command's example.
func (sessionsDeleteCmd) Help() string {
	return "What is deleted cannot be brought back. A session that is being recorded is refused; one that cannot be read belongs to nobody and is deleted by its name.\n\n" +
		"Example: all that was recorded of one person\n\n  posefuse sessions delete --subject P017 --yes"
}

// Run deletes sessions.
func (c sessionsDeleteCmd) Run(out io.Writer) error {
	dirs, err := c.chosen()
	if err != nil {
		return err
	}
	deleted := []string{}
	for _, dir := range dirs {
		if c.Yes {
			if derr := session.Delete(dir); derr != nil {
				err = errors.Join(err, derr)
				continue
			}
		}
		deleted = append(deleted, filepath.Base(dir))
	}
	if c.JSON {
		return errors.Join(err, json.NewEncoder(out).Encode(map[string]any{"deleted": c.Yes, "sessions": deleted}))
	}
	for _, id := range deleted {
		word := "would delete"
		if c.Yes {
			word = "deleted"
		}
		_, _ = fmt.Fprintln(out, word, id)
	}
	if !c.Yes {
		_, _ = fmt.Fprintln(out, "nothing was deleted; --yes does it")
	}
	return err
}

// chosen returns the folders of the sessions to delete.
func (c sessionsDeleteCmd) chosen() (dirs []string, err error) {
	if (len(c.Session) == 0) == (c.Subject == "") {
		return nil, errors.New("give sessions, or --subject")
	}
	for _, name := range c.Session {
		dir, ferr := session.Find(c.root(), name)
		if ferr != nil {
			return nil, ferr
		}
		dirs = append(dirs, dir)
	}
	if c.Subject == "" {
		return dirs, nil
	}
	list, err := session.List(c.root())
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		switch {
		case e.Err != nil:
			return nil, fmt.Errorf("%w; it may be of %s: recover it or delete it by its name first", e.Err, c.Subject)
		case e.Info.Subject == c.Subject:
			dirs = append(dirs, e.Dir)
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("there is no session of %s in %s", c.Subject, c.root())
	}
	return dirs, nil
}
