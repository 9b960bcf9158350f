package csi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// OutcomeUnsupportedShape counts packets that are not 3 x 114 and could not be
// brought to it.
const OutcomeUnsupportedShape = "unsupported_shape"

// AtherosConfig describes one stream of Atheros CSI records. Exactly one of
// Path and Listen is set.
type AtherosConfig struct {
	Name   string // sensor name in samples and errors
	Path   string // device, FIFO or file, e.g. /dev/CSI_dev
	Listen string // TCP address to which a router forwards its log, e.g. 127.0.0.1:7020
	// Resample maps packets with another number of tones to 114.
	Resample bool
}

// AtherosSource reads one stream of Atheros CSI records.
type AtherosSource struct {
	cfg AtherosConfig

	mu   sync.Mutex
	addr net.Addr
}

// NewAtherosSource checks cfg and returns a source. It opens nothing.
func NewAtherosSource(cfg AtherosConfig) (*AtherosSource, error) {
	switch {
	case cfg.Name == "":
		return nil, errors.New("csi: name is empty")
	case (cfg.Path == "") == (cfg.Listen == ""):
		return nil, fmt.Errorf("sensor %s: set either the path of a record stream or a TCP address to listen on", cfg.Name)
	}
	if cfg.Listen != "" {
		if _, _, err := net.SplitHostPort(cfg.Listen); err != nil {
			return nil, fmt.Errorf("sensor %s: listen address: %w", cfg.Name, err)
		}
	}
	return &AtherosSource{cfg: cfg}, nil
}

// Addr returns the address a running source listens on, nil if it does not.
func (s *AtherosSource) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Run reads records until ctx ends or the stream fails or ends. It implements
// sensors.Source. A TCP source serves one sender at a time; the next one is
// served when that leaves, or has been silent while the next one waits.
func (s *AtherosSource) Run(ctx context.Context, sink sensors.Sink) error {
	var err error
	if s.cfg.Listen != "" {
		err = s.serve(ctx, sink)
	} else {
		err = s.readPath(ctx, sink)
	}
	if ctx.Err() == nil {
		return fmt.Errorf("sensor %s: %w", s.cfg.Name, err)
	}
	return nil // asked to stop
}

func (s *AtherosSource) serve(ctx context.Context, sink sensors.Sink) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return sensors.ListenError("tcp", s.cfg.Listen, "sensors."+s.cfg.Name+".atheros.listen", err)
	}
	s.setAddr(l.Addr())
	defer s.setAddr(nil)
	defer closeOnDone(ctx, l)()
	m := recordMapper{cfg: s.cfg, sink: sink}
	sender := &senderConn{ln: l.(*net.TCPListener)}
	for {
		conn := sender.next
		if conn == nil {
			if conn, err = l.Accept(); err != nil {
				return fmt.Errorf("accept on %s: %w", s.cfg.Listen, err)
			}
		}
		sender = &senderConn{Conn: conn, ln: sender.ln}
		if err := s.readAll(ctx, sender, &m); err != nil && ctx.Err() == nil {
			sink.Count("sender_lost", 1)
		}
		if ctx.Err() != nil && sender.next != nil {
			_ = sender.next.Close() // came while the source was stopped
		}
	}
}

func (s *AtherosSource) setAddr(a net.Addr) {
	s.mu.Lock()
	s.addr = a
	s.mu.Unlock()
}

func (s *AtherosSource) readPath(ctx context.Context, sink sensors.Sink) error {
	f, mode, err := openStream(s.cfg.Path)
	if err != nil {
		return err
	}
	m := recordMapper{cfg: s.cfg, sink: sink}
	switch {
	case mode&fs.ModeCharDevice != 0:
		err = readDevice(ctx, f, &m)
	case mode&fs.ModeNamedPipe != 0:
		err = s.readAll(ctx, &pipeReader{ctx: ctx, f: f, again: true}, &m)
	default:
		err = s.readAll(ctx, f, &m)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", s.cfg.Path, err)
	}
	return fmt.Errorf("%s ended: %w", s.cfg.Path, io.EOF)
}

