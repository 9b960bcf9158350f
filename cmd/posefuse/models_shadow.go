package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"posefuse/model/registry"
)

type modelsShadowCmd struct {
	Model string `arg:"" placeholder:"NAME/VERSION" help:"Version in the daemon's registry."`
	NATS  string `name:"nats" default:"nats://127.0.0.1:4222" help:"NATS server of the daemon; with bus.users nats://USER:PASSWORD@HOST:PORT, of role control."`
	Room  string `default:"room1" help:"Room of the daemon."`
	Ticks int    `default:"200" help:"Ticks to compare on."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsShadowCmd) Help() string {
	return "Runs a version beside the serving one on what the sensors show, at most a tenth of the time, and says how far\n" +
		"their joints are apart. Its poses are published nowhere. One that gives no pose on a tick, or is more than 150 mm\n" +
		"off on average, is rejected.\n\n" +
		"Example:\n\n  posefuse models shadow edge/20260102T150405Z"
}

// Run waits for the end.
func (c modelsShadowCmd) Run(ctx context.Context) error {
	id, err := registry.ParseID(c.Model)
	if err != nil {
		return err
	}
	d, err := liveFlags{NATS: c.NATS, Room: c.Room}.connect()
	if err != nil {
		return err
	}
	defer d.nc.Close()
	e, err := d.shadow(ctx, id, c.Ticks)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(e)
	}
	fmt.Printf("%s: %s\n", e.Type, e.Reason)
	return nil
}
