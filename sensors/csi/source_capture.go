package csi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// NexmonConfig describes one Nexmon receiver. Exactly one of Interface and
// File is set.
type NexmonConfig struct {
	Name      string // sensor name in samples and errors
	Interface string // capture live, e.g. wlan0; needs CAP_NET_RAW
	File      string // pcap file, or FIFO that a capture is written to
	// Follow reads File as it grows, from its end, for ever. Otherwise the
	// file is played once at the pace of its time stamps and Run then ends
	// with an error that wraps io.EOF. A FIFO is always read live, until its
	// writer leaves.
	Follow bool
	Port   uint16 // UDP destination port, NexmonPort if 0
	Cores  int    // receive cores that make one packet, 3 if 0
	Chip   Chip   // overrides the chip number in the frames unless ChipAuto
	// Window is how far apart the datagrams of one WiFi frame may arrive,
	// DefaultGroupWindow if 0, at most 1 s.
	Window time.Duration
	// MAC keeps only the frames of one sender; all zero keeps all.
	MAC [6]byte
	// Resample maps packets with another number of tones to 114.
	Resample bool
}

// NexmonSource captures the datagrams of one Nexmon receiver.
type NexmonSource struct{ cfg NexmonConfig }

// NewNexmonSource checks cfg and returns a source. It opens nothing.
func NewNexmonSource(cfg NexmonConfig) (*NexmonSource, error) {
	if cfg.Port == 0 {
		cfg.Port = NexmonPort
	}
	if cfg.Cores == 0 {
		cfg.Cores = ModelAntennas
	}
	switch {
	case cfg.Name == "":
		return nil, errors.New("csi: name is empty")
	case (cfg.Interface == "") == (cfg.File == ""):
		return nil, fmt.Errorf("sensor %s: set either a network interface or a capture file", cfg.Name)
	case cfg.Cores < 1 || cfg.Cores > 8:
		return nil, fmt.Errorf("sensor %s: %d receive cores, want 1 to 8", cfg.Name, cfg.Cores)
	case cfg.Window < 0 || cfg.Window > time.Second:
		return nil, fmt.Errorf("sensor %s: window %v, want 0 to 1s", cfg.Name, cfg.Window)
	case cfg.Interface != "" && cfg.Follow:
		return nil, fmt.Errorf("sensor %s: only a capture file can be followed", cfg.Name)
	}
	return &NexmonSource{cfg: cfg}, nil
}

// Run captures until ctx ends or the capture fails. It implements
// sensors.Source. Nexmon has no clock of its own: ReceiveNS is the kernel's
// time of arrival of the first datagram of a packet.
func (s *NexmonSource) Run(ctx context.Context, sink sensors.Sink) error {
	g, err := NewNexmonGrouper(s.cfg.Cores, s.cfg.Window, sink.Count)
	if err != nil {
		return fmt.Errorf("sensor %s: %w", s.cfg.Name, err)
	}
	defer g.Close()
	m := &datagramMapper{cfg: s.cfg, sink: sink, group: g}
	if s.cfg.Interface != "" {
		err = s.capture(ctx, m)
	} else {
		err = s.readFile(ctx, m)
	}
	if ctx.Err() == nil {
		return fmt.Errorf("sensor %s: %w", s.cfg.Name, err)
	}
	return nil // asked to stop
}

func (s *NexmonSource) capture(ctx context.Context, m *datagramMapper) error {
	sock, err := openPacketSocket(s.cfg.Interface, s.cfg.Port)
	if err != nil {
		return err
	}
	defer closeOnDone(ctx, sock)()
	buf := make([]byte, snapLen)
	checked := time.Now()
	for {
		n, at, err := sock.Receive(buf, time.Now().Add(time.Second))
		now := time.Now()
		switch {
		case err == nil:
			m.packet(buf[:n], layers.LayerTypeIPv4, m.roomNS(at, now))
		case errors.Is(err, os.ErrDeadlineExceeded):
			m.group.Expire(m.sink.NowNS())
		default:
			return fmt.Errorf("capture on %s: %w", s.cfg.Interface, err)
		}
		if now.Sub(checked) >= time.Second {
			checked = now
			if n, err := sock.Dropped(); err == nil && n > 0 {
				m.sink.Count("kernel_dropped", n)
			}
		}
	}
}

// maxKernelDelay bounds how long a packet may have waited in the kernel; a
// larger difference means that the wall clock was stepped.
const maxKernelDelay = time.Second

// roomNS maps a wall-clock time stamp just taken to the room clock. now is the
// wall clock at this moment.
func (m *datagramMapper) roomNS(at, now time.Time) int64 {
	room := m.sink.NowNS()
	if at.IsZero() {
		return room
	}
	// Round strips the monotonic reading: both sides are wall-clock time.
	if age := now.Round(0).Sub(at); age > 0 && age < maxKernelDelay {
		return room - age.Nanoseconds()
	}
	return room
}

