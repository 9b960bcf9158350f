package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/message"
	"posefuse/model"
)

type benchRoomCmd struct {
	Rooms []int         `default:"1,2,4,8" help:"How many rooms at once, one after the other; ends with the first number that gives way."`
	For   time.Duration `default:"30s" help:"How long each number is measured."`
	Model string        `placeholder:"DIR" help:"Checkpoint of the rooms' model; the one in the program by default."`
	Beams int           `name:"lidar-beams" default:"32" enum:"32,128" help:"Beams of each LiDAR: 27,000 or 107,000 points a sweep."`
	JSON  bool          `name:"json" help:"Print JSON."`
}

// What a room must keep; the rate is of configs/posefuse.yaml, the time beyond the
// longest wait for a sensor that of docs/performance.md.
const (
	roomLeastHz      = 9.9
	roomMostBeyondMS = 30
	roomHoldMS       = 60
)

// roomsResult is what so many rooms took, and how the one that did worst did.
type roomsResult struct {
	Rooms       int      `json:"rooms"`
	FirstPoseS  float64  `json:"first_pose_s"` // the slowest of them, from the start of its process
	LeastHz     float64  `json:"least_rate_hz"`
	BeyondP99MS float64  `json:"beyond_hold_p99_ms"`
	FusedShare  float64  `json:"all_fused_share"`
	DaemonCores float64  `json:"daemon_cores"` // of one room
	SensorCores float64  `json:"sensor_cores"`
	DaemonMiB   float64  `json:"daemon_mib"` // resident, of one room
	FreeMiB     float64  `json:"available_mib"`
	Watts       *float64 `json:"package_watts,omitempty"` // of the whole processor, where RAPL can be read
	GaveWay     string   `json:"gave_way,omitempty"`
}

// Help shows the command's example.
func (benchRoomCmd) Help() string {
	return "Example: how many rooms this machine carries\n\n  posefuse bench room --rooms 1,2,4,8,12"
}

// Run starts so many daemons, each with simulated sensors in a process of its own,
// measures their poses, and goes on until one gives way.
func (c benchRoomCmd) Run(ctx context.Context, out io.Writer) error {
	if c.For < time.Second {
		return fmt.Errorf("--for %s: a rate needs a second at least", c.For)
	}
	for _, n := range c.Rooms {
		if n < 1 || n > 256 {
			return fmt.Errorf("--rooms %d: give 1 to 256", n)
		}
	}
	results := []roomsResult{}
	if !c.JSON {
		fmt.Fprintf(out, "%d cores, path %s, %s a number\n%5s %7s %7s %9s %7s %9s %9s %7s %7s\n", model.Cores(), model.CPUPath(), c.For,
			"rooms", "first s", "least/s", "p99+hold", "fused", "daemon", "sensors", "MiB", "watts")
	}
	for _, n := range c.Rooms {
		r, err := c.measure(ctx, n)
		if err != nil {
			return fmt.Errorf("%d rooms: %w", n, err)
		}
		results = append(results, r)
		if !c.JSON {
			watts := "-"
			if r.Watts != nil {
				watts = fmt.Sprintf("%.1f", *r.Watts)
			}
			fmt.Fprintf(out, "%5d %7.2f %7.2f %9.1f %7.3f %9.3f %9.3f %7.0f %7s %s\n", n, r.FirstPoseS, r.LeastHz, r.BeyondP99MS, r.FusedShare, r.DaemonCores, r.SensorCores, r.DaemonMiB, watts, r.GaveWay)
		}
		if r.GaveWay != "" {
			break
		}
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(results)
	}
	return nil
}

