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
	"posefuse/setting"
)

// quietTime ends a sweep when nothing has come for so long.
const quietTime = 15 * time.Millisecond

// UDPSource reads one lidar. It implements sensors.Source.
type UDPSource struct {
	name         string
	cfg          *UDPConfig
	from         netip.Addr // the only sender to accept, if valid
	crop         Box
	newAssembler func(*output) (assembler, error)
}

// newUDPSource returns the source of a format, which its assembler reads.
func newUDPSource(name string, cfg *UDPConfig, newAssembler func(*output) (assembler, error)) *UDPSource {
	s := &UDPSource{name: name, cfg: cfg, newAssembler: newAssembler}
	s.from, _ = cfg.sender() // checked with the settings
	s.crop, _ = cfg.crop()
	return s
}

// output is where an assembler's sweeps go.
type output struct {
	name string
	crop Box // points outside are left out
	sink sensors.Sink
}

// emit hands a sweep on in the name of the sensor.
func (o *output) emit(s *sensors.Sample) {
	s.Sensor, s.Modality = o.name, modality.LiDAR
	o.sink.Emit(s)
}

func (o *output) count(outcome string, n uint64) { o.sink.Count(outcome, n) }

// assembler is what a format gives the source: it joins datagrams to sweeps.
type assembler interface {
	Add(receiveNS int64, b []byte)
	Open() bool        // a sweep waits for datagrams
	quiet(nowNS int64) // nothing has come for the configured time
}

// Run listens until ctx ends or the socket fails. It implements
// sensors.Source.
func (s *UDPSource) Run(ctx context.Context, sink sensors.Sink) error {
	asm, err := s.newAssembler(&output{name: s.name, crop: s.crop, sink: sink})
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", s.cfg.Listen)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return setting.ListenError("listen", s.cfg.Listen, err)
	}
	conn := pc.(*net.UDPConn)
	// Closing is what interrupts a read; deadlines belong to the reader.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		stop()
		_ = conn.Close()
	}()
	if err := tuneSocket(conn, s.cfg.ReadBufferKiB<<10); err != nil {
		return fmt.Errorf("socket options: %w", err)
	}
	if err := s.read(conn, asm, sink); err != nil && ctx.Err() == nil {
		return fmt.Errorf("udp %s: %w", s.cfg.Listen, err)
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
			wait := quietTime
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
		if s.from.IsValid() && from.Addr().Unmap() != s.from {
			sink.Count("other_source", 1)
			continue
		}
		asm.Add(sensors.ReceivedNS(sink.NowNS(), stamp, time.Now()), buf[:n])
	}
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
	for i := range msgs {
		m := &msgs[i]
		if at, ok := sensors.KernelStamp(m); ok {
			stamp = at
		} else if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4 {
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