func (s *NexmonSource) readFile(ctx context.Context, m *datagramMapper) error {
	f, mode, err := openStream(s.cfg.File)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	defer closeOnDone(ctx, f)()
	live := s.cfg.Follow
	var in io.Reader = f
	switch {
	case mode&fs.ModeNamedPipe != 0:
		live, in = true, &pipeReader{ctx: ctx, f: f, again: true}
	case live:
		in = &followReader{ctx: ctx, f: f}
	}
	r, err := pcapgo.NewReader(in)
	if err != nil {
		return fmt.Errorf("capture file %s: %w", s.cfg.File, err)
	}
	var first time.Time
	started := time.Now()
	for {
		data, ci, err := r.ReadPacketData()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("capture file %s ended: %w", s.cfg.File, io.EOF)
		case errors.Is(err, io.ErrUnexpectedEOF):
			m.sink.Count("cut_record", 1)
			return fmt.Errorf("capture file %s ends inside a record: %w", s.cfg.File, io.EOF)
		case err != nil:
			return fmt.Errorf("capture file %s: %w", s.cfg.File, err)
		}
		now := time.Now()
		if live {
			if now.Round(0).Sub(ci.Timestamp) > maxKernelDelay {
				m.sink.Count("old_record", 1) // written before we came
				continue
			}
			m.packet(data, r.LinkType(), m.roomNS(ci.Timestamp, now))
			continue
		}
		if first.IsZero() {
			first = ci.Timestamp
		}
		due := ci.Timestamp.Sub(first)
		if err := pauseUntil(ctx, started.Add(due)); err != nil {
			return err
		}
		// Grouping needs the recorded distances, not those of a timer.
		m.packet(data, r.LinkType(), m.paced(due))
	}
}

// paced returns the room time of a recorded packet that is due some time after
// the first.
func (m *datagramMapper) paced(due time.Duration) int64 {
	if !m.pacing {
		m.pacing, m.baseNS = true, m.sink.NowNS()
	}
	return m.baseNS + due.Nanoseconds()
}

func pauseUntil(ctx context.Context, at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// followReader waits for a growing file instead of ending with it.
type followReader struct {
	ctx context.Context
	f   *os.File
	pos int64
}

// Read waits until there is at least one byte. A file that shrank was written
// anew: the reader must start over.
func (r *followReader) Read(b []byte) (int, error) {
	for {
		n, err := r.f.Read(b)
		r.pos += int64(n)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) || len(b) == 0 {
			return n, err
		}
		if r.replaced() {
			return 0, errors.New("the file was written anew")
		}
		if err := pauseUntil(r.ctx, time.Now().Add(pollEvery)); err != nil {
			return 0, err
		}
	}
}

// replaced reports whether the file shrank or another took its name.
func (r *followReader) replaced() bool {
	mine, err := r.f.Stat()
	if err != nil || !mine.Mode().IsRegular() {
		return false
	}
	named, err := os.Stat(r.f.Name())
	return mine.Size() < r.pos || err == nil && !os.SameFile(mine, named)
}

// datagramMapper turns captured packets into samples.
type datagramMapper struct {
	cfg    NexmonConfig
	sink   sensors.Sink
	group  *NexmonGrouper
	seq    uint64
	pacing bool
	baseNS int64
}

// packet takes one captured packet whose first layer is given.
func (m *datagramMapper) packet(data []byte, first gopacket.Decoder, nowNS int64) {
	p := gopacket.NewPacket(data, first, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || uint16(udp.DstPort) != m.cfg.Port {
		m.sink.Count("other_traffic", 1)
		return
	}
	if p.Metadata().Truncated || int(udp.Length) < 8 || int(udp.Length)-8 > len(udp.Payload) {
		m.sink.Count("truncated", 1)
		return
	}
	// The UDP length rules: some frames carry padding.
	f, err := ParseNexmon(udp.Payload[:int(udp.Length)-8])
	if err != nil {
		m.sink.Count(nexmonOutcome(err), 1)
		return
	}
	if m.cfg.MAC != [6]byte{} && f.MAC != m.cfg.MAC {
		m.sink.Count("other_mac", 1)
		return
	}
	group := m.group.Add(nowNS, f)
	if group == nil {
		return
	}
	raw, tones, err := group.Packet(m.cfg.Chip)
	if err != nil {
		m.sink.Count(nexmonOutcome(err), 1)
		return
	}
	packet := modelPacket(raw, tones, m.cfg.Resample)
	if packet == nil {
		m.sink.Count(OutcomeUnsupportedShape, 1)
		return
	}
	m.sink.Emit(&sensors.Sample{
		Sensor: m.cfg.Name, Modality: modality.CSI, Seq: m.seq,
		ReceiveNS: group.FirstNS, CSI: packet,
	})
	m.seq++
}
