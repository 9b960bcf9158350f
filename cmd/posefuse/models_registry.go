package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"posefuse/model/registry"
)

type modelsAddCmd struct {
	Model string `arg:"" placeholder:"DIR" help:"Folder with card.json and its weights."`
	State string `default:"./posefuse-state" placeholder:"DIR" help:"The daemon's state_dir."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsAddCmd) Help() string {
	return "Checks the checkpoint and copies it into the registry as a candidate, under the name and version of its card.\n\n" +
		"Example:\n\n  posefuse models add models/sim --state /var/lib/posefuse"
}

// Run adds the checkpoint.
func (c modelsAddCmd) Run() error {
	e, err := registry.Open(c.State, nil).Add(c.Model, "added by "+commandLine())
	if err != nil {
		return err
	}
	return printEntry(e, c.JSON, func() { fmt.Printf("%s is a candidate now\n", e.ID) })
}

type modelsPromoteCmd struct {
	Model string `arg:"" placeholder:"NAME/VERSION" help:"Version in the registry, see posefuse models list --state."`
	State string `default:"./posefuse-state" placeholder:"DIR" help:"The daemon's state_dir."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsPromoteCmd) Help() string {
	return "Checks the version's checkpoint and makes it the one that serves. A daemon takes it when it starts.\n\n" +
		"Example:\n\n  posefuse models promote edge/20260102T150405Z --state /var/lib/posefuse"
}

// Run promotes the version.
func (c modelsPromoteCmd) Run() error {
	id, err := registry.ParseID(c.Model)
	if err != nil {
		return err
	}
	e, err := registry.Open(c.State, nil).Promote(id, "promoted by "+commandLine())
	if err != nil {
		return err
	}
	return printEntry(e, c.JSON, func() { fmt.Printf("%s serves when the daemon starts next\n", e.ID) })
}

type modelsRollbackCmd struct {
	State string `default:"./posefuse-state" placeholder:"DIR" help:"The daemon's state_dir."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsRollbackCmd) Help() string {
	return "Makes the version that served before serve again. A daemon takes it when it starts.\n\n" +
		"Example:\n\n  posefuse models rollback --state /var/lib/posefuse"
}

// Run goes back one version.
func (c modelsRollbackCmd) Run() error {
	e, err := registry.Open(c.State, nil).Rollback("rolled back by "+commandLine(), registry.Retired)
	if errors.Is(err, registry.ErrNothingBefore) {
		return fmt.Errorf("%w; --state names the daemon's state_dir", err)
	}
	if err != nil {
		return err
	}
	return printEntry(e, c.JSON, func() { fmt.Printf("%s serves when the daemon starts next\n", nameOf(e)) })
}

// nameOf returns a version's name, that of the model inside the program for nil.
func nameOf(e *registry.Entry) string {
	if e == nil {
		return shippedName
	}
	return e.ID.String()
}

// printEntry prints a version as JSON, null for the model inside the program, or
// calls say.
func printEntry(e *registry.Entry, asJSON bool, say func()) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(e)
	}
	say()
	return nil
}

// listRegistry prints the versions of a registry.
func listRegistry(state string, asJSON bool) error {
	x, err := registry.Open(state, nil).Index()
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(x)
	}
	fmt.Printf("serving: %s\n", x.ServingName())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MODEL\tSTATE\tSINCE\tFROM\tREASON")
	for _, e := range x.Entries {
		parent := "-"
		if e.Parent != "" {
			parent = fmt.Sprintf("%.12s", e.Parent)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.ID, e.State, e.Changed, parent, e.Reason)
	}
	return w.Flush()
}

// showRegistered prints what the registry says of a version.
func showRegistered(e *registry.Entry) {
	fmt.Printf("state     %s since %s: %s\n", e.State, e.Changed, e.Reason)
	for _, p := range e.Past {
		fmt.Printf("before    %s since %s: %s\n", p.State, p.Changed, p.Reason)
	}
	if s := e.Shadow; s != nil {
		fmt.Printf("shadow    %s, against %s: %s\n", s.Time, s.Against, s.Reason)
	}
	g := e.Gate
	if g == nil {
		return
	}
	fmt.Printf("gate      %s, against %s: %s\n", g.Time, g.Against, g.Reason)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "SET\tGROUP\tFRAMES\tBEFORE MM\tAFTER MM\tCHANGE\t")
	for _, f := range g.Figures {
		fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t%.1f\t%+.1f %%\t\n", f.Set, f.Group, f.Frames, f.BeforeMM, f.AfterMM, f.ChangePercent())
	}
	_ = w.Flush() // to standard output
}
