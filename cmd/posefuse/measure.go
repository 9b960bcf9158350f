package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/message"
)

type measureCmd struct {
	NATS string        `name:"nats" default:"nats://127.0.0.1:4222" help:"NATS server of the daemon; with bus.users nats://USER:PASSWORD@HOST:PORT."`
	Room string        `default:"room1" help:"Room to listen to."`
	For  time.Duration `default:"1m" help:"How long."`
	JSON bool          `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (measureCmd) Help() string {
	return "Example: five minutes of a running daemon\n\n  posefuse measure --for 5m"
}

// Run listens for a while and prints what came.
func (c measureCmd) Run(ctx context.Context) error {
	nc, err := nats.Connect(c.NATS)
	if err != nil {
		return fmt.Errorf("connect to %s: %w; is the daemon running? (posefuse run)", c.NATS, err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("posefuse." + c.Room + ".pose")
	if err != nil {
		return err
	}
	if err = sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	m, err := c.listen(ctx, sub)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(m)
	}
	fmt.Printf("%d poses in %.1f s: %.3f a second, %d missing in seq, worst gap %.0f ms, %d without joints\ncoalitions: %v\n",
		m.Poses, m.Seconds, m.RateHz, m.Missing, m.WorstGapMS, m.WithoutJoints, m.Coalitions)
	fmt.Printf("%-34s %8s %8s %8s %8s\n", "ms", "p50", "p95", "p99", "max")
	for _, r := range []struct {
		name string
		q    message.Quantiles
	}{{"last sensor byte to publication", m.Total}, {"tick to publication", m.Publish}, {"tick to aligned set", m.Align}, {"network", m.Infer}} {
		fmt.Printf("%-34s %8.1f %8.1f %8.1f %8.1f\n", r.name, r.q.P50, r.q.P95, r.q.P99, r.q.Max)
	}
	return nil
}

func (c measureCmd) listen(ctx context.Context, sub *nats.Subscription) (message.Reception, error) {
	ctx, cancel := context.WithTimeout(ctx, c.For)
	defer cancel()
	bar := newProgress("listening")
	defer bar.done()
	begin := time.Now()
	var r message.Receiver
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if ctx.Err() != nil {
			break
		} else if err != nil {
			return message.Reception{}, fmt.Errorf("pose %d: %w", r.Poses()+1, err)
		}
		now := time.Now()
		var p message.Pose
		if err := json.Unmarshal(msg.Data, &p); err != nil {
			return message.Reception{}, fmt.Errorf("pose %d: %w", r.Poses()+1, err)
		}
		r.Add(&p, now)
		bar.show(float64(time.Since(begin))/float64(c.For), "")
	}
	if r.Poses() < 2 {
		return message.Reception{}, fmt.Errorf("%d poses on posefuse.%s.pose within %s: is this the room's name?", r.Poses(), c.Room, c.For)
	}
	return r.Reception(), nil
}