// openStream opens a device, FIFO or file without waiting for a writer.
func openStream(path string) (*os.File, fs.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, sensors.Told(fmt.Errorf("%s does not exist: load the patched WiFi driver or start what writes the file: %w", path, err))
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
// returns errNextWriter once when one has left.
type pipeReader struct {
	ctx   context.Context
	f     *os.File
	again bool // waiting for a writer
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
		if err := pauseUntil(r.ctx, time.Now().Add(pollEvery)); err != nil {
			return 0, err
		}
	}
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

// readAll decodes r until its end and closes it; ctx ends the reading early.
func (s *AtherosSource) readAll(ctx context.Context, r io.ReadCloser, m *recordMapper) error {
	defer closeOnDone(ctx, r)()
	var junk uint64
	newDecoder := func() *AtherosDecoder {
		junk = 0
		return NewAtherosDecoder(m.record, func(o string) { m.sink.Count(o, 1) })
	}
	d := newDecoder()
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		m.nowNS = m.sink.NowNS()
		d.Feed(buf[:n])
		ended := errors.Is(err, io.EOF) || errors.Is(err, errNextWriter)
		if ended {
			d.Finish()
		}
		if j := d.JunkBytes(); j != junk {
			m.sink.Count("junk_bytes", j-junk)
			junk = j
		}
		switch {
		case err == nil:
		case errors.Is(err, errNextWriter):
			m.sink.Count("sender_lost", 1)
			d = newDecoder() // half a record must not be joined to the next stream
		case ended:
			return nil
		default:
			return err
		}
	}
}

// readDevice reads the CSI driver's own device, where each read gives one
// record without its length, in this machine's byte order.
func readDevice(ctx context.Context, r io.ReadCloser, m *recordMapper) error {
	defer closeOnDone(ctx, r)()
	buf := make([]byte, MaxAtherosRecord)
	for {
		n, err := r.Read(buf)
		m.nowNS = m.sink.NowNS()
		switch {
		case n > 0:
			rec, parseErr := ParseAtheros(buf[:n], binary.NativeEndian)
			if parseErr != nil {
				m.sink.Count("bad_record", 1)
				continue
			}
			m.record(rec)
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

// recordMapper turns records into samples: shape, clock, restarts.
type recordMapper struct {
	cfg     AtherosConfig
	sink    sensors.Sink
	nowNS   int64
	seq     uint64
	started bool
	lastTSF uint64
}

// record takes one decoded record.
func (m *recordMapper) record(r *AtherosRecord) {
	if r.H == nil {
		m.sink.Count("no_csi", 1)
		return
	}
	if r.PHYError != 0 {
		m.sink.Count("phy_error", 1)
		return
	}
	if r.TSFUS > math.MaxInt64/1000 {
		m.sink.Count("bad_timestamp", 1)
		return
	}
	if m.started && r.TSFUS == m.lastTSF {
		m.sink.Count(OutcomeDuplicate, 1)
		return
	}
	p := modelPacket(r.Packet(), AtherosTones(int(r.Tones)), m.cfg.Resample)
	if p == nil {
		m.sink.Count(OutcomeUnsupportedShape, 1)
		return
	}
	// The card's timer goes back when it is reset or joins an access point.
	restarted := m.started && r.TSFUS < m.lastTSF
	m.started, m.lastTSF = true, r.TSFUS
	m.sink.Emit(&sensors.Sample{
		Sensor: m.cfg.Name, Modality: modality.CSI, Seq: m.seq,
		DeviceNS: int64(r.TSFUS) * 1000, HasDevice: true, ReceiveNS: m.nowNS,
		Restarted: restarted, CSI: p,
	})
	m.seq++
}
