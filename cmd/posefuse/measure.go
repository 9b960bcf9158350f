package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
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

// measurement is what a subscriber saw of a daemon's poses.
type measurement struct {
	Poses         int            `json:"poses"`
	Seconds       float64        `json:"seconds"`
	RateHz        float64        `json:"rate_hz"`
	Missing       uint64         `json:"missing_in_seq"`
	WorstGapMS    float64        `json:"worst_gap_ms"` // between arrivals
	Coalitions    map[string]int `json:"coalitions"`
	WithoutJoints int            `json:"poses_without_joints"`
	// Milliseconds from the last sensor byte of a tick to its publication, and
	// the parts the daemon reports.
	Total quantiles `json:"latency_total_ms"`
	Align quantiles `json:"latency_align_ms"`
	Infer quantiles `json:"latency_infer_ms"`
}

type quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func quantilesOf(x []float64) quantiles {
	if len(x) == 0 {
		return quantiles{}
	}
	slices.Sort(x)
	at := func(q float64) float64 { return x[min(int(q*float64(len(x))), len(x)-1)] }
	return quantiles{at(.5), at(.95), at(.99), x[len(x)-1]}
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
		q    quantiles
	}{{"last sensor byte to publication", m.Total}, {"tick to aligned set", m.Align}, {"network", m.Infer}} {
		fmt.Printf("%-34s %8.1f %8.1f %8.1f %8.1f\n", r.name, r.q.P50, r.q.P95, r.q.P99, r.q.Max)
	}
	return nil
}

func (c measureCmd) listen(ctx context.Context, sub *nats.Subscription) (measurement, error) {
	ctx, cancel := context.WithTimeout(ctx, c.For)
	defer cancel()
	bar := newProgress("listening")
	defer bar.done()
	begin := time.Now()
	m := measurement{Coalitions: map[string]int{}}
	var total, align, infer []float64
	var first, last time.Time
	var seq uint64
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if ctx.Err() != nil {
			break
		} else if err != nil {
			return m, fmt.Errorf("pose %d: %w", m.Poses+1, err)
		}
		now := time.Now()
		var p message.Pose
		if err := json.Unmarshal(msg.Data, &p); err != nil {
			return m, fmt.Errorf("pose %d: %w", m.Poses+1, err)
		}
		if m.Poses == 0 {
			first = now
		} else {
			m.WorstGapMS = max(m.WorstGapMS, float64(now.Sub(last).Microseconds())/1000)
			if p.Seq > seq+1 {
				m.Missing += p.Seq - seq - 1
			}
		}
		last, seq = now, p.Seq
		m.Poses++
		m.Coalitions[p.Coalition]++
		if p.JointsM == nil {
			m.WithoutJoints++
		} else {
			total, align, infer = append(total, p.LatencyMS.Total), append(align, p.LatencyMS.Align), append(infer, p.LatencyMS.Infer)
		}
		bar.show(float64(time.Since(begin))/float64(c.For), "")
	}
	if m.Poses < 2 {
		return m, fmt.Errorf("%d poses on posefuse.%s.pose within %s: is this the room's name?", m.Poses, c.Room, c.For)
	}
	m.Seconds = last.Sub(first).Seconds()
	m.RateHz = float64(m.Poses-1) / m.Seconds
	m.Total, m.Align, m.Infer = quantilesOf(total), quantilesOf(align), quantilesOf(infer)
	return m, nil
}
