package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/message"
)

type roomsCmd struct {
	NATS string        `name:"nats" default:"nats://127.0.0.1:4222" help:"NATS server of a hub or of one room; with logins nats://USER:PASSWORD@HOST:PORT, tls:// if it has a certificate."`
	Wait time.Duration `default:"2500ms" help:"How long to listen; each room speaks once a second."`
	JSON bool          `name:"json" help:"Print JSON: the whole status of each room."`
}

// Help shows the command's example.
func (roomsCmd) Help() string {
	return "Every room that speaks at the server: its state, rate, model, disk and last session, and\n" +
		"what is not well there. See docs/hub.md.\n\nExample:\n\n  posefuse rooms --nats tls://viewer:PASSWORD@hub.clinic:4222"
}

// Run listens and prints.
func (c roomsCmd) Run(ctx context.Context) error {
	nc, err := nats.Connect(c.NATS)
	if err != nil {
		return fmt.Errorf("connect: %w; is a hub or a daemon running there, and is the login right?", err)
	}
	defer nc.Close()
	rooms, err := hearRooms(ctx, nc, c.Wait)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rooms)
	}
	if len(rooms) == 0 {
		return fmt.Errorf("no room speaks at %s: are their daemons running, and does their bus.hub.url lead to it?", nc.ConnectedUrlRedacted())
	}
	return printRooms(os.Stdout, rooms, time.Now())
}

// hearRooms returns the newest status of each room that speaks within a time, in the
// order of their names. A message that is none is an error that names its sender.
func hearRooms(ctx context.Context, nc *nats.Conn, wait time.Duration) ([]message.Status, error) {
	sub, err := nc.SubscribeSync("posefuse.*.status")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	newest := map[string]message.Status{}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		var s message.Status
		if err = json.Unmarshal(m.Data, &s); err != nil {
			return nil, fmt.Errorf("%s is no status: %w", m.Subject, err)
		}
		newest[s.Room] = s
	}
	rooms := make([]message.Status, 0, len(newest))
	for _, s := range newest {
		rooms = append(rooms, s)
	}
	slices.SortFunc(rooms, func(a, b message.Status) int { return cmp.Compare(a.Room, b.Room) })
	return rooms, nil
}

// always are the parts of a room that are told even if all is well: the disk and
// the sessions.
var always = []string{"bus.store", "recorder"}

// printRooms writes a line for each room and one for each part of it that is not
// well or of general interest.
func printRooms(out io.Writer, rooms []message.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROOM\tSTATE\tPOSES/S\tMODEL\tUP")
	for _, s := range rooms {
		state := s.State
		if at, err := time.Parse(time.RFC3339, s.Time); err == nil && now.Sub(at) > 10*time.Second {
			state += fmt.Sprintf(", last heard %s ago", now.Sub(at).Round(time.Second)) // or its clock is behind
		}
		model := "none"
		if s.Model != nil {
			model = s.Model.Name + " " + s.Model.Version
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%s\t%s\n", s.Room, state, s.FPS, model, time.Duration(s.Uptime*float64(time.Second)).Round(time.Second))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range rooms {
		for _, p := range s.Parts {
			if p.Severity == "ok" && !slices.Contains(always, p.Part) {
				continue
			}
			if _, err := fmt.Fprintf(out, "%s  %s %s: %s\n", s.Room, p.Part, p.Code, p.Text); err != nil {
				return err
			}
		}
	}
	return nil
}
