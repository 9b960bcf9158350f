package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"posefuse/pipeline"
)

type reloadCmd struct {
	NATS string `name:"nats" default:"nats://127.0.0.1:4222" help:"NATS server of the daemon; with bus.users nats://USER:PASSWORD@HOST:PORT, of the role control."`
	Room string `default:"room1" help:"Room of the daemon."`
	JSON bool   `name:"json" help:"Print the reply as JSON."`
}

// Help shows the command's example.
func (reloadCmd) Help() string {
	return "The daemon reads its configuration and certificates again, as on SIGHUP. Users and their\n" +
		"connections, the page and its port, the exercises, how long things are kept and the log\n" +
		"change at once; other keys wait for a restart and are named. A file that cannot be used\n" +
		"changes nothing.\n\nExample:\n\n  posefuse reload"
}

// reloadLimit is how long the daemon may take.
const reloadLimit = 10 * time.Second

// Run asks a running daemon to read its configuration again.
func (c reloadCmd) Run(ctx context.Context) error {
	nc, err := nats.Connect(c.NATS)
	if err != nil {
		return fmt.Errorf("connect: %w; is the daemon running? (posefuse run)", err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, reloadLimit)
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, "posefuse."+c.Room+".ctl.reload", nil)
	if err != nil {
		return fmt.Errorf("room %s: %w; is --room right, and may this user call ctl.*?", c.Room, err)
	}
	if why := reply.Header.Get(micro.ErrorHeader); why != "" {
		return fmt.Errorf("%s", why)
	}
	var r pipeline.Reloaded
	if err = json.Unmarshal(reply.Data, &r); err != nil {
		return fmt.Errorf("the daemon's reply: %w", err)
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Println("in force now:", strings.Join(r.Applied, ", "))
	if len(r.Waiting) > 0 {
		fmt.Println("after a restart:", strings.Join(r.Waiting, ", "))
	}
	return nil
}

// reloader returns what reads the configuration again, nil without a file.
func (c runCmd) reloader() func() (pipeline.Config, error) {
	if c.Config == "" {
		return nil
	}
	return func() (pipeline.Config, error) {
		room, err := c.load()
		return room.Config, err
	}
}

// reloadOnHangup reads the configuration again at each SIGHUP. The daemon says
// itself what came of it.
func reloadOnHangup(ctx context.Context, core *pipeline.Core, hangups <-chan os.Signal) {
	for {
		select {
		case <-hangups:
			_, _, _ = core.Reload() //nolint:contextcheck // it logs and reports its errors; opening a port takes no time
		case <-ctx.Done():
			return
		}
	}
}
