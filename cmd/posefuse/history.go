package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"posefuse/export"
	"posefuse/history"
	"posefuse/message"
)

type historyCmd struct {
	Begin  historyBeginCmd  `cmd:"" help:"Keep a person's sets from now on, in a running daemon."`
	End    historyEndCmd    `cmd:"" help:"Keep nothing more."`
	List   historyListCmd   `cmd:"" help:"List whose sets are kept."`
	Export historyExportCmd `cmd:"" help:"Write a person's sets as CSV, FHIR or a report with trends."`
	Delete historyDeleteCmd `cmd:"" help:"Delete all that is kept of a person."`
}

// Help shows the command's examples.
func (historyCmd) Help() string {
	return "The daemon's configuration must have history.enabled: true. No pose is kept, only what was counted.\n\n" +
		"Examples:\n\n  posefuse history begin --subject P017 --consent\n  posefuse history export P017 --format report --to P017.html\n  posefuse history delete P017 --yes"
}

type historyBeginCmd struct {
	daemonFlags
	Subject string `required:"" placeholder:"PSEUDONYM" help:"Who it is, as letters and digits; no name."`
	Consent bool   `help:"The person has agreed that their sets are kept."`
}

// Help shows the command's example.
func (historyBeginCmd) Help() string {
	return "The time is noted with each set. Another begin ends the one before; so does the daemon's end.\n\nExample:\n\n  posefuse history begin --subject P017 --consent"
}

// Run asks the daemon.
func (c historyBeginCmd) Run(ctx context.Context, out io.Writer) error {
	if _, err := c.ask(ctx, "history.begin", historyRequest{Subject: c.Subject, Consent: c.Consent}); err != nil {
		return historyAdvice(err)
	}
	return saidOr(out, c.JSON, "the sets of "+c.Subject+" are kept", historyRequest{Subject: c.Subject, Consent: c.Consent})
}

type historyEndCmd struct{ daemonFlags }

// Help shows the command's example.
func (historyEndCmd) Help() string { return "Example:\n\n  posefuse history end" }

// Run asks the daemon.
func (c historyEndCmd) Run(ctx context.Context, out io.Writer) error {
	if _, err := c.ask(ctx, "history.end", historyRequest{}); err != nil {
		return historyAdvice(err)
	}
	return saidOr(out, c.JSON, "nobody's sets are kept", historyRequest{})
}

// historyAdvice says which key makes a daemon keep sets.
func historyAdvice(err error) error {
	if errors.Is(err, errNoDaemon) {
		return errors.New("no daemon of that room keeps sets: set history.enabled to true, start it, or give --room and --nats")
	}
	return err
}

