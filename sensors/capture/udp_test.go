package capture

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

// ipPacket returns an IPv4 packet that carries part of a datagram.
func ipPacket(id uint16, at int, more bool, body []byte) []byte {
	be := binary.BigEndian
	b := []byte{0x46, 0} // with one word of options
	b = be.AppendUint16(b, uint16(24+len(body)))
	flags := uint16(at / 8)
	if more {
		flags |= 0x2000
	}
	b = be.AppendUint16(be.AppendUint16(b, id), flags)
	b = append(b, 64, 17, 0, 0, 10, 10, 10, 10, 255, 255, 255, 255, 1, 1, 1, 0)
	return append(b, body...)
}

func udpBytes(payload []byte) []byte {
	be := binary.BigEndian
	b := be.AppendUint16(be.AppendUint16(nil, 4000), 5500)
	b = be.AppendUint16(be.AppendUint16(b, uint16(8+len(payload))), 0)
	return append(b, payload...)
}

// linkHeaders are headers before an IPv4 packet, by link type.
func linkHeaders() map[string]struct {
	link LinkType
	head []byte
} {
	mac := make([]byte, 12)
	cooked := func(protocol ...byte) []byte { return slices.Concat(make([]byte, 14), protocol) }
	sll2 := func(protocol ...byte) []byte { return append(protocol, make([]byte, 18)...) }
	snap := []byte{0xAA, 0xAA, 3, 0, 0, 0, 8, 0}
	wifi := append(append([]byte{0x08, 0x02}, make([]byte, 22)...), snap...)
	return map[string]struct {
		link LinkType
		head []byte
	}{
		"ethernet":  {LinkEthernet, slices.Concat(mac, []byte{8, 0})},
		"vlan":      {LinkEthernet, slices.Concat(mac, []byte{0x81, 0, 0, 7, 8, 0})},
		"qinq":      {LinkEthernet, slices.Concat(mac, []byte{0x88, 0xA8, 0, 7, 0x81, 0, 0, 9, 8, 0})},
		"old qinq":  {LinkEthernet, slices.Concat(mac, []byte{0x91, 0, 0, 7, 0x81, 0, 0, 9, 8, 0})},
		"sll":       {LinkSLL, cooked(8, 0)},
		"sll vlan":  {LinkSLL, cooked(0x81, 0, 0, 7, 8, 0)},
		"sll2":      {LinkSLL2, sll2(8, 0)},
		"sll2 vlan": {LinkSLL2, slices.Concat(sll2(0x81, 0), []byte{0, 7, 8, 0})},
		"raw":       {LinkRaw, nil},
		"old raw":   {LinkRawOld, nil},
		"ipv4":      {LinkIPv4, nil},
		"null":      {LinkNull, []byte{2, 0, 0, 0}},
		"loop":      {LinkLoop, []byte{0, 0, 0, 2}},
		"radiotap":  {LinkRadiotap, slices.Concat([]byte{0, 0, 9, 0, 2, 0, 0, 0, 0}, wifi)},
	}
}

func TestLinkTypes(t *testing.T) {
	payload := []byte("a datagram of some length")
	for name, c := range linkHeaders() {
		counts := counter{}
		d := NewDecoder(counts.count)
		packet := slices.Concat(c.head, ipPacket(1, 0, false, udpBytes(payload)))
		if c.link != LinkRadiotap { // whose last bytes are a checksum
			packet = append(packet, "padding"...)
		}
		g, ok := d.UDP(&Packet{Link: c.link, Data: packet, Length: len(packet), Time: time.Unix(7, 0)})
		if !ok || !bytes.Equal(g.Payload, payload) || g.To != netip.MustParseAddrPort("255.255.255.255:5500") ||
			g.From != netip.MustParseAddrPort("10.10.10.10:4000") || !g.Time.Equal(time.Unix(7, 0)) || len(counts) > 0 {
			t.Errorf("%s: %+v, %v, counts %v", name, g, ok, counts)
		}
	}
}

