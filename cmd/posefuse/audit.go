package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"posefuse/audit"
)

type auditCmd struct {
	Since time.Duration `default:"168h" help:"How far back; 0 shows all."`
	stateFlags
}

// Help shows the command's example.
func (auditCmd) Help() string {
	return "The daemon keeps it in its state_dir as JSON lines, for audit.keep_days; docs/security.md says what is in it.\n\n" +
		"Example:\n\n  posefuse audit --state /var/lib/posefuse --since 24h"
}

// Run prints the entries, the oldest first.
func (c auditCmd) Run(out io.Writer) error {
	entries, broken, err := audit.Read(filepath.Join(c.State, audit.Folder))
	if err != nil {
		return fmt.Errorf("%w; does the daemon run with audit.enabled, and is --state its state_dir?", err)
	}
	if c.Since > 0 {
		from := time.Now().Add(-c.Since)
		for len(entries) > 0 && entries[0].Time.Before(from) {
			entries = entries[1:]
		}
	}
	if c.JSON {
		enc := json.NewEncoder(out)
		for _, e := range entries {
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		return brokenLines(broken)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "TIME\tEVENT\tUSER\tADDRESS\tTIMES\tWHAT")
	for _, e := range entries {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", e.Time.Format(time.RFC3339), visible(string(e.Event)), visible(orDefault(e.User, "-")), visible(orDefault(e.Address, "-")), max(e.Count, 1), visible(e.What))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return brokenLines(broken)
}

// brokenLines is the error of a log that was not read whole.
func brokenLines(n int) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d lines cannot be read: a crash cuts one, more were changed by somebody", n)
}
