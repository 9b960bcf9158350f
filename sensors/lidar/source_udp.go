package lidar

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// UDPSource reads one lidar. It implements sensors.Source.
type UDPSource struct {
	name         string
	driver       string
	cfg          *UDPConfig
	from         netip.Addr // the only sender to accept, if valid
	crop         Box
	newAssembler func(context.Context, *output) (assembler, error)
}

// newUDPSource returns the source of a driver, whose assembler reads its format.
func newUDPSource(name, driver string, cfg *UDPConfig, newAssembler func(context.Context, *output) (assembler, error)) *UDPSource {
	s := &UDPSource{name: name, driver: driver, cfg: cfg, newAssembler: newAssembler}
	s.from, _ = cfg.sender() // checked with the settings
	s.crop, _ = cfg.crop()
	return s
}

// output is where an assembler's sweeps go.
type output struct {
	name    string
	crop    Box // points outside are left out
	sink    sensors.Sink
	refused bool // something was, since this was last unset
}

// emit hands a sweep on in the name of the sensor.
func (o *output) emit(s *sensors.Sample) {
	s.Sensor, s.Modality = o.name, modality.LiDAR
	o.sink.Emit(s)
}

// emitSweep hands on a sweep of lidars whose packets hold points by themselves.
func (o *output) emitSweep(w *Sweep) {
	o.emit(&sensors.Sample{
		Seq: w.Seq, DeviceNS: int64(w.TimeNS), HasDevice: true, ReceiveNS: w.ReceiveNS,
		Restarted: w.Restarted,
		Cloud:     &sensors.PointCloud{XYZ: w.XYZ, Complete: w.Complete},
	})
}

func (o *output) count(outcome string, n uint64) {
	o.refused = o.refused || refuses[outcome]
	o.sink.Count(outcome, n)
}

// refuses are the outcomes of datagrams that a driver cannot use.
var refuses = func() map[string]bool {
	m := map[string]bool{}
	for outcome, o := range outcomesOf() {
		m[outcome] = o.Refused != ""
	}
	return m
}()

// assembler is what a format gives the source: it joins datagrams to sweeps.
type assembler interface {
	Add(receiveNS int64, b []byte)
	Deadline() int64    // room time at which to call Expire, 0 if no sweep waits
	Expire(nowNS int64) // ends the sweeps that are given up
}

// Run listens until ctx ends or the socket fails. It implements
// sensors.Source.
func (s *UDPSource) Run(ctx context.Context, sink sensors.Sink) error {
	out := &output{name: s.name, crop: s.crop, sink: sink}
	asm, err := s.newAssembler(ctx, out)
	if err != nil {
		return err
	}
	if c, ok := asm.(io.Closer); ok {
		defer func() { _ = c.Close() }()
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
	if err := s.read(conn, asm, out); err != nil && ctx.Err() == nil {
		return fmt.Errorf("udp %s: %w", s.cfg.Listen, err)
	}
	return nil
}

func (s *UDPSource) read(conn *net.UDPConn, asm assembler, out *output) error {
	buf := make([]byte, maxDatagram+1)
	oob := make([]byte, 128)
	var drops dropCounter
	sink, who, looks := out.sink, senders{only: s.from}, &onlooker{driver: s.driver, sink: out.sink}
	expired := false
	raw := sensors.Raw{Transport: sensors.UDP}
	for {
		var deadline time.Time
		if at := asm.Deadline(); at != 0 {
			wait := time.Duration(at - sink.NowNS())
			if expired {
				// The timer may have won against a datagram that was already
				// there, when this process was held up; look once more.
				wait = 0
			}
			deadline = time.Now().Add(max(wait, time.Millisecond))
		}
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
		n, oobn, _, from, err := conn.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if expired {
				now := sink.NowNS()
				sensors.Heard(sink, &sensors.Raw{Transport: sensors.Silence, AtNS: now})
				asm.Expire(now)
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
		now := sink.NowNS()
		receivedNS := sensors.ReceivedNS(now, stamp, time.Now())
		if !who.accept(from.Addr(), now) {
			asm.Expire(receivedNS) // what is thrown away holds no sweep open
			sink.Count("other_source", 1)
			if f, ok := who.finding(from.Addr(), now); ok {
				sensors.Tell(sink, f)
			}
			continue
		}
		out.refused = false
		raw.AtNS, raw.From, raw.Data = receivedNS, from, buf[:n]
		receivedNS = sensors.Heard(sink, &raw)
		asm.Add(receivedNS, buf[:n])
		if out.refused {
			asm.Expire(receivedNS)
			looks.refused(now, buf[:n])
		} else {
			who.understood(now)
		}
	}
}

// onlooker says what refused datagrams look like, if they look like something
// that another setting would read.
type onlooker struct {
	driver string
	sink   sensors.Sink
	lookNS int64 // room clock of the last look
}

// lookEvery is how often a refused datagram is looked at: less than a finding
// lasts.
const lookEvery = int64(time.Second)

func (o *onlooker) refused(nowNS int64, b []byte) {
	if o.lookNS != 0 && nowNS-o.lookNS < lookEvery {
		return
	}
	o.lookNS = nowNS
	switch k := Recognise(b); {
	case k.What == "" || k.Driver == o.driver:
	case k.Driver == "":
		sensors.Tell(o.sink, sensors.Finding{Code: "wrong_format", Text: "what comes looks like " + k.What + ", which is no lidar: check who sends to this port"})
	default:
		sensors.Tell(o.sink, sensors.Finding{Code: "wrong_format", Text: fmt.Sprintf("what comes looks like %s: set driver: %s", k.What, k.Driver)})
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