func TestWhatIsNoDatagram(t *testing.T) {
	whole := ipPacket(1, 0, false, udpBytes([]byte("payload")))
	tcp := slices.Clone(whole)
	tcp[9] = 6
	lies := slices.Clone(whole)
	lies[24+5] = 200 // UDP length
	for name, c := range map[string]struct {
		link   LinkType
		data   []byte
		length int
		want   string
	}{
		"arp":            {LinkEthernet, slices.Concat(make([]byte, 12), []byte{8, 6}, make([]byte, 28)), 0, OutcomeOtherTraffic},
		"tcp":            {LinkIPv4, tcp, 0, OutcomeOtherTraffic},
		"ipv6":           {LinkRaw, append([]byte{0x60}, make([]byte, 50)...), 0, OutcomeOtherTraffic},
		"empty":          {LinkEthernet, nil, 0, OutcomeOtherTraffic},
		"usb":            {189, whole, 0, OutcomeUnknownLink},
		"cut":            {LinkIPv4, whole[:len(whole)-2], len(whole), OutcomeTruncated},
		"cut in header":  {LinkIPv4, whole[:10], len(whole), OutcomeTruncated},
		"length lies":    {LinkIPv4, lies, 0, OutcomeTruncated},
		"long empty SLL": {LinkSLL, []byte{0, 0, 0, 1, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 8, 6}, 0, OutcomeOtherTraffic},
	} {
		counts := counter{}
		_, ok := NewDecoder(counts.count).UDP(&Packet{Link: c.link, Data: c.data, Length: max(c.length, len(c.data))})
		if ok || !reflect.DeepEqual(counts, counter{c.want: 1}) {
			t.Errorf("%s: %v, counts %v, want %s", name, ok, counts, c.want)
		}
	}
}

// TestFragments: a datagram in pieces of any size, order and repetition comes
// out once, and every packet has one counter.
func TestFragments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		counts := counter{}
		d := NewDecoder(counts.count)
		type piece struct {
			from, to int
			id       uint16
		}
		var packets []piece
		bodies := map[uint16][]byte{}
		for id := range uint16(rapid.IntRange(1, 4).Draw(t, "datagrams")) {
			payload := make([]byte, 100+rng.IntN(9000)) // in two pieces at least
			for i := range payload {
				payload[i] = byte(rng.Uint32())
			}
			bodies[id] = udpBytes(payload)
			for at, n := 0, len(bodies[id]); at < n; {
				to := min(n, at+8*(1+rng.IntN(max(1, n/16))))
				packets = append(packets, piece{at, to, id})
				if rng.IntN(5) == 0 {
					packets = append(packets, piece{at, to, id})
				}
				at = to
			}
		}
		rng.Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
		got := map[uint16]int{}
		for _, p := range packets {
			b := bodies[p.id]
			ip := ipPacket(p.id, p.from, p.to < len(b), b[p.from:p.to])
			g, ok := d.UDP(&Packet{Link: LinkIPv4, Data: ip, Length: len(ip), Time: time.Unix(1, 0)})
			if ok {
				for id, body := range bodies {
					if bytes.Equal(g.Payload, body[8:]) {
						got[id]++
					}
				}
			}
		}
		d.Close()
		sum := uint64(len(got))
		for _, n := range counts {
			sum += n
		}
		for id, n := range got {
			if n != 1 {
				t.Fatalf("datagram %d came %d times", id, n)
			}
		}
		if len(got) != len(bodies) || sum != uint64(len(packets)) {
			t.Fatalf("%d datagrams of %d; %d packets, counted %d: %v", len(got), len(bodies), len(packets), sum, counts)
		}
	})
}