// measure runs n rooms.
func (c benchRoomCmd) measure(ctx context.Context, n int) (r roomsResult, err error) {
	dir, err := os.MkdirTemp("", "posefuse-bench-room-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rooms := make([]*benchRoom, 0, n)
	defer func() {
		for _, b := range rooms {
			b.stop()
		}
	}()
	r.Rooms = n
	for i := range n {
		b, failed := startBenchRoom(ctx, dir, i, c)
		if b != nil {
			rooms = append(rooms, b)
		}
		if failed != nil {
			return r, failed
		}
	}
	for i, b := range rooms {
		first, failed := b.firstPose(ctx)
		if failed != nil {
			return r, fmt.Errorf("room %d of %d: %w", i+1, n, failed)
		}
		r.FirstPoseS = max(r.FirstPoseS, first.Seconds())
	}
	watts := startPower("/sys/class/powercap")
	begin := time.Now()
	seen, err := listenToRooms(ctx, rooms, c.For)
	if err != nil {
		return r, err
	}
	r.Watts = watts()
	r.take(rooms, seen, time.Since(begin))
	return r, nil
}

// listenToRooms receives all rooms' poses for a while.
func listenToRooms(ctx context.Context, rooms []*benchRoom, d time.Duration) ([]message.Reception, error) {
	receivers := make([]message.Receiver, len(rooms))
	errs := make([]error, len(rooms))
	done := make(chan struct{}, len(rooms))
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for i, b := range rooms {
		b.begin()
		go func() {
			errs[i] = b.listen(ctx, &receivers[i])
			done <- struct{}{}
		}()
	}
	for range rooms {
		<-done
	}
	seen := make([]message.Reception, len(rooms))
	for i := range seen {
		rooms[i].end()
		if errs[i] == nil && receivers[i].Poses() < 2 {
			errs[i] = fmt.Errorf("room %d: %d poses within %s; its log: %s", i+1, receivers[i].Poses(), d, rooms[i].lastWords())
		}
		if errs[i] == nil {
			seen[i] = receivers[i].Reception()
		}
	}
	return seen, errors.Join(errs...)
}

// take fills in the result.
func (r *roomsResult) take(rooms []*benchRoom, seen []message.Reception, took time.Duration) {
	fused, poses := 0, 0
	r.LeastHz = seen[0].RateHz
	for i, s := range seen {
		r.LeastHz = min(r.LeastHz, s.RateHz)
		r.BeyondP99MS = max(r.BeyondP99MS, s.Publish.P99-roomHoldMS)
		fused, poses = fused+s.Coalitions["RLMW"], poses+s.Poses
		b := rooms[i]
		r.DaemonCores += (b.daemon.used).Seconds() / took.Seconds() / float64(len(rooms))
		r.SensorCores += (b.sensors.used).Seconds() / took.Seconds() / float64(len(rooms))
		r.DaemonMiB = max(r.DaemonMiB, b.daemon.residentMiB())
	}
	r.FusedShare = float64(fused) / float64(poses)
	r.FreeMiB = availableMiB()
	var gave []string
	if r.LeastHz < roomLeastHz {
		gave = append(gave, fmt.Sprintf("rate: %.2f poses a second, want %g", r.LeastHz, roomLeastHz))
	}
	if r.BeyondP99MS > roomMostBeyondMS {
		gave = append(gave, fmt.Sprintf("p99: %.0f ms beyond the hold, want %d", r.BeyondP99MS, roomMostBeyondMS))
	}
	if r.FreeMiB > 0 && r.FreeMiB < r.DaemonMiB {
		gave = append(gave, fmt.Sprintf("memory: %.0f MiB are left, another room takes %.0f", r.FreeMiB, r.DaemonMiB))
	}
	r.GaveWay = strings.Join(gave, "; ")
}

// listen receives a room's poses until ctx ends.
func (b *benchRoom) listen(ctx context.Context, to *message.Receiver) error {
	for ctx.Err() == nil {
		msg, err := b.poses.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled): // the loop ends
			continue
		case errors.Is(err, nats.ErrConnectionClosed):
			return fmt.Errorf("the daemon ended; its log: %s", b.lastWords())
		case err != nil:
			return err
		}
		var p message.Pose
		if err = json.Unmarshal(msg.Data, &p); err != nil {
			return fmt.Errorf("pose: %w", err)
		}
		to.Add(&p, time.Now())
	}
	return nil
}
