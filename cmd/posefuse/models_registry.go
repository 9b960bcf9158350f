package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"posefuse/message"
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

// liveFlags name a running daemon that is to make a change; without NATS none is.
type liveFlags struct {
	NATS string `name:"nats" placeholder:"URL" help:"Have the running daemon at this NATS server make the change at once; with bus.users nats://USER:PASSWORD@HOST:PORT."`
	Room string `default:"room1" help:"With --nats: its room."`
}

type modelsPromoteCmd struct {
	Model string `arg:"" placeholder:"NAME/VERSION" help:"Version in the registry, see posefuse models list --state."`
	State string `default:"./posefuse-state" placeholder:"DIR" help:"The daemon's state_dir, without --nats."`
	liveFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsPromoteCmd) Help() string {
	return "Checks the version's checkpoint and makes it the one that serves. A running daemon\n" +
		"changes over between two ticks with --nats; without it, it takes effect when the daemon starts next.\n\n" +
		"Examples:\n\n  posefuse models promote edge/20260102T150405Z --state /var/lib/posefuse\n" +
		"  posefuse models promote edge/20260102T150405Z --nats nats://127.0.0.1:4222"
}

// Run promotes the version.
func (c modelsPromoteCmd) Run(ctx context.Context) error {
	id, err := registry.ParseID(c.Model)
	if err != nil {
		return err
	}
	if c.NATS != "" {
		return c.change(ctx, "swap", map[string]string{"name": id.Name, "version": id.Version}, c.JSON)
	}
	e, err := registry.Open(c.State, nil).Promote(id, "promoted by "+commandLine(), nil)
	if err != nil {
		return err
	}
	return printEntry(e, c.JSON, func() { fmt.Printf("%s serves when the daemon starts next\n", e.ID) })
}

type modelsRollbackCmd struct {
	State string `default:"./posefuse-state" placeholder:"DIR" help:"The daemon's state_dir, without --nats."`
	liveFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsRollbackCmd) Help() string {
	return "Makes the version that served before serve again, as models promote does.\n\n" +
		"Examples:\n\n  posefuse models rollback --state /var/lib/posefuse\n  posefuse models rollback --nats nats://127.0.0.1:4222"
}

// Run goes back one version.
func (c modelsRollbackCmd) Run(ctx context.Context) error {
	if c.NATS != "" {
		return c.change(ctx, "rollback", struct{}{}, c.JSON)
	}
	e, err := registry.Open(c.State, nil).Rollback("rolled back by "+commandLine(), registry.Retired, nil)
	if errors.Is(err, registry.ErrNothingBefore) {
		return fmt.Errorf("%w; --state names the daemon's state_dir", err)
	}
	if err != nil {
		return err
	}
	return printEntry(e, c.JSON, func() { fmt.Printf("%s serves when the daemon starts next\n", nameOf(e)) })
}

// change has the daemon make a change and prints what runs now.
func (f liveFlags) change(ctx context.Context, what string, request any, asJSON bool) error {
	d, err := f.connect()
	if err != nil {
		return err
	}
	defer d.nc.Close()
	reply, err := d.ask(ctx, "model."+what, request)
	if err != nil {
		return err
	}
	if asJSON {
		_, err = fmt.Println(string(reply))
		return err
	}
	var r struct{ Model, Before message.PoseModel }
	if err = json.Unmarshal(reply, &r); err != nil {
		return fmt.Errorf("the daemon's reply: %w", err)
	}
	fmt.Printf("%s %s runs now, before it %s %s\n", r.Model.Name, r.Model.Version, r.Before.Name, r.Before.Version)
	return nil
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
	if len(g.Sessions) > 0 {
		fmt.Printf("sessions  %s\n", strings.Join(g.Sessions, " "))
	}
	fmt.Printf("gate      %s, against %s: %s\n", g.Time, g.Against, g.Reason)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "SET\tGROUP\tFRAMES\tBEFORE MM\tAFTER MM\tCHANGE\tFROM\tTO\tBY\tVERDICT\t")
	for _, f := range g.Figures {
		from, to := "-", "-"
		if in := f.Interval; in != nil {
			from, to = fmt.Sprintf("%+.1f %%", in.LowPercent), fmt.Sprintf("%+.1f %%", in.HighPercent)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t%.1f\t%+.1f %%\t%s\t%s\t%d %s\t%s\t\n", f.Set, f.Group, f.Frames, f.BeforeMM, f.AfterMM, f.ChangePercent(), from, to, f.Units, f.Of, f.Verdict)
	}
	_ = w.Flush() // to standard output
}
