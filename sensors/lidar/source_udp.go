package lidar

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// The formats of a UDP source.
const (
	FormatOuster = "ouster"
	FormatLivox  = "livox"
)

// Defaults of UDPConfig.
const (
	DefaultOusterListen = "127.0.0.1:7502"
	DefaultLivoxListen  = "127.0.0.1:56301"
	DefaultQuiet        = 15 * time.Millisecond
	DefaultSweep        = 100 * time.Millisecond
	DefaultReadBuffer   = 8 << 20
)

// UDPConfig describes one lidar that sends to a UDP port.
type UDPConfig struct {
	Name     string // sensor name in samples and errors
	Format   string // FormatOuster or FormatLivox
	Listen   string // host:port; the format's default if empty
	Metadata string // Ouster: path of the sensor's metadata JSON
	// From accepts datagrams of this IP address only; empty accepts all.
	From string
	Crop Box // points outside are left out; zero keeps all
	// Quiet ends a Livox sweep when nothing has come for so long.
	Quiet      time.Duration
	Sweep      time.Duration // Livox: longest sweep
	ReadBuffer int           // of the socket, bytes
}

// UDPSource reads one lidar. It implements sensors.Source.
type UDPSource struct {
	cfg  UDPConfig
	from netip.Addr
}

// NewUDPSource checks cfg and returns a source. It opens nothing.
func NewUDPSource(cfg UDPConfig) (*UDPSource, error) {
	if cfg.Name == "" {
		return nil, errors.New("lidar: name is empty")
	}
	s := &UDPSource{}
	switch cfg.Format {
	case FormatOuster:
		if cfg.Metadata == "" {
			return nil, fmt.Errorf("sensor %s: metadata is not set; save the sensor's GET /api/v1/sensor/metadata to a file and name it", cfg.Name)
		}
	case FormatLivox:
		if cfg.Metadata != "" {
			return nil, fmt.Errorf("sensor %s: metadata is for format ouster only", cfg.Name)
		}
	default:
		return nil, fmt.Errorf("sensor %s: format %q is not ouster or livox", cfg.Name, cfg.Format)
	}
	if cfg.Listen == "" {
		cfg.Listen = DefaultOusterListen
		if cfg.Format == FormatLivox {
			cfg.Listen = DefaultLivoxListen
		}
	}
	if _, _, err := net.SplitHostPort(cfg.Listen); err != nil {
		return nil, fmt.Errorf("sensor %s: listen: %w", cfg.Name, err)
	}
	if cfg.From != "" {
		var err error
		if s.from, err = netip.ParseAddr(cfg.From); err != nil {
			return nil, fmt.Errorf("sensor %s: from: %w", cfg.Name, err)
		}
	}
	if cfg.Quiet < 0 || cfg.Sweep < 0 || cfg.ReadBuffer < 0 {
		return nil, fmt.Errorf("sensor %s: quiet, sweep and read_buffer must not be negative", cfg.Name)
	}
	if cfg.Crop != (Box{}) {
		for i := range 3 {
			if !(cfg.Crop.Min[i] < cfg.Crop.Max[i]) {
				return nil, fmt.Errorf("sensor %s: crop: min must be below max on all three axes", cfg.Name)
			}
		}
	}
	if cfg.Quiet == 0 {
		cfg.Quiet = DefaultQuiet
	}
	if cfg.Sweep == 0 {
		cfg.Sweep = DefaultSweep
	}
	if cfg.ReadBuffer == 0 {
		cfg.ReadBuffer = DefaultReadBuffer
	}
	s.cfg = cfg
	return s, nil
}

// assembler is what both formats have in common.
type assembler interface {
	Add(receiveNS int64, b []byte)
	Open() bool
	quiet(nowNS int64) // nothing has come for the configured time
}

// Run listens until ctx ends or the socket fails. A port in use is a
// sensors.ErrInUse that names the address and the setting.
func (s *UDPSource) Run(ctx context.Context, sink sensors.Sink) error {
	asm, err := s.assembler(sink)
	if err != nil {
		return fmt.Errorf("sensor %s: %w", s.cfg.Name, err)
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", s.cfg.Listen)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("sensor %s: %w", s.cfg.Name, sensors.ListenError("udp", s.cfg.Listen, fmt.Sprintf("sensors.%s.%s.listen", s.cfg.Name, s.cfg.Format), err))
	}
	conn := pc.(*net.UDPConn)
	// Closing is what interrupts a read; deadlines belong to the reader.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		stop()
		_ = conn.Close()
	}()
	if err := tuneSocket(conn, s.cfg.ReadBuffer); err != nil {
		return fmt.Errorf("sensor %s: socket options: %w", s.cfg.Name, err)
	}
	if err := s.read(conn, asm, sink); err != nil && ctx.Err() == nil {
		return fmt.Errorf("sensor %s: udp %s: %w", s.cfg.Name, s.cfg.Listen, err)
	}
	return nil
}

