package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"text/tabwriter"
	"time"

	"posefuse/pipeline"
	"posefuse/recording/session"
	"posefuse/replay"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// rawSummary is what is told of raw bytes that went through the drivers again.
type rawSummary struct {
	Session  string       `json:"session"`
	SessionS float64      `json:"session_s"`
	TookS    float64      `json:"took_s"`
	Sensors  []*rawResult `json:"sensors"`
}

// rawResult is what became of one sensor's bytes.
type rawResult struct {
	Sensor   string            `json:"sensor"`
	Driver   string            `json:"driver"`
	Pieces   uint64            `json:"pieces"` // datagrams, reads, packets
	Bytes    uint64            `json:"bytes"`
	Recorded int               `json:"recorded"` // samples in the session
	Decoded  int               `json:"decoded"`  // samples now
	Equal    int               `json:"equal"`    // of the recorded ones, bit for bit
	Differ   int               `json:"differ"`   // recorded after the first equal one, and not among those of now
	Counts   map[string]uint64 `json:"counts,omitempty"`
	Error    string            `json:"error,omitempty"`

	modality modality.Kind
	way      *replay.RawDriver
	mu       sync.Mutex
	made     map[uint64]int // digests of samples decoded now
	recorded []uint64       // of those recorded, in order
}

// rawDigest seeds the digests of samples.
var rawDigest = maphash.MakeSeed()

// digest is that of a sample's payload and time of reception. Counters that a driver
// has since it started are not in it: a session may begin later.
func digest(s *sensors.Sample) uint64 {
	var h maphash.Hash
	h.SetSeed(rawDigest)
	maphash.WriteComparable(&h, s.ReceiveNS)
	f32 := func(v float32) { maphash.WriteComparable(&h, math.Float32bits(v)) }
	f64 := func(values ...float64) {
		for _, v := range values {
			maphash.WriteComparable(&h, math.Float64bits(v))
		}
	}
	switch {
	case s.Keypoints != nil:
		for j, p := range s.Keypoints.XY {
			f64(p[0], p[1], s.Keypoints.Score[j])
		}
		maphash.WriteComparable(&h, [...]int{s.Keypoints.Width, s.Keypoints.Height})
	case s.Cloud != nil:
		f64(s.Cloud.Complete)
		for _, v := range s.Cloud.XYZ {
			f32(v)
		}
	case s.Radar != nil:
		for _, p := range s.Radar.Points {
			for _, v := range [...]float32{p.X, p.Y, p.Z, p.Doppler, p.SNRdB} {
				f32(v)
			}
		}
	case s.CSI != nil:
		f64(s.CSI.RSSIdBm)
		maphash.WriteComparable(&h, [...]int{s.CSI.Measured, s.CSI.Antennas, s.CSI.Subcarriers})
		for _, v := range s.CSI.H {
			f32(real(v))
			f32(imag(v))
		}
	}
	return h.Sum64()
}

