package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"posefuse/sensors"
)

// ErrNotReplayable is in errors about raw bytes that have no way back into a driver.
var ErrNotReplayable = errors.New("these bytes cannot be sent again")

// RawDriver sends recorded raw bytes to the driver that read them, over a transport of
// the same kind on this machine, and takes what it decodes. A piece is sent when the
// driver has taken the one before; the driver is told the recorded times. It is used
// by one goroutine.
type RawDriver struct {
	ctx    context.Context
	driver string
	dir    string // of files and terminals, its own
	build  func(driver string, keys map[string]any) (sensors.Source, error)
	sink   *rawSink

	port  *rawPort // nil until the first bytes
	begun bool     // port.begin was sent
	stop  context.CancelFunc
	ended chan struct{}
	err   error // of the source, when ended is closed
}

// NewRawDriver returns the way to a driver. build makes the driver's source with its
// recorded settings but for some keys; emit takes its samples, on goroutines of its
// own. dir is an empty folder for what is needed. Close ends it.
func NewRawDriver(ctx context.Context, driver, dir string, build func(driver string, keys map[string]any) (sensors.Source, error), emit func(*sensors.Sample)) *RawDriver {
	return &RawDriver{ctx: ctx, driver: driver, dir: dir, build: build, sink: newRawSink(emit)}
}

// Counts returns what the driver counted besides samples.
func (d *RawDriver) Counts() map[string]uint64 { return d.sink.counts() }

// Times of the way to a driver.
const (
	rawPatience = 10 * time.Second       // for a driver to start, or to take a piece
	rawKnock    = 10 * time.Millisecond  // between two looks whether it reads
	rawReread   = 700 * time.Millisecond // within which a driver notices that its file is another
	rawSettle   = 200 * time.Millisecond // for a driver to be done with what it took last
)