func saidOr(out io.Writer, asJSON bool, text string, v any) error {
	if asJSON {
		return json.NewEncoder(out).Encode(v)
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

// historyDir is where a state keeps histories.
func (f stateFlags) historyDir() string { return filepath.Join(f.State, history.Folder) }

type historyListCmd struct{ stateFlags }

// Help shows the command's example.
func (historyListCmd) Help() string {
	return "Example:\n\n  posefuse history list --state /var/lib/posefuse"
}

// Run prints a line per person.
func (c historyListCmd) Run(out io.Writer) error {
	subjects, err := history.Subjects(c.historyDir())
	if err != nil {
		return err
	}
	type row struct {
		Subject string     `json:"subject"`
		Sets    int        `json:"sets"`
		Broken  int        `json:"broken_lines"`
		First   *time.Time `json:"first"`
		Last    *time.Time `json:"last"`
	}
	rows := []row{}
	for _, s := range subjects {
		entries, broken, err := history.Read(c.historyDir(), s)
		if err != nil {
			return err
		}
		r := row{Subject: s, Sets: len(entries), Broken: broken}
		if n := len(entries); n > 0 {
			r.First, r.Last = &entries[0].Kept, &entries[n-1].Kept
		}
		rows = append(rows, r)
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(rows)
	}
	for _, r := range rows {
		line := fmt.Sprintf("%-12s %d sets", r.Subject, r.Sets)
		if r.First != nil {
			line += ", " + r.First.Format(time.DateOnly) + " to " + r.Last.Format(time.DateOnly)
		}
		if r.Broken > 0 {
			line += fmt.Sprintf(", %d lines cannot be read", r.Broken)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

type historyExportCmd struct {
	stateFlags
	Subject  string `arg:"" placeholder:"PSEUDONYM" help:"Whose sets."`
	Format   string `default:"report" enum:"report,sets,fhir" help:"report: a page to print, with trends; sets: CSV, a line per set; fhir: a Bundle of Observations."`
	Language string `default:"en" enum:"en,de,fr,zh" help:"Of report: en, de, fr or zh."`
	Decimal  string `default:"point" enum:"point,comma" help:"Of sets: point, with commas between the cells; comma, with semicolons, for a spreadsheet in German, French and the like."`
	Patient  string `placeholder:"ID" help:"Of fhir: the id that the server has for the person, for its searches by patient. The pseudonym alone if not given."`
	To       string `default:"-" placeholder:"FILE" help:"File to write; - is standard output."`
}

// Help shows the command's example.
func (historyExportCmd) Help() string {
	return "The exit code is 3 if lines of the history cannot be read.\n\nExample:\n\n  posefuse history export P017 --to P017.html"
}

// Run writes the sets of a person.
func (c historyExportCmd) Run(out io.Writer) error {
	entries, broken, err := history.Read(c.historyDir(), c.Subject)
	if err != nil {
		return err
	}
	sessions := historySessions(entries)
	err = toFile(c.To, out, func(w io.Writer) error {
		if c.Format == "report" {
			return export.WriteReport(w, sessions, c.Language)
		}
		all := export.Session{ID: "history", Subject: c.Subject}
		for i := range sessions {
			all.Room, all.Started, all.Program = sessions[i].Room, sessions[i].Started, sessions[i].Program
			all.Sets = append(all.Sets, sessions[i].Sets...)
		}
		if c.Format == "fhir" {
			return export.WriteFHIR(w, &all, c.Patient)
		}
		return export.WriteSets(w, &all, export.Decimal(c.Decimal))
	})
	if err == nil && broken > 0 {
		err = &exitError{exitLost, fmt.Errorf("history of %s: %d lines cannot be read", c.Subject, broken)}
	}
	return err
}

// historySessions are the sets of each time that keeping was begun.
func historySessions(entries []history.Entry) (list []export.Session) {
	for _, e := range entries {
		n := len(list)
		if n == 0 || !list[n-1].Started.Equal(e.Begun) {
			list = append(list, export.Session{ID: e.Begun.Format(time.RFC3339Nano), Room: e.Room, Subject: e.Subject, Started: e.Begun, Program: "posefuse " + version(), Sets: []message.ExerciseSummary{}})
			n++
		}
		list[n-1].Sets = append(list[n-1].Sets, e.Set)
	}
	return list
}

// toFile writes to a file that is whole or not there, or to out for "-".
func toFile(path string, out io.Writer, write func(io.Writer) error) error {
	if path == "-" {
		return write(out)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	if err = errors.Join(write(f), f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("--to %s: %w", path, err), os.Remove(part))
	}
	return nil
}

type historyDeleteCmd struct {
	stateFlags
	Subject string `arg:"" placeholder:"PSEUDONYM" help:"Whose sets."`
	Yes     bool   `help:"Delete; without it, say what would be deleted."`
}

// Help shows the command's example.
func (historyDeleteCmd) Help() string {
	return "A daemon that keeps this person's sets goes on with the next one; posefuse history end before.\n\nExample:\n\n  posefuse history delete P017 --yes"
}

// Run deletes, or says what it would.
func (c historyDeleteCmd) Run(out io.Writer) error {
	entries, _, err := history.Read(c.historyDir(), c.Subject)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("would delete %d sets of %s; add --yes", len(entries), c.Subject)
	if c.Yes {
		if err := history.Delete(c.historyDir(), c.Subject); err != nil {
			return err
		}
		text = fmt.Sprintf("deleted %d sets of %s", len(entries), c.Subject)
	}
	return saidOr(out, c.JSON, text, map[string]any{"subject": c.Subject, "sets": len(entries), "deleted": c.Yes})
}
