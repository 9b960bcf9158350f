package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/recording/session"
	"posefuse/sensors"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
)

// Record measures what recording a session costs.
type Record struct {
	For    time.Duration `default:"10s" help:"How long to record each row, in real time."`
	Points int           `default:"131072" help:"Points of a LiDAR sweep; an OS1-128 gives 131072."`
	Dir    string        `placeholder:"DIR" help:"Folder on the disk to measure; a temporary one if empty. What is written there is deleted."`
	JSON   bool          `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (Record) Help() string {
	return "Samples of all four sensors come at their own pace, 10 sweeps, sets of keypoints and radar frames and 100 WiFi\n" +
		"packets a second, and are recorded as the daemon does it. Points are random, which compresses worse than a room. The second\n" +
		"row records what the drivers of an OS1-128 and the others read at that pace, without samples; the third both.\n\n" +
		"Example:\n\n  posefuse bench record --dir /var/lib/posefuse"
}

// recordRow is the measurement.
type recordRow struct {
	Recorded    string            `json:"recorded"`
	Points      int               `json:"points_per_sweep"`
	RawMB       float64           `json:"raw_mb_per_s"` // that drivers read, 0 without
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

// recorded are the rows: whether samples and whether raw bytes come.
var recorded = []struct {
	what         string
	samples, raw bool
}{{"samples", true, false}, {"raw bytes", false, true}, {"both", true, true}}

// Run records and prints what it cost.
func (c Record) Run(ctx context.Context, out io.Writer) error {
	table := newTable(out, c.JSON, "recorded", "points a sweep", "raw MB/s", "s", "% of a core", "MB/s", "messages", "dropped")
	for _, k := range recorded {
		row, err := c.measure(ctx, k.samples, k.raw)
		if err != nil {
			return err
		}
		row.Recorded = k.what
		lost := uint64(0)
		for _, n := range row.Dropped {
			lost += n
		}
		table.add(row, k.what, fmt.Sprint(row.Points), fmt.Sprintf("%.1f", row.RawMB), fmt.Sprintf("%.1f", row.Seconds), fmt.Sprintf("%.1f", row.CPUPercent),
			fmt.Sprintf("%.1f", row.MBPerSecond), fmt.Sprint(row.Messages), fmt.Sprint(lost))
	}
	return table.end()
}

// measure records one session.
func (c Record) measure(ctx context.Context, samples, raw bool) (row recordRow, err error) {
	dir, err := os.MkdirTemp(c.Dir, "posefuse-bench-record-")
	if err != nil {
		return row, fmt.Errorf("--dir: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	clock := benchClock{time.Now()}
	r := session.NewRecorder(session.Config{Root: dir, Clock: clock})
	request := session.Request{Subject: "bench", Consent: true}
	var feeds []func(context.Context)
	sent := 0
	if samples {
		row.Points = c.Points
		feeds = append(feeds, c.feed(r, clock))
	}
	if raw {
		for m := range modality.Count {
			request.Raw = append(request.Raw, m.String())
		}
		feed, feedErr := rawFeed(r, clock, &sent)
		if feedErr != nil {
			return row, feedErr
		}
		feeds = append(feeds, feed)
	}
	if _, err = r.Start(request, session.Room{Name: "bench"}); err != nil {
		return row, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.For)
	defer cancel()
	begin, cpu := time.Now(), cpuTime()
	var done sync.WaitGroup
	for _, feed := range feeds {
		done.Go(func() { feed(ctx) })
	}
	done.Wait()
	row.Seconds = time.Since(begin).Seconds()
	info, err := r.Stop()
	if err != nil {
		return row, err
	}
	row.CPUPercent = 100 * (cpuTime() - cpu).Seconds() / row.Seconds
	row.RawMB = float64(sent) / 1e6 / row.Seconds
	row.MBPerSecond = float64(info.Bytes()) / 1e6 / row.Seconds
	row.Messages, _ = info.Messages()
	row.Dropped = info.Dropped
	return row, nil
}

// rawFeed hands over random bytes in the sizes and at the pace of a room's sensors:
// the datagrams of an OS1-128, with their headers, radar frames of a serial port,
// lines of keypoints, and CSI of three antennas; sent counts them.
func rawFeed(r *session.Recorder, clock benchClock, sent *int) (func(context.Context), error) {
	c, err := ousterCase("Ouster OS1-128", lidar.ProfileLegacy, 128)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(3, 4))
	const sweeps = 4 // in turn: one alone would be packed as a repetition
	var datagrams [][]byte
	for range sweeps {
		for _, b := range c.frame {
			b = slices.Clone(b)
			for i := 16; i+12 <= len(b); i += 12 { // a pixel's range, reflectivity, signal
				binary.LittleEndian.PutUint32(b[i:], uint32(rng.IntN(16000)))
				b[i+4], b[i+6] = byte(rng.IntN(256)), byte(rng.IntN(256))
			}
			datagrams = append(datagrams, b)
		}
	}
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.IntN(256))
		}
		return b
	}
	frame, line, packet := random(2048), random(700), random(3*114*2+60)
	every := time.Second / time.Duration(lidarHz*len(c.frame))
	return func(ctx context.Context) {
		give := func(m modality.Kind, by sensors.Transport, b []byte) {
			*sent += len(b)
			r.Raw(m, &sensors.Raw{Transport: by, AtNS: clock.NowNS(), Data: b})
		}
		begin, n := time.Now(), 0
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for seq := 0; ; seq++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for ; time.Since(begin) >= time.Duration(n)*every; n++ {
				give(modality.LiDAR, sensors.UDP, datagrams[n%len(datagrams)])
			}
			give(modality.CSI, sensors.Packet, packet)
			if seq%10 == 0 {
				give(modality.Camera, sensors.Record, line)
				give(modality.Radar, sensors.Stream, frame)
			}
		}
	}, nil
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