func TestFragmentsThatDoNotFit(t *testing.T) {
	body := udpBytes(bytes.Repeat([]byte("12345678"), 10)) // 88 bytes
	send := func(d *Decoder, sec int64, id uint16, at, to int, more bool) (Datagram, bool) {
		ip := ipPacket(id, at, more, body[at:to])
		return d.UDP(&Packet{Link: LinkIPv4, Data: ip, Length: len(ip), Time: time.Unix(sec, 0)})
	}
	for name, c := range map[string]struct {
		f    func(d *Decoder)
		want counter
	}{
		"overlap":     {func(d *Decoder) { send(d, 0, 1, 0, 40, true); send(d, 0, 1, 32, 88, false) }, counter{OutcomeLostFragment: 2}},
		"two ends":    {func(d *Decoder) { send(d, 0, 1, 40, 48, false); send(d, 0, 1, 80, 88, false) }, counter{OutcomeLostFragment: 2}},
		"odd part":    {func(d *Decoder) { send(d, 0, 1, 0, 12, true) }, counter{OutcomeLostFragment: 1}},
		"too late":    {func(d *Decoder) { send(d, 0, 1, 0, 40, true); send(d, 31, 1, 40, 88, false) }, counter{OutcomeLostFragment: 2}},
		"clock back":  {func(d *Decoder) { send(d, 99, 1, 0, 40, true); send(d, 1, 1, 40, 88, false) }, counter{OutcomeLostFragment: 2}},
		"never whole": {func(d *Decoder) { send(d, 0, 1, 8, 40, true) }, counter{OutcomeLostFragment: 1}},
		"too many": {func(d *Decoder) {
			for id := range uint16(3 * maxOpenDatagrams) {
				send(d, 0, id, 0, 40, true)
			}
		}, counter{OutcomeLostFragment: 3 * maxOpenDatagrams}},
	} {
		counts := counter{}
		d := NewDecoder(counts.count)
		c.f(d)
		d.Close()
		if !reflect.DeepEqual(counts, c.want) {
			t.Errorf("%s: counts %v, want %v", name, counts, c.want)
		}
	}
	// All fragments twice: one datagram. The same number for another: two.
	counts := counter{}
	d := NewDecoder(counts.count)
	n := 0
	for i := range 3 {
		if i == 2 {
			body = udpBytes(bytes.Repeat([]byte("abcdefgh"), 10))
		}
		send(d, 5, 9, 0, 40, true)
		if _, ok := send(d, 5, 9, 40, 88, false); ok {
			n++
		}
	}
	if n != 2 || counts[OutcomeRepeated] != 1 {
		t.Errorf("%d datagrams, counts %v", n, counts)
	}
}

func FuzzUDP(f *testing.F) {
	for _, c := range linkHeaders() {
		f.Add(uint16(c.link), slices.Concat(c.head, ipPacket(1, 0, false, udpBytes([]byte("payload")))), uint8(20))
	}
	f.Add(uint16(LinkIPv4), ipPacket(1, 8, true, make([]byte, 16)), uint8(3))
	f.Fuzz(func(t *testing.T, link uint16, b []byte, cut uint8) {
		counts := counter{}
		d := NewDecoder(counts.count)
		var sum uint64
		for _, data := range [][]byte{b, b[min(int(cut), len(b)):], b} {
			if g, ok := d.UDP(&Packet{Link: LinkType(link), Data: data, Length: len(data)}); ok {
				sum++
				if len(g.Payload) > len(b) {
					t.Fatalf("%d bytes of payload out of %d", len(g.Payload), len(b))
				}
			}
		}
		d.Close()
		for _, n := range counts {
			sum += n
		}
		if sum != 3 {
			t.Fatalf("3 packets, counted %d: %v", sum, counts)
		}
	})
}

func TestDatagramsAllocateNothing(t *testing.T) {
	testenv.NoRace(t, "the race detector allocates")
	d := NewDecoder(func(string, uint64) {})
	whole := ipPacket(1, 0, false, udpBytes(make([]byte, 1042)))
	body := udpBytes(make([]byte, 6464))
	first, last := ipPacket(2, 0, true, body[:4000]), ipPacket(2, 4000, false, body[4000:])
	at := int64(0)
	if n := testenv.AllocsPerRun(100, func() {
		at += 2
		for _, b := range [][]byte{whole, first, last} {
			d.UDP(&Packet{Link: LinkIPv4, Data: b, Length: len(b), Time: time.Unix(at, 0)})
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
