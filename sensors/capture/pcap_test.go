package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"pgregory.net/rapid"
)

// appendPcap writes packets as a pcap file of any byte order and unit. It is
// written here because gopacket writes little-endian files of 8-bit link types
// alone.
func appendPcap(order binary.AppendByteOrder, nano bool, link uint32, packets ...Packet) []byte {
	magic, unit := uint32(magicMicro), time.Microsecond
	if nano {
		magic, unit = magicNano, time.Nanosecond
	}
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = order.AppendUint32(append(b, make([]byte, 8)...), 65535)
	b = order.AppendUint32(b, link)
	for _, p := range packets {
		b = order.AppendUint32(b, uint32(p.Time.Unix()))
		b = order.AppendUint32(b, uint32(p.Time.Nanosecond()/int(unit)))
		b = order.AppendUint32(b, uint32(len(p.Data)))
		b = order.AppendUint32(b, uint32(p.Length))
		b = append(b, p.Data...)
	}
	return b
}

// block writes one pcapng block.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	body = append(bytes.Clone(body), make([]byte, (4-len(body)%4)%4)...)
	n := uint32(12 + len(body))
	b := order.AppendUint32(order.AppendUint32(nil, kind), n)
	return order.AppendUint32(append(b, body...), n)
}

func section(order binary.AppendByteOrder) []byte {
	b := order.AppendUint32(nil, 0x1A2B3C4D)
	b = order.AppendUint16(order.AppendUint16(b, 1), 0)
	return block(order, magicBlocks, append(b, bytes.Repeat([]byte{0xFF}, 8)...))
}

// described writes an interface with a unit of time stamps and an offset.
func described(order binary.AppendByteOrder, link uint16, resol uint8, offset int64) []byte {
	b := order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, link), 0), 0)
	b = append(order.AppendUint16(order.AppendUint16(b, optTSResol), 1), resol, 0, 0, 0)
	b = order.AppendUint64(order.AppendUint16(order.AppendUint16(b, optTSOffset), 8), uint64(offset))
	return block(order, blockInterface, order.AppendUint32(b, 0))
}

func packetBlock(order binary.AppendByteOrder, id uint32, ticks uint64, data []byte) []byte {
	b := order.AppendUint32(nil, id)
	b = order.AppendUint32(order.AppendUint32(b, uint32(ticks>>32)), uint32(ticks))
	b = order.AppendUint32(order.AppendUint32(b, uint32(len(data))), uint32(len(data)))
	return block(order, blockPacket, append(b, data...))
}

func readPackets(in io.Reader) (out []Packet, err error) {
	r, err := NewReader(in)
	if err != nil {
		return nil, err
	}
	for {
		p, err := r.Next()
		if err != nil {
			return out, err
		}
		c := *p
		c.Data = bytes.Clone(p.Data)
		out = append(out, c)
	}
}

// TestPcapRoundTrip: every byte order, unit and 16-bit link type, whole or byte
// by byte.
func TestPcapRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.SampledFrom([]binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian}).Draw(t, "order")
		nano := rapid.Bool().Draw(t, "nano")
		link := uint32(rapid.SampledFrom([]LinkType{LinkEthernet, LinkIPv4, LinkSLL2}).Draw(t, "link"))
		unit := int64(time.Microsecond)
		if nano {
			unit = 1
		}
		var want []Packet
		for range rapid.IntRange(0, 5).Draw(t, "packets") {
			data := rapid.SliceOfN(rapid.Byte(), 0, 90).Draw(t, "data")
			at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "sec"), rapid.Int64Range(0, 1e9/unit-1).Draw(t, "fraction")*unit)
			want = append(want, Packet{Time: at, Link: LinkType(link), Data: data, Length: len(data) + rapid.IntRange(0, 5).Draw(t, "cut")})
		}
		file := appendPcap(order, nano, link|0x14000000, want...) // with a frame check length above
		for name, in := range map[string]io.Reader{"whole": bytes.NewReader(file), "bytes": iotest.OneByteReader(bytes.NewReader(file))} {
			got, err := readPackets(in)
			if !errors.Is(err, io.EOF) || len(got) != len(want) {
				t.Fatalf("%s: %d packets of %d, %v", name, len(got), len(want), err)
			}
			for i := range got {
				if !got[i].Time.Equal(want[i].Time) || got[i].Link != want[i].Link || got[i].Length != want[i].Length || !bytes.Equal(got[i].Data, want[i].Data) {
					t.Fatalf("%s: packet %d is %+v, want %+v", name, i, got[i], want[i])
				}
			}
		}
		// A file cut anywhere gives the packets before the cut and says so.
		if len(want) > 0 {
			at := rapid.IntRange(24, len(file)-1).Draw(t, "cut at")
			got, err := readPackets(bytes.NewReader(file[:at]))
			if len(got) >= len(want) || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut at %d: %d packets, %v", at, len(got), err)
			}
		}
	})
}

