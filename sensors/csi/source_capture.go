package csi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/capture"
)

// NexmonSource captures the datagrams of one Nexmon receiver.
type NexmonSource struct {
	name string
	cfg  *NexmonConfig
	port uint16
}

// Run captures until ctx ends or the capture fails. It implements
// sensors.Source. Nexmon has no clock of its own: ReceiveNS is the kernel's
// time of arrival of the first datagram of a packet.
func (s *NexmonSource) Run(ctx context.Context, sink sensors.Sink) error {
	m := &datagramMapper{out: s.cfg.output(s.name, &s.cfg.Shared, sink), port: s.port, chip: nexmonChips[s.cfg.Chip]}
	var err error
	if m.group, err = NewNexmonGrouper(s.cfg.Cores, time.Duration(s.cfg.WindowMS)*time.Millisecond, m.frame, sink.Count); err != nil {
		return err
	}
	m.packets = capture.NewDecoder(sink.Count)
	defer m.close()
	if s.cfg.PcapFile != "" {
		err = s.readFile(ctx, m)
	} else {
		err = s.capture(ctx, m)
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
	p := capture.Packet{Link: capture.LinkIPv4}
	buf := make([]byte, snapLen)
	checked := time.Now()
	for {
		packet, at, err := sock.Receive(buf, time.Now().Add(time.Second))
		now := time.Now()
		switch {
		case err == nil:
			p.Data, p.Length, p.Time = packet, len(packet), at
			m.packet(&p, sensors.ReceivedNS(m.out.sink.NowNS(), at, now))
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
	f, mode, err := openStream(s.cfg.PcapFile, "start what writes the capture, or correct pcap_file")
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
	r, err := openCapture(in)
	if err != nil {
		return fmt.Errorf("capture file %s: %w", s.cfg.PcapFile, err)
	}
	var first time.Time
	started := time.Now()
	for {
		p, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("capture file %s ended: %w", s.cfg.PcapFile, io.EOF)
		case errors.Is(err, io.ErrUnexpectedEOF):
			m.out.count(capture.OutcomeCutPacket, 1)
			return fmt.Errorf("capture file %s ends inside a packet: %w", s.cfg.PcapFile, io.EOF)
		case err != nil:
			return fmt.Errorf("capture file %s: %w", s.cfg.PcapFile, err)
		}
		now := time.Now()
		if live {
			if now.Round(0).Sub(p.Time) > sensors.MaxKernelAge {
				m.out.count("old_record", 1) // written before we came
				continue
			}
			m.packet(p, sensors.ReceivedNS(m.out.sink.NowNS(), p.Time, now))
			continue
		}
		if first.IsZero() {
			first = p.Time
		}
		due := p.Time.Sub(first)
		if err := pauseUntil(ctx, started.Add(due)); err != nil {
			return err
		}
		// Grouping needs the recorded distances, not those of a timer.
		m.packet(p, m.paced(due))
	}
}

// openCapture reads the head of a capture. What is none is named.
func openCapture(in io.Reader) (*capture.Reader, error) {
	b := bufio.NewReaderSize(in, lastLook)
	magic, _ := b.Peek(4) // waits for no more than this
	if len(magic) == 4 && !capture.Is(magic) {
		head, _ := b.Peek(b.Buffered())
		if f := looksLike("nexmon", head); f != nil {
			return nil, sensors.Told(fmt.Errorf("%w: this looks like %s: set driver to %s", capture.ErrFormat, f.Title, f.Name))
		}
	}
	return capture.NewReader(b)
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
	out     output
	port    uint16
	chip    Chip
	packets *capture.Decoder
	group   *NexmonGrouper
	pacing  bool
	baseNS  int64
	raw     sensors.Raw // the packet being taken

	understood bool            // some datagram was Nexmon's
	refused    [][]byte        // the first ones that were not
	stranger   *capture.Format // what they look like
}

// packet takes one captured packet.
func (m *datagramMapper) packet(p *capture.Packet, nowNS int64) {
	m.raw = sensors.Raw{Transport: sensors.Packet, AtNS: nowNS, Link: uint16(p.Link), Data: p.Data}
	nowNS = sensors.Heard(m.out.sink, &m.raw)
	d, ok := m.packets.UDP(p)
	if !ok {
		return // counted
	}
	if d.To.Port() != m.port {
		m.out.count(capture.OutcomeOtherTraffic, 1)
		return
	}
	f, err := ParseNexmon(d.Payload)
	if err != nil {
		m.out.count(nexmonOutcome(err), 1)
		m.wrongFormat(d.Payload)
		return
	}
	m.understood = true
	m.group.Add(nowNS, f)
}

// frame takes the datagrams of one WiFi frame.
func (m *datagramMapper) frame(g *NexmonGroup) {
	r, err := g.reception(m.chip)
	if err != nil {
		m.out.count(nexmonOutcome(err), 1)
		return
	}
	m.out.receive(r)
	if lost := m.group.Lost(); len(lost) > 0 {
		sensors.Tell(m.out.sink, sensors.Finding{Code: "lost_core", Text: fmt.Sprintf("%s sent before and does not any more: check its cable and the firmware's parameters", antennas(lost))})
	}
}

func (m *datagramMapper) close() {
	m.group.Close()
	m.packets.Close()
}
