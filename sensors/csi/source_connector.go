package csi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
)

// The connector of the Intel driver: the tool adds 15 to the number of
// connector users, which is 10 or 11 with the kernel's version.
var connectorGroups = [...]int{25, 26}

const (
	connectorValue  = 1 // of the driver's messages
	connectorHeader = 20
	// maxMessage is more than a netlink message of the driver takes.
	maxMessage = 16 << 10
)

// connectorSource reads the messages of the Intel 5300's driver on this machine.
type connectorSource struct {
	newFormat func(sensors.Sink) recordFormat
}

// Run reads until ctx ends or the socket fails. It implements sensors.Source.
func (s *connectorSource) Run(ctx context.Context, sink sensors.Sink) error {
	f, err := openConnector()
	if err != nil {
		return err
	}
	defer closeOnDone(ctx, f)()
	format := s.newFormat(sink)
	format.stream() // a new sender
	buf := make([]byte, maxMessage)
	raw := sensors.Raw{Transport: sensors.Record}
	for {
		n, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			sink.Count("socket_overflow", 1)
			continue
		case err != nil:
			return fmt.Errorf("netlink connector: %w", err)
		}
		raw.AtNS, raw.Data = sink.NowNS(), buf[:n]
		format.at(sensors.Heard(sink, &raw))
		if connectorMessages(buf[:n], func(b []byte) { _ = format.device(b) }) != nil {
			sink.Count(OutcomeBadMessage, 1)
		}
	}
}

// OutcomeBadMessage counts netlink messages that are not the driver's.
const OutcomeBadMessage = "bad_message"

// openConnector opens the netlink connector and joins the driver's groups.
func openConnector() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, connectorError(err)
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err == nil {
		for _, g := range connectorGroups {
			if joinErr := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); joinErr != nil {
				err = joinErr
			}
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, connectorError(err)
	}
	return os.NewFile(uintptr(fd), "netlink:connector"), nil
}

func connectorError(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return sensors.Told(fmt.Errorf("netlink connector needs CAP_NET_ADMIN: run under the systemd unit with it, or let log_to_file write a FIFO and set path: %w", err))
	}
	return sensors.Told(fmt.Errorf("netlink connector: %w: load the kernel module cn and the tool's iwlwifi driver, or set path to what log_to_file writes", err))
}

var errConnector = errors.New("no message of the driver")

// connectorMessages takes the netlink messages of one datagram apart: a header
// of 16 bytes, the connector's of 20, then what a log has behind the length.
func connectorMessages(b []byte, take func(message []byte)) error {
	order := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(order.Uint32(b))
		if n < unix.SizeofNlMsghdr+connectorHeader || n > len(b) {
			return errConnector
		}
		c := b[unix.SizeofNlMsghdr:n]
		size := int(order.Uint16(c[16:]))
		if order.Uint32(c[4:]) != connectorValue || size > len(c)-connectorHeader {
			return errConnector
		}
		take(c[connectorHeader : connectorHeader+size])
		b = b[min((n+3)&^3, len(b)):]
	}
	if len(b) > 0 {
		return errConnector
	}
	return nil
}
