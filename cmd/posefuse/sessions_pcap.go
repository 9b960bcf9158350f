package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"posefuse/pipeline"
	"posefuse/recording/session"
	"posefuse/sensors"
	"posefuse/sensors/capture"
	"posefuse/sensors/modality"
)

// exportPackets writes the raw datagrams and packets of some channels, the LiDAR's if
// none is named, as a packet capture. Files that their decoder needs are written beside
// the capture, if that is a file.
func (c sessionsExportCmd) exportPackets(out io.Writer, dir string) (session.Check, error) {
	topics := c.Channel
	if len(topics) == 0 {
		topics = []string{session.TopicRawLiDAR}
	}
	var raw []string
	for m := range modality.Count {
		raw = append(raw, session.RawTopic(m))
	}
	for _, topic := range topics {
		if !slices.Contains(raw, topic) {
			return session.Check{}, fmt.Errorf("--channel %s: a capture has packets, of one of %s", topic, strings.Join(raw, ", "))
		}
	}
	info, err := session.Read(dir)
	if err != nil {
		return session.Check{}, err
	}
	to := listeners(&info)
	if _, err = out.Write(capture.AppendHeader(nil, capture.LinkEthernet)); err != nil {
		return session.Check{}, err
	}
	packets := 0
	var buf []byte
	_, check, err := session.Visit(dir, session.Part{Topics: topics}, func(e *session.Event) error {
		frame, ferr := frameOf(e.Raw, to[e.Topic])
		switch {
		case ferr != nil:
			return fmt.Errorf("%s: %w", e.Topic, ferr)
		case e.Raw.Transport == sensors.File:
			return c.besideCapture(e.Raw)
		case frame == nil:
			return nil
		}
		packets++
		buf = capture.AppendPacket(buf[:0], time.Unix(0, info.AnchorNS+e.Raw.AtNS), frame)
		_, ferr = out.Write(buf)
		return ferr
	})
	if err == nil && packets == 0 {
		err = fmt.Errorf("session %s has no packets on %s: posefuse record start --raw lidar records them", info.ID, strings.Join(topics, ", "))
	}
	return check, err
}

// errNoPackets is the error of bytes that came otherwise than in packets.
var errNoPackets = errors.New("its bytes came in no packets; --format jsonl has them")

// frameOf returns a piece as an Ethernet frame, nil if there is none to it.
func frameOf(r *sensors.Raw, to netip.AddrPort) ([]byte, error) {
	switch r.Transport {
	case sensors.File, sensors.Silence:
		return nil, nil
	case sensors.UDP:
		if a := to.Addr(); !a.IsValid() || a.Is4() != r.From.Addr().Unmap().Is4() || a.IsUnspecified() {
			a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
			if r.From.Addr().Unmap().Is6() {
				a = netip.IPv6Loopback()
			}
			to = netip.AddrPortFrom(a, to.Port())
		}
		return capture.EthernetUDP(r.From, to, r.Data)
	case sensors.Packet:
		return capture.EthernetPacket(capture.LinkType(r.Link), r.Data)
	case sensors.Stream, sensors.Record:
	}
	return nil, errNoPackets
}

// listeners returns the addresses to which the datagrams of a session's channels went,
// as far as the drivers' settings tell.
func listeners(info *session.Info) map[string]netip.AddrPort {
	to := map[string]netip.AddrPort{}
	setup, err := pipeline.ParseSetup(info.Setup)
	if err != nil {
		return to // the datagrams are there all the same
	}
	for m := range modality.Count {
		var s struct {
			Listen string `yaml:"listen"`
			UDP    string `yaml:"udp"`
		}
		if yaml.Unmarshal([]byte(setup.Drivers[m.String()].Settings), &s) != nil {
			continue
		}
		if a, err := netip.ParseAddrPort(orDefault(s.UDP, s.Listen)); err == nil {
			to[session.RawTopic(m)] = a
		}
	}
	return to
}

// besideCapture writes an Ouster's metadata beside the capture, under the name that
// other programs look for: that of the capture, ending in .json.
func (c sessionsExportCmd) besideCapture(r *sensors.Raw) error {
	if c.To == "-" || r.Name != "metadata_file" {
		return nil
	}
	path := strings.TrimSuffix(c.To, ".pcap") + ".json"
	if err := os.WriteFile(path, r.Data, 0o600); err != nil {
		return fmt.Errorf("the sensor's metadata: %w", err)
	}
	return nil
}
