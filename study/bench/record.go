package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/recording/session"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Record measures what recording a session costs.
type Record struct {
	For    time.Duration `default:"10s" help:"How long to record, in real time."`
	Points int           `default:"131072" help:"Points of a LiDAR sweep; an OS1-128 gives 131072."`
	Dir    string        `placeholder:"DIR" help:"Folder on the disk to measure; a temporary one if empty. What is written there is deleted."`
	JSON   bool          `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (Record) Help() string {
	return "Samples of all four sensors come at their own pace, 10 sweeps, sets of keypoints and radar frames and 100 WiFi\n" +
		"packets a second, and are recorded as the daemon does it. Points are random, which compresses worse than a room.\n\n" +
		"Example:\n\n  posefuse bench record --dir /var/lib/posefuse"
}

// recordRow is the measurement.
type recordRow struct {
	Points      int               `json:"points_per_sweep"`
	Seconds     float64           `json:"seconds"`
	CPUPercent  float64           `json:"cpu_percent_of_a_core"`
	MBPerSecond float64           `json:"mb_per_s"`
	Messages    uint64            `json:"messages"`
	Dropped     map[string]uint64 `json:"dropped,omitempty"`
}

// benchClock is a room clock from now on.
type benchClock struct{ start time.Time }

// NowNS implements session.Clock.
func (c benchClock) NowNS() int64 { return int64(time.Since(c.start)) }

// WallAt implements session.Clock.
func (c benchClock) WallAt(ns int64) time.Time { return c.start.Add(time.Duration(ns)).UTC() }

// Run records and prints what it cost.
func (c Record) Run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp(c.Dir, "posefuse-bench-record-")
	if err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	clock := benchClock{time.Now()}
	r := session.NewRecorder(session.Config{Root: dir, Clock: clock})
	if _, err = r.Start(session.Request{Subject: "bench", Consent: true}, session.Room{Name: "bench"}); err != nil {
		return err
	}
	feed := c.feed(r, clock)
	begin, cpu := time.Now(), cpuTime()
	feed(ctx)
	row := recordRow{Points: c.Points, Seconds: time.Since(begin).Seconds()}
	info, err := r.Stop()
	if err != nil {
		return err
	}
	row.CPUPercent = 100 * (cpuTime() - cpu).Seconds() / row.Seconds
	row.MBPerSecond = float64(info.Bytes()) / 1e6 / row.Seconds
	row.Messages, _ = info.Messages()
	row.Dropped = info.Dropped
	table := newTable(out, c.JSON, "points a sweep", "s", "% of a core", "MB/s", "messages", "dropped")
	lost := uint64(0)
	for _, n := range row.Dropped {
		lost += n
	}
	table.add(row, fmt.Sprint(row.Points), fmt.Sprintf("%.1f", row.Seconds), fmt.Sprintf("%.1f", row.CPUPercent), fmt.Sprintf("%.1f", row.MBPerSecond),
		fmt.Sprint(row.Messages), fmt.Sprint(lost))
	return table.end()
}

// feed makes samples and returns what hands them over at their pace.
func (c Record) feed(r *session.Recorder, clock benchClock) func(context.Context) {
	rng := rand.New(rand.NewPCG(1, 2))
	var clouds [16]*sensors.PointCloud // in turn: one alone would be packed as a repetition
	for k := range clouds {
		clouds[k] = &sensors.PointCloud{Complete: 1, XYZ: make([]float32, 3*max(c.Points, 0))}
		for i := range clouds[k].XYZ {
			clouds[k].XYZ[i] = float32(rng.IntN(16000)-8000) / 1000 // millimetres, as sensors give
		}
	}
	csi := &sensors.CSIPacket{Antennas: 3, Subcarriers: 114, Measured: 3, H: make([]complex64, 342)}
	for i := range csi.H {
		csi.H[i] = complex(float32(rng.IntN(256)-128), float32(rng.IntN(256)-128))
	}
	frame := &sensors.RadarFrame{Points: make([]sensors.RadarPoint, 100)}
	return func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, c.For)
		defer cancel()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for seq := uint64(0); ; seq++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := clock.NowNS()
			give := func(s sensors.Sample) {
				s.Seq, s.ReceiveNS, s.CaptureNS = seq, now, now
				r.Sample(&s)
			}
			give(sensors.Sample{Modality: modality.CSI, CSI: csi})
			if seq%10 == 0 {
				give(sensors.Sample{Modality: modality.LiDAR, Cloud: clouds[seq/10%16]})
				give(sensors.Sample{Modality: modality.Camera, Keypoints: &sensors.Keypoints{Width: 640, Height: 480}})
				give(sensors.Sample{Modality: modality.Radar, Radar: frame})
			}
		}
	}
}

// cpuTime returns what the process has used.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
