package csi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
	"posefuse/setting"
)

// StreamConfig is where a stream of records comes from: Path if it is set, else
// Listen.
type StreamConfig struct {
	Path   string `yaml:"path"`   // device, FIFO or file
	Listen string `yaml:"listen"` // else the TCP address a router forwards to
}

func (c *StreamConfig) check() setting.Problems {
	var p setting.Problems
	if c.Path == "" && c.Listen == "" {
		p.Add("path", "set path (a device or file) or listen (a TCP address)")
	}
	c.checkAddress(&p)
	return p
}

func (c *StreamConfig) checkAddress(p *setting.Problems) {
	if c.Listen != "" {
		p.Address("listen", c.Listen)
	}
}

// recordFormat is what a format gives the source for one run: it turns bytes
// into samples.
type recordFormat interface {
	// at says when the bytes that follow came.
	at(nowNS int64)
	// stream returns the decoder of a new sender: half a record must not be
	// joined to the next stream.
	stream() streamDecoder
	// device takes one record as the WiFi driver's own device gives it.
	device(record []byte) error
}

// streamDecoder finds records in the bytes of one sender.
type streamDecoder interface {
	Feed(p []byte)
	Finish()           // the stream has ended
	JunkBytes() uint64 // so far, of no record
	Records() uint64   // so far, good and bad
}

// StreamSource reads one stream of records.
type StreamSource struct {
	driver    string
	cfg       *StreamConfig
	baud      int // of a serial port at the path; 0: it is none
	newFormat func(sensors.Sink) recordFormat

	mu   sync.Mutex
	addr net.Addr
}

func newStreamSource(driver string, cfg *StreamConfig, newFormat func(sensors.Sink) recordFormat) *StreamSource {
	return &StreamSource{driver: driver, cfg: cfg, newFormat: newFormat}
}

// Addr returns the address a running source listens on, nil if it does not.
func (s *StreamSource) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Run reads records until ctx ends or the stream fails or ends. It implements
// sensors.Source. A TCP source serves one sender at a time; the next one is
// served when that leaves, or has given no sample while the next one waits.
func (s *StreamSource) Run(ctx context.Context, sink sensors.Sink) error {
	var err error
	if s.cfg.Path != "" {
		err = s.readPath(ctx, sink)
	} else {
		err = s.serve(ctx, sink)
	}
	if ctx.Err() == nil {
		return err
	}
	return nil // asked to stop
}

func (s *StreamSource) serve(ctx context.Context, sink sensors.Sink) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return setting.ListenError("listen", s.cfg.Listen, err)
	}
	s.setAddr(l.Addr())
	defer s.setAddr(nil)
	defer closeOnDone(ctx, l)()
	counted := &sampleCounter{Sink: sink}
	in := &recordInput{recordFormat: s.newFormat(counted), sink: sink, driver: s.driver}
	door := &senderDoor{TCPListener: l.(*net.TCPListener), refuse: func(n uint64) { sink.Count("sender_refused", n) }}
	defer door.close()
	for {
		conn, err := door.next()
		if err != nil {
			return fmt.Errorf("accept on %s: %w", s.cfg.Listen, err)
		}
		sender := &senderConn{Conn: conn, door: door, proof: counted.samples, samples: counted.samples(), since: time.Now()}
		err = readAll(ctx, sensors.GuardHTTP(sender), in)
		switch {
		case ctx.Err() != nil || err == nil:
		case errors.Is(err, sensors.ErrHTTP):
			sink.Count(sensors.OutcomeHTTP, 1)
		default:
			sink.Count("sender_lost", 1)
		}
	}
}

// sampleCounter counts the samples that pass.
type sampleCounter struct {
	sensors.Sink
	n atomic.Uint64
}

// Emit implements sensors.Sink.
func (c *sampleCounter) Emit(s *sensors.Sample) {
	c.n.Add(1)
	c.Sink.Emit(s)
}

// Heard passes on what was read.
func (c *sampleCounter) Heard(r *sensors.Raw) int64 { return sensors.Heard(c.Sink, r) }

// Tell passes a finding on.
func (c *sampleCounter) Tell(f sensors.Finding) { sensors.Tell(c.Sink, f) }

func (c *sampleCounter) samples() uint64 { return c.n.Load() }

// Decode runs a whole log through the driver at once.
func (s *StreamSource) Decode(log []byte, sink sensors.Sink) {
	format := s.newFormat(sink)
	format.at(sink.NowNS())
	d := format.stream()
	d.Feed(log)
	d.Finish()
}

func (s *StreamSource) setAddr(a net.Addr) {
	s.mu.Lock()
	s.addr = a
	s.mu.Unlock()
}

func (s *StreamSource) readPath(ctx context.Context, sink sensors.Sink) error {
	missing := "load the patched WiFi driver or start what writes the file"
	if s.baud > 0 {
		missing = "plug the device in and look under /dev/serial/by-id"
	}
	f, mode, err := openStream(s.cfg.Path, missing)
	if err != nil {
		return err
	}
	in := &recordInput{recordFormat: s.newFormat(sink), sink: sink, driver: s.driver}
	switch {
	case mode&fs.ModeCharDevice != 0 && s.baud > 0:
		_ = f.Close() // opened again as what it is
		var port *os.File
		if port, err = openSerial(s.cfg.Path, s.baud); err != nil {
			return err
		}
		if err = readAll(ctx, port, in); err == nil || errors.Is(err, unix.EIO) {
			return sensors.Told(fmt.Errorf("serial port %s is gone: plug the device in again: %w", s.cfg.Path, unix.ENODEV))
		}
	case mode&fs.ModeCharDevice != 0:
		err = readDevice(ctx, f, in)
	case mode&fs.ModeNamedPipe != 0:
		err = readAll(ctx, &pipeReader{ctx: ctx, f: f, again: true}, in)
	default:
		err = readAll(ctx, f, in)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", s.cfg.Path, err)
	}
	return fmt.Errorf("%s ended: %w", s.cfg.Path, io.EOF)
}