// playRaw sends a session's raw bytes through the drivers that read them, and holds
// what they decode against what was recorded.
func (c replayCmd) playRaw(ctx context.Context, out io.Writer) error {
	if c.Session == "" || c.MMFi != "" || len(c.Clips) > 0 || len(c.Fault) > 0 || c.Sensors || c.Loop || c.From != 0 || c.To != 0 || c.Poses != "" || c.Model != "" {
		return errors.New("--raw sends a session's bytes through the drivers: give a session, and besides it --speed, --fast, --without, --state or --json only")
	}
	dir, err := session.Find(filepath.Join(c.State, session.Folder), c.Session)
	if err != nil {
		return err
	}
	info, err := session.Read(dir)
	if err != nil {
		return err
	}
	setup, err := pipeline.ParseSetup(info.Setup)
	if err != nil {
		return fmt.Errorf("session %s: %w", info.ID, err)
	}
	tmp, err := os.MkdirTemp("", "posefuse-replay-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // a temporary folder
	sum := &rawSummary{Session: info.ID}
	ways, topics, err := c.rawWays(ctx, tmp, &setup, sum)
	if err != nil {
		return err
	}
	if len(sum.Sensors) == 0 {
		return fmt.Errorf("session %s has no raw bytes: posefuse record start --raw lidar,radar,csi records them", info.ID)
	}
	check, err := c.feedRaw(ctx, dir, topics, ways, sum)
	for _, r := range sum.Sensors {
		r.way.Close()
		r.compare()
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if err := sum.print(out, c.JSON); err != nil {
		return err
	}
	if err := sum.judge(); err != nil {
		return err
	}
	return lossOf(&check)
}

// rawWays opens a way to the driver of each sensor whose bytes a session has.
func (c replayCmd) rawWays(ctx context.Context, tmp string, setup *pipeline.Setup, sum *rawSummary) (ways [modality.Count]*rawResult, topics []string, err error) {
	off := map[string]bool{}
	for _, name := range c.Without {
		off[name] = true
	}
	for m := range modality.Count {
		d, known := setup.Drivers[m.String()]
		if !known || off[m.String()] {
			continue
		}
		r := &rawResult{Sensor: m.String(), Driver: d.Driver, modality: m, made: map[uint64]int{}}
		own := filepath.Join(tmp, r.Sensor)
		if err := os.Mkdir(own, 0o700); err != nil {
			return ways, nil, err
		}
		r.way = replay.NewRawDriver(ctx, d.Driver, own, func(driver string, keys map[string]any) (sensors.Source, error) {
			s := d
			if s.Driver != driver { // another one that reads the same, with settings of its own
				s = pipeline.DriverSetup{Driver: driver}
			}
			return s.Source(m, keys)
		}, r.take)
		ways[m], sum.Sensors = r, append(sum.Sensors, r)
		topics = append(topics, session.RawTopic(m), session.SampleTopic(m))
	}
	return ways, topics, nil
}

// take takes a sample that was decoded now.
func (r *rawResult) take(s *sensors.Sample) {
	sum := digest(s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Decoded++
	r.made[sum]++
}

// feedRaw gives the session's pieces to the drivers, at the pace that was asked for. A
// driver that fails gets no more; the others go on.
func (c replayCmd) feedRaw(ctx context.Context, dir string, topics []string, ways [modality.Count]*rawResult, sum *rawSummary) (session.Check, error) {
	start, first := time.Now(), int64(-1)
	_, check, err := session.Visit(dir, session.Part{Topics: topics}, func(e *session.Event) error {
		if first < 0 {
			first = e.AtNS
		}
		sum.SessionS = float64(e.AtNS-first) / 1e9
		if !c.Fast {
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(start.Add(time.Duration(float64(e.AtNS-first) / c.Speed)))):
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.Sample != nil {
			r := ways[e.Sample.Modality]
			r.recorded = append(r.recorded, digest(e.Sample))
			return nil
		}
		for _, r := range sum.Sensors {
			if session.RawTopic(r.modality) == e.Topic && r.Error == "" {
				r.Pieces++
				r.Bytes += uint64(len(e.Raw.Data))
				if err := r.way.Send(e.Raw); err != nil && ctx.Err() == nil { //nolint:contextcheck // the way has it since it was made
					r.Error = err.Error()
				}
			}
		}
		return nil
	})
	sum.TookS = time.Since(start).Seconds()
	return check, err
}

// compare counts the recorded samples that were decoded again.
func (r *rawResult) compare() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Counts, r.Recorded = r.way.Counts(), len(r.recorded)
	for _, d := range r.recorded {
		switch {
		case r.made[d] > 0:
			r.made[d]--
			r.Equal++
		case r.Equal > 0:
			r.Differ++
		}
	}
}

func (s *rawSummary) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(s)
	}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "sensor\tdriver\tpieces\tsize\trecorded\tdecoded now\tequal\tdiffer") // errors come from Flush
	for _, r := range s.Sensors {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\n", r.Sensor, r.Driver, r.Pieces, sizeText(int64(r.Bytes)), r.Recorded, r.Decoded, r.Equal, r.Differ)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "session %s: %.1f s in %.1f s\n", s.Session, s.SessionS, s.TookS)
	return err
}

// judge returns the error for what drivers refused, or decoded otherwise than when the
// session was recorded.
func (s *rawSummary) judge() error {
	var errs []error
	differ := 0
	for _, r := range s.Sensors {
		if r.Error != "" {
			errs = append(errs, fmt.Errorf("%s: %s", r.Sensor, r.Error))
		}
		differ += r.Differ
		if r.Recorded > 0 && r.Equal == 0 {
			differ += r.Recorded
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if differ > 0 {
		return &exitError{exitLost, fmt.Errorf("session %s: %d samples are not decoded as they were recorded: bytes are missing (posefuse sessions info), or the driver is another than that day's", s.Session, differ)}
	}
	return nil
}