func TestPcapng(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	file := bytes.Join([][]byte{
		section(le), described(le, 1, 9, 0), block(le, 0x0BAD, make([]byte, 20)),
		packetBlock(le, 0, 1_000_000_007, []byte("nanoseconds")),
		described(le, 276, 0x80|20, 100), // 2^-20 s
		packetBlock(le, 1, 3<<19, []byte("one and a half")),
		block(le, blockSimple, append(le.AppendUint32(nil, 5), "plain"...)),
		section(be), described(be, 228, 6, -3), // a second section in the other order
		packetBlock(be, 0, 5_000_001, []byte("microseconds")),
		described(be, 1, 12, 0),
		packetBlock(be, 1, 2_000_000_003_999, []byte("picoseconds")),
	}, nil)
	want := []Packet{
		{Time: time.Unix(1, 7), Link: LinkEthernet, Data: []byte("nanoseconds")},
		{Time: time.Unix(101, 500_000_000), Link: LinkSLL2, Data: []byte("one and a half")},
		{Link: LinkEthernet, Data: []byte("plain")},
		{Time: time.Unix(2, 1000), Link: LinkIPv4, Data: []byte("microseconds")},
		{Time: time.Unix(2, 3), Link: LinkEthernet, Data: []byte("picoseconds")},
	}
	got, err := readPackets(iotest.OneByteReader(bytes.NewReader(file)))
	if !errors.Is(err, io.EOF) || len(got) != len(want) {
		t.Fatalf("%d packets, %v", len(got), err)
	}
	for i, w := range want {
		if !got[i].Time.Equal(w.Time) || got[i].Link != w.Link || !bytes.Equal(got[i].Data, w.Data) || got[i].Length != len(w.Data) {
			t.Errorf("packet %d is %+v, want %+v", i, got[i], w)
		}
	}
}

// TestPcapngOfAnotherWriter reads what gopacket writes.
func TestPcapngOfAnotherWriter(t *testing.T) {
	var file bytes.Buffer
	w, err := pcapgo.NewNgWriter(&file, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1767323045, 123456789)
	if err = errors.Join(w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: 3, Length: 9}, []byte("abc")), w.Flush()); err != nil {
		t.Fatal(err)
	}
	got, err := readPackets(&file)
	if !errors.Is(err, io.EOF) || len(got) != 1 || !got[0].Time.Equal(at) || string(got[0].Data) != "abc" || got[0].Length != 9 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReaderRefuses(t *testing.T) {
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"text":              {[]byte("CSI_DATA,AP"), ErrFormat},
		"old tcpdump":       {append([]byte{0x34, 0xCD, 0xB2, 0xA1}, make([]byte, 20)...), ErrFormat},
		"section order":     {block(le, magicBlocks, make([]byte, 16)), ErrFormat},
		"empty":             {nil, io.EOF},
		"short header":      {appendPcap(le, false, 1)[:20], io.ErrUnexpectedEOF},
		"no such interface": {append(section(le), packetBlock(le, 0, 1, []byte("a"))...), nil},
		"unit of stamps":    {append(section(le), described(le, 1, 40, 0)...), nil},
		"giant packet":      {append(appendPcap(le, false, 1), bytes.Repeat([]byte{0xFF}, 16)...), nil},
	} {
		got, err := readPackets(bytes.NewReader(c.file))
		if len(got) > 0 || err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && errors.Is(err, io.EOF) {
			t.Errorf("%s: %d packets, %v", name, len(got), err)
		}
	}
}

func FuzzReader(f *testing.F) {
	le, be := binary.LittleEndian, binary.BigEndian
	p := Packet{Time: time.Unix(5, 6000), Data: []byte("data"), Length: 4}
	f.Add(appendPcap(le, false, 1, p, p))
	f.Add(appendPcap(be, true, 276, p))
	f.Add(append(append(section(be), described(be, 228, 9, 1)...), packetBlock(be, 0, 7, []byte("data"))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := readPackets(bytes.NewReader(b))
		if err == nil {
			t.Fatal("reading ended without a reason")
		}
		total := 0
		for _, p := range whole {
			total += len(p.Data)
			if len(p.Data) > p.Length {
				t.Fatalf("%d bytes of a packet of %d", len(p.Data), p.Length)
			}
		}
		if total > len(b) {
			t.Fatalf("%d bytes out of %d", total, len(b))
		}
		split, splitErr := readPackets(iotest.OneByteReader(bytes.NewReader(b)))
		if len(split) != len(whole) || splitErr.Error() != err.Error() {
			t.Fatalf("byte by byte: %d packets and %v, else %d and %v", len(split), splitErr, len(whole), err)
		}
	})
}
