package csi

import (
	"context"
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
		return nil, fmt.Errorf("csi %s: set either the path of a record stream or a TCP address to listen on", cfg.Name)
	}
	if cfg.Listen != "" {
		if _, _, err := net.SplitHostPort(cfg.Listen); err != nil {
			return nil, fmt.Errorf("csi %s: listen address: %w", cfg.Name, err)
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
// sensors.Source. A TCP source serves one sender at a time and waits for the
// next when one leaves.
func (s *AtherosSource) Run(ctx context.Context, sink sensors.Sink) error {
	var err error
	if s.cfg.Listen != "" {
		err = s.serve(ctx, sink)
	} else {
		err = s.readPath(ctx, sink)
	}
	if ctx.Err() == nil {
		return fmt.Errorf("csi %s: %w", s.cfg.Name, err)
	}
	return nil // asked to stop
}

func (s *AtherosSource) serve(ctx context.Context, sink sensors.Sink) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			return fmt.Errorf("address %s is in use: stop the other program or change the listen setting: %w", s.cfg.Listen, err)
		}
		return fmt.Errorf("listen on %s: %w", s.cfg.Listen, err)
	}
	s.setAddr(l.Addr())
	defer s.setAddr(nil)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer func() {
		if stop() {
			_ = l.Close()
		}
	}()
	m := recordMapper{cfg: s.cfg, sink: sink}
	for {
		conn, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept on %s: %w", s.cfg.Listen, err)
		}
		if err := s.readAll(ctx, conn, &m); err != nil && ctx.Err() == nil {
			sink.Count("sender_lost", 1)
		}
	}
}

func (s *AtherosSource) setAddr(a net.Addr) {
	s.mu.Lock()
	s.addr = a
	s.mu.Unlock()
}

func (s *AtherosSource) readPath(ctx context.Context, sink sensors.Sink) error {
	f, err := openStream(s.cfg.Path)
	if err != nil {
		return err
	}
	m := recordMapper{cfg: s.cfg, sink: sink}
	if err := s.readAll(ctx, f, &m); err != nil {
		return fmt.Errorf("read %s: %w", s.cfg.Path, err)
	}
	return fmt.Errorf("%s ended: %w", s.cfg.Path, io.EOF)
}

// openStream opens a device, FIFO or file without waiting for a writer.
func openStream(path string) (*os.File, error) {
	info, err := os.Stat(path)
	flags := os.O_RDONLY | unix.O_NONBLOCK
	if err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		// Holding the write end too keeps a FIFO open between writers.
		flags = os.O_RDWR | unix.O_NONBLOCK
	}
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(path, flags, 0)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("record stream %s does not exist: load the patched ath9k driver, or create the FIFO the router's log is written to: %w", path, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("record stream %s: permission denied: give the daemon's user read access (udev rule or group): %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("record stream %s: %w", path, err)
	}
	return f, nil
}

// readAll decodes r until its end and closes it; ctx ends the reading early.
func (s *AtherosSource) readAll(ctx context.Context, r io.ReadCloser, m *recordMapper) error {
	var once sync.Once
	closeOnce := func() { once.Do(func() { _ = r.Close() }) }
	stop := context.AfterFunc(ctx, closeOnce)
	defer closeOnce()
	defer stop()
	var junk uint64
	d := NewAtherosDecoder(m.record, func(o string) { m.sink.Count(o, 1) })
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		m.nowNS = m.sink.NowNS()
		d.Feed(buf[:n])
		if err != nil && errors.Is(err, io.EOF) {
			d.Finish()
		}
		if j := d.JunkBytes(); j != junk {
			m.sink.Count("junk_bytes", j-junk)
			junk = j
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, syscall.EAGAIN):
			// A character device that the runtime cannot poll.
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(2 * time.Millisecond):
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
		Sensor: m.cfg.Name, Modality: sensors.WiFi, Seq: m.seq,
		DeviceNS: int64(r.TSFUS) * 1000, HasDevice: true, ReceiveNS: m.nowNS,
		Restarted: restarted, CSI: p,
	})
	m.seq++
}
