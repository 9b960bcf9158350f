package csi

import (
	"context"
	"fmt"
	"net"

	"posefuse/sensors"
	"posefuse/setting"
)

// datagramSource reads records that come one a UDP datagram.
type datagramSource struct {
	driver    string
	address   string
	newFormat func(sensors.Sink) recordFormat
}

// Run reads until ctx ends or the socket fails. It implements sensors.Source.
func (s *datagramSource) Run(ctx context.Context, sink sensors.Sink) error {
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp", s.address)
	if err != nil {
		return setting.ListenError("udp", s.address, err)
	}
	defer closeOnDone(ctx, conn)()
	format := s.newFormat(sink)
	format.stream() // a new sender
	unknown, understood := stranger{own: s.driver}, false
	buf := make([]byte, 65536)
	raw := sensors.Raw{Transport: sensors.UDP}
	for {
		n, from, err := conn.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("udp %s: %w", s.address, err)
		}
		raw.AtNS, raw.Data = sink.NowNS(), buf[:n]
		if a, ok := from.(*net.UDPAddr); ok {
			raw.From = a.AddrPort()
		}
		format.at(sensors.Heard(sink, &raw))
		if format.device(buf[:n]) == nil {
			understood = true
			continue
		}
		sink.Count(OutcomeBadRecord, 1)
		if !understood {
			unknown.read(buf[:n], sink)
		}
	}
}
