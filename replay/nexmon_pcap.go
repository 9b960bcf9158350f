package replay

import (
	"bytes"
	"fmt"
	"net"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"posefuse/sensors/csi"
)

// pcapSnapLen is the largest packet the capture can hold.
const pcapSnapLen = 2048

// newNexmonPipe returns a named pipe that carries a pcap capture, as tcpdump
// on a Raspberry Pi writes it: each datagram in an Ethernet frame, stamped
// when it is sent.
func newNexmonPipe(path string) (*fifoOut, error) {
	f, err := newFIFOOut(path)
	if err != nil {
		return nil, err
	}
	var head bytes.Buffer
	if err := pcapgo.NewWriter(&head).WriteFileHeader(pcapSnapLen, layers.LinkTypeEthernet); err != nil {
		return nil, fmt.Errorf("pcap header: %w", err)
	}
	f.preamble = head.Bytes()
	f.wrap = func(payload []byte) ([]byte, error) { return pcapRecord(time.Now(), payload) }
	return f, nil
}

// pcapRecord returns a datagram as a record of a capture, addressed as
// Nexmon's firmware does.
func pcapRecord(at time.Time, payload []byte) ([]byte, error) {
	ip := layers.IPv4{
		Version: 4, TTL: 1, Protocol: layers.IPProtocolUDP,
		SrcIP: net.IPv4(10, 10, 10, 10), DstIP: net.IPv4bcast,
	}
	udp := layers.UDP{SrcPort: csi.NexmonPort, DstPort: csi.NexmonPort}
	if err := udp.SetNetworkLayerForChecksum(&ip); err != nil {
		return nil, fmt.Errorf("pcap record: %w", err)
	}
	frame := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(frame, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{
			SrcMAC: net.HardwareAddr("NEXMON"), DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeIPv4,
		}, &ip, &udp, gopacket.Payload(payload))
	if err != nil {
		return nil, fmt.Errorf("pcap record: %w", err)
	}
	var out bytes.Buffer
	n := len(frame.Bytes())
	if err := pcapgo.NewWriter(&out).WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: n, Length: n}, frame.Bytes()); err != nil {
		return nil, fmt.Errorf("pcap record: %w", err)
	}
	return out.Bytes(), nil
}