// openStream opens a device, FIFO or file without waiting for a writer. missing
// says what to do if there is none.
func openStream(path, missing string) (*os.File, fs.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, sensors.Told(fmt.Errorf("%s does not exist: %s: %w", path, missing, err))
	case errors.Is(err, fs.ErrPermission):
		return nil, 0, sensors.Told(fmt.Errorf("%s: permission denied: give the daemon's user read access (udev rule or group): %w", path, err))
	case err != nil:
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Mode(), nil
}

// errNextWriter ends the data of one writer of a FIFO; more may come from the
// next, and begins anew.
var errNextWriter = errors.New("the writer left")

// pipeReader reads a FIFO across its writers: it waits while there is none and
// returns errNextWriter once when one has left. A writer may make the FIFO anew:
// one that is not at its path any more has ended.
type pipeReader struct {
	ctx   context.Context
	f     *os.File
	again bool // waiting for a writer
	polls int  // since that was looked at
}

// Read implements io.Reader.
func (r *pipeReader) Read(b []byte) (int, error) {
	for {
		n, err := r.f.Read(b)
		switch {
		case n > 0:
			r.again = false
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return 0, err
		case !r.again:
			r.again = true
			return 0, errNextWriter
		}
		if r.polls++; r.polls >= pollsToLook {
			if r.polls = 0; r.gone() {
				return 0, io.EOF
			}
		}
		if err := pauseUntil(r.ctx, time.Now().Add(pollEvery)); err != nil {
			return 0, err
		}
	}
}

// pollsToLook is after how many polls without a writer the path is looked at.
const pollsToLook = 20

// gone reports whether another file, or none, is at the FIFO's path.
func (r *pipeReader) gone() bool {
	mine, err := r.f.Stat()
	if err != nil {
		return true
	}
	named, err := os.Stat(r.f.Name())
	return errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, named)
}

// Close implements io.Closer.
func (r *pipeReader) Close() error { return r.f.Close() }

// pollEvery is how often something that cannot be waited for is looked at.
const pollEvery = 5 * time.Millisecond

// closeOnDone closes c when ctx ends, or at the latest by the returned function.
func closeOnDone(ctx context.Context, c io.Closer) (release func()) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	return func() {
		if stop() {
			_ = c.Close()
		}
	}
}

// recordInput is the way of one run's bytes into its format.
type recordInput struct {
	recordFormat
	sink   sensors.Sink
	driver string
}

// read shows what was read, if anything was, and tells the format when that came.
func (in *recordInput) read(raw *sensors.Raw, b []byte) {
	raw.AtNS, raw.Data = in.sink.NowNS(), b
	at := raw.AtNS
	if len(b) > 0 {
		at = sensors.Heard(in.sink, raw)
		raw.Begin = false
	}
	in.at(at)
}

// readAll decodes r until its end and closes it; ctx ends the reading early.
func readAll(ctx context.Context, r io.ReadCloser, in *recordInput) error {
	defer closeOnDone(ctx, r)()
	var junk uint64
	d := in.stream()
	unknown := stranger{own: in.driver}
	buf := make([]byte, 16<<10)
	raw := sensors.Raw{Transport: sensors.Stream, Begin: true}
	for {
		n, err := r.Read(buf)
		in.read(&raw, buf[:n])
		d.Feed(buf[:n])
		ended := errors.Is(err, io.EOF) || errors.Is(err, errNextWriter)
		if ended {
			d.Finish()
		}
		if d.Records() == 0 {
			unknown.read(buf[:n], in.sink)
		}
		if j := d.JunkBytes(); j != junk {
			in.sink.Count("junk_bytes", j-junk)
			junk = j
		}
		switch {
		case err == nil:
		case errors.Is(err, errNextWriter):
			in.sink.Count("sender_lost", 1)
			d, junk, unknown, raw.Begin = in.stream(), 0, stranger{own: in.driver}, true
		case ended:
			return nil
		default:
			return err
		}
	}
}

// readDevice reads the CSI driver's own device, where each read gives one
// record.
func readDevice(ctx context.Context, r io.ReadCloser, in *recordInput) error {
	defer closeOnDone(ctx, r)()
	buf := make([]byte, MaxAtherosRecord)
	raw := sensors.Raw{Transport: sensors.Record}
	for {
		n, err := r.Read(buf)
		in.read(&raw, buf[:n])
		switch {
		case n > 0:
			if in.device(buf[:n]) != nil {
				in.sink.Count("bad_record", 1)
			}
		case err == nil, errors.Is(err, io.EOF), errors.Is(err, syscall.EAGAIN):
			// Nothing there, and perhaps no way to wait for it.
			if err = pauseUntil(ctx, time.Now().Add(pollEvery)); err != nil {
				return err
			}
		default:
			return err
		}
	}
}
