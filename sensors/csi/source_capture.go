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
)

// NexmonSource captures the datagrams of one Nexmon receiver.
type NexmonSource struct {
	name string
	cfg  *NexmonConfig
	port uint16
	mac  [6]byte // keeps only the frames of one sender; all zero keeps all
}

// Run captures until ctx ends or the capture fails. It implements
// sensors.Source. Nexmon has no clock of its own: ReceiveNS is the kernel's
// time of arrival of the first datagram of a packet.
func (s *NexmonSource) Run(ctx context.Context, sink sensors.Sink) error {
	g, err := NewNexmonGrouper(s.cfg.Cores, time.Duration(s.cfg.WindowMS)*time.Millisecond, sink.Count)
	if err != nil {
		return err
	}
	defer g.Close()
	m := &datagramMapper{out: output{name: s.name, resample: s.cfg.Resample, sink: sink}, port: s.port, mac: s.mac,
		chip: nexmonChips[s.cfg.Chip], group: g}
	if s.cfg.Interface != "" {
		err = s.capture(ctx, m)
	} else {
		err = s.readFile(ctx, m)
	}
	if ctx.Err() == nil {
		return err
	}
	return nil // asked to stop
}

func (s *NexmonSource) capture(ctx context.Context, m *datagramMapper) error {
	sock, err := openPacketSocket(s.cfg.Interface, s.port)
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
			m.packet(buf[:n], layers.LayerTypeIPv4, sensors.ReceivedNS(m.out.sink.NowNS(), at, now))
		case errors.Is(err, os.ErrDeadlineExceeded):
			m.group.Expire(m.out.sink.NowNS())
		default:
			return fmt.Errorf("capture on %s: %w", s.cfg.Interface, err)
		}
		if now.Sub(checked) >= time.Second {
			checked = now
			if n, err := sock.Dropped(); err == nil && n > 0 {
				m.out.count("kernel_dropped", n)
			}
		}
	}
}

func (s *NexmonSource) readFile(ctx context.Context, m *datagramMapper) error {
	f, mode, err := openStream(s.cfg.PcapFile)
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
		return fmt.Errorf("capture file %s: %w", s.cfg.PcapFile, err)
	}
	var first time.Time
	started := time.Now()
	for {
		data, ci, err := r.ReadPacketData()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("capture file %s ended: %w", s.cfg.PcapFile, io.EOF)
		case errors.Is(err, io.ErrUnexpectedEOF):
			m.out.count("cut_record", 1)
			return fmt.Errorf("capture file %s ends inside a record: %w", s.cfg.PcapFile, io.EOF)
		case err != nil:
			return fmt.Errorf("capture file %s: %w", s.cfg.PcapFile, err)
		}
		now := time.Now()
		if live {
			if now.Round(0).Sub(ci.Timestamp) > sensors.MaxKernelAge {
				m.out.count("old_record", 1) // written before we came
				continue
			}
			m.packet(data, r.LinkType(), sensors.ReceivedNS(m.out.sink.NowNS(), ci.Timestamp, now))
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
		m.pacing, m.baseNS = true, m.out.sink.NowNS()
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
	out    output
	port   uint16
	mac    [6]byte
	chip   Chip
	group  *NexmonGrouper
	pacing bool
	baseNS int64
}

// packet takes one captured packet whose first layer is given.
func (m *datagramMapper) packet(data []byte, first gopacket.Decoder, nowNS int64) {
	p := gopacket.NewPacket(data, first, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || uint16(udp.DstPort) != m.port {
		m.out.count("other_traffic", 1)
		return
	}
	if p.Metadata().Truncated || int(udp.Length) < 8 || int(udp.Length)-8 > len(udp.Payload) {
		m.out.count("truncated", 1)
		return
	}
	// The UDP length rules: some frames carry padding.
	f, err := ParseNexmon(udp.Payload[:int(udp.Length)-8])
	if err != nil {
		m.out.count(nexmonOutcome(err), 1)
		return
	}
	if m.mac != [6]byte{} && f.MAC != m.mac {
		m.out.count("other_mac", 1)
		return
	}
	group := m.group.Add(nowNS, f)
	if group == nil {
		return
	}
	raw, tones, err := group.Packet(m.chip)
	if err != nil {
		m.out.count(nexmonOutcome(err), 1)
		return
	}
	if p := m.out.fit(raw, tones); p != nil {
		m.out.emit(&sensors.Sample{ReceiveNS: group.FirstNS, CSI: p})
	}
}