func (s *UDPSource) read(conn *net.UDPConn, asm assembler, sink sensors.Sink) error {
	buf := make([]byte, maxDatagram+1)
	oob := make([]byte, 128)
	var drops dropCounter
	expired := false
	for {
		var deadline time.Time
		if asm.Open() {
			wait := s.cfg.Quiet
			if expired {
				// The timer may have won against a datagram that was already
				// there, when this process was held up; look once more.
				wait = time.Millisecond
			}
			deadline = time.Now().Add(wait)
		}
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
		n, oobn, _, from, err := conn.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if expired {
				asm.quiet(sink.NowNS())
			}
			expired = !expired
			continue
		}
		expired = false
		if err != nil {
			return err
		}
		stamp, dropped := parseControl(oob[:oobn])
		if d := drops.update(dropped); d > 0 {
			sink.Count("socket_overflow", d)
		}
		if s.from.IsValid() && from.Addr().Unmap() != s.from.Unmap() {
			sink.Count("other_source", 1)
			continue
		}
		asm.Add(receiveNS(sink.NowNS(), stamp, time.Now()), buf[:n])
	}
}

// receiveNS moves the present room time back by the age of the kernel's
// stamp. An age that a step of the wall clock made impossible is ignored.
func receiveNS(nowNS int64, stamp, now time.Time) int64 {
	if stamp.IsZero() {
		return nowNS
	}
	age := now.Round(0).Sub(stamp)
	if age < 0 || age > time.Second {
		return nowNS
	}
	return nowNS - int64(age)
}

func tuneSocket(conn *net.UDPConn, bytes int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	err2 := raw.Control(func(fd uintptr) {
		// The forced size needs CAP_NET_ADMIN; without it the kernel's
		// rmem_max limits the buffer.
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
		}
		err = errors.Join(err,
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1))
	})
	return errors.Join(err, err2)
}

// parseControl returns the kernel's receive time and its running count of
// datagrams dropped because the socket's buffer was full.
func parseControl(oob []byte) (stamp time.Time, dropped uint32) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return stamp, 0
	}
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch {
		case m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16:
			stamp = time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		case m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4:
			dropped = binary.NativeEndian.Uint32(m.Data)
		}
	}
	return stamp, dropped
}

// dropCounter turns the kernel's running count into differences.
type dropCounter struct{ last uint32 }

func (d *dropCounter) update(total uint32) uint64 {
	if total <= d.last {
		return 0
	}
	n := total - d.last
	d.last = total
	return uint64(n)
}

func (s *UDPSource) assembler(sink sensors.Sink) (assembler, error) {
	if s.cfg.Format == FormatLivox {
		return livoxInput{NewSweepAssembler(s.cfg.Sweep, &s.cfg.Crop, func(w *Sweep) {
			sink.Emit(&sensors.Sample{
				Sensor: s.cfg.Name, Modality: modality.LiDAR, Seq: w.Seq,
				DeviceNS: int64(w.TimeNS), HasDevice: true, ReceiveNS: w.ReceiveNS,
				Restarted: w.Restarted,
				Cloud:     &sensors.PointCloud{XYZ: w.XYZ, Complete: w.Complete},
			})
		}, sink.Count)}, nil
	}
	text, err := os.ReadFile(s.cfg.Metadata)
	if err != nil {
		return nil, sensors.Told(fmt.Errorf("metadata: %w: save the sensor's GET /api/v1/sensor/metadata there, or correct sensors.%s.ouster.metadata_file", err, s.cfg.Name))
	}
	meta, err := ParseMetadata(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.cfg.Metadata, err)
	}
	table := NewXYZTable(meta)
	points := 0
	return ousterInput{NewAssembler(meta, func(f *Frame) {
		xyz := table.Cloud(make([]float32, 0, points+points/8), f, &s.cfg.Crop)
		points = len(xyz)
		sink.Emit(&sensors.Sample{
			Sensor: s.cfg.Name, Modality: modality.LiDAR, Seq: f.Seq,
			DeviceNS: int64(f.MiddleNS), HasDevice: true, ReceiveNS: f.ReceiveNS,
			Restarted: f.Restarted,
			Cloud:     &sensors.PointCloud{XYZ: xyz, Complete: float64(f.Valid) / float64(f.Expected)},
		})
	}, sink.Count)}, nil
}

type ousterInput struct{ *Assembler }

func (o ousterInput) quiet(nowNS int64) { o.Expire(nowNS) }

type livoxInput struct{ *SweepAssembler }

func (l livoxInput) quiet(int64) { l.Flush() }