// Send gives a piece to the driver and returns when that has taken it.
func (d *RawDriver) Send(r *sensors.Raw) error {
	switch {
	case r.Transport == sensors.File:
		return d.file(r)
	case r.Transport == sensors.Silence:
		return d.silence(r.AtNS)
	case len(r.Data) == 0:
		return nil
	case d.port == nil:
		if err := d.start(r); err != nil {
			return err
		}
	case r.Begin:
		if err := d.again(); err != nil {
			return err
		}
	}
	if len(d.port.begin) > 0 && (!d.begun || r.Begin) {
		if err := d.piece(d.port.begin, r.AtNS, true); err != nil {
			return err
		}
		d.begun = true
	}
	data, err := d.port.data(r)
	if err != nil {
		return err
	}
	for len(data) > 0 {
		n := min(len(data), d.port.most)
		if err := d.piece(data[:n], r.AtNS, false); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// file lets the driver find a file of the recording where its settings say.
func (d *RawDriver) file(r *sensors.Raw) error {
	path := filepath.Join(d.dir, filepath.Base(r.Name))
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, r.Data) {
		return nil // the driver read it again
	}
	if err := os.WriteFile(path+".new", r.Data, 0o600); err != nil {
		return fmt.Errorf("%s of the recording: %w", r.Name, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("%s of the recording: %w", r.Name, err)
	}
	switch {
	case d.port == nil:
		return nil
	case d.driver == "ouster":
		return d.sleep(rawReread)
	}
	d.end() // others read it as they start
	d.port = nil
	return nil
}

// silence lets the driver look at what it waits for, at a moment; it returns when all
// that was sent before is done with.
func (d *RawDriver) silence(atNS int64) error {
	if d.port == nil || d.port.knock == nil {
		return nil
	}
	return d.piece(nil, atNS, false)
}

func (d *RawDriver) sleep(t time.Duration) error {
	select {
	case <-d.ctx.Done():
		return d.ctx.Err()
	case <-time.After(t):
		return nil
	}
}

// start opens the way, and the driver at its end.
func (d *RawDriver) start(first *sensors.Raw) (err error) {
	if d.port, err = newRawPort(d.driver, first, d.dir); err != nil {
		return err
	}
	d.begun = false
	return d.run()
}

// again lets the driver meet a new sender.
func (d *RawDriver) again() error {
	if d.port.redial {
		d.port.close()
		return d.port.open()
	}
	d.end()
	return d.run()
}

// run starts the driver and waits until it reads.
func (d *RawDriver) run() error {
	if err := d.port.open(); err != nil {
		return fmt.Errorf("driver %s: %w", d.port.driver, err)
	}
	src, err := d.build(d.port.driver, d.port.keys)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(d.ctx)
	d.stop, d.ended, d.err = stop, make(chan struct{}), nil
	d.sink.reset()
	go func() {
		defer close(d.ended)
		d.err = src.Run(ctx, d.sink)
	}()
	if !d.port.knocks {
		return nil
	}
	begin := time.Now()
	for time.Since(begin) < rawPatience {
		if d.port.knock != nil {
			if err := d.port.knock(); err != nil {
				return err
			}
		}
		select {
		case <-d.ended:
			return d.gone()
		case <-d.ctx.Done():
			return d.ctx.Err()
		case <-d.sink.awake:
			return d.sleep(rawKnock) // the rest of the knocks arrives
		case <-time.After(rawKnock):
		}
	}
	return fmt.Errorf("driver %s: it does not read after %v", d.port.driver, rawPatience)
}

// gone is the error of a driver that has ended by itself.
func (d *RawDriver) gone() error {
	if d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	if d.err == nil {
		return fmt.Errorf("driver %s: it ended by itself", d.port.driver)
	}
	return fmt.Errorf("driver %s: %w", d.port.driver, d.err)
}

// piece sends bytes and waits until they are taken. What the driver counts of them is
// not counted if they are none of the recording.
func (d *RawDriver) piece(b []byte, atNS int64, foreign bool) error {
	d.sink.expect(max(len(b)-d.port.ending, 0), atNS, foreign)
	begin := time.Now()
	for {
		err := d.port.send(b)
		if err == nil {
			break
		}
		if !errors.Is(err, errNobody) || time.Since(begin) > rawPatience {
			return fmt.Errorf("driver %s: %w", d.port.driver, err)
		}
		if err := d.sleep(rawKnock); err != nil {
			return err
		}
	}
	patience := time.NewTimer(rawPatience)
	defer patience.Stop()
	select {
	case <-d.sink.taken:
		return nil
	case <-d.ended:
		return d.gone()
	case <-d.ctx.Done():
		return d.ctx.Err()
	case <-patience.C:
		return fmt.Errorf("driver %s: it did not take %d bytes within %v", d.port.driver, len(b), rawPatience)
	}
}

// Close ends the driver when it is done with what was sent.
func (d *RawDriver) Close() {
	if d.port == nil {
		return
	}
	if d.stop != nil && (d.port.knock == nil || d.silence(0) != nil) {
		_ = d.sleep(rawSettle) // or less, asked to stop
	}
	d.end()
}

func (d *RawDriver) end() {
	if d.stop != nil {
		d.stop()
		<-d.ended
	}
	d.port.close()
}

// rawSink takes what a driver says while recorded bytes are sent to it. Its clock is
// that of the recording, held back so far that the driver's own timers never end what
// the recording says went on.
type rawSink struct {
	emit  func(*sensors.Sample)
	taken chan struct{} // what was sent has been read
	awake chan struct{} // the driver has asked for the time, or read something

	mu       sync.Mutex
	due      bool // something is on its way: left bytes, or a knock if there are none
	left     int
	atNS     int64
	next     bool // it is none of the recording
	knocking bool // the driver is busy with a knock, which is no part of the recording
	foreign  bool // or with something else that is none
	counted  map[string]uint64
}

// heldBackNS is far more than a driver waits for anything.
const heldBackNS = int64(time.Hour)

func newRawSink(emit func(*sensors.Sample)) *rawSink {
	return &rawSink{emit: emit, taken: make(chan struct{}, 1), awake: make(chan struct{}, 1), counted: map[string]uint64{}}
}

// reset is for a driver that starts.
func (s *rawSink) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = false
	for _, c := range []chan struct{}{s.taken, s.awake} {
		select {
		case <-c:
		default:
		}
	}
}

// expect says what comes next: so many bytes, or a knock.
func (s *rawSink) expect(n int, atNS int64, foreign bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due, s.left, s.atNS, s.next = true, n, atNS, foreign
}

func (s *rawSink) counts() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counted)
}

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Heard gives the recorded time of what was read.
func (s *rawSink) Heard(r *sensors.Raw) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	tell(s.awake)
	s.knocking, s.foreign = len(r.Data) == 0, s.next
	if !s.due || r.Transport == sensors.File || r.Transport == sensors.Silence || s.knocking != (s.left == 0) || len(r.Data) > s.left {
		return s.atNS - heldBackNS // a knock before the first bytes, or a stranger
	}
	if s.left -= len(r.Data); s.left == 0 {
		s.due = false
		tell(s.taken)
	}
	return s.atNS
}

// Emit implements sensors.Sink.
func (s *rawSink) Emit(x *sensors.Sample) { s.emit(x) }

// Count implements sensors.Sink.
func (s *rawSink) Count(outcome string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.knocking && !s.foreign {
		s.counted[outcome] += n
	}
}

// NowNS implements sensors.Sink.
func (s *rawSink) NowNS() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	tell(s.awake)
	return s.atNS - heldBackNS
}
