package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// pairing is a format that joins two datagrams to a frame: it mixes what two
// senders send if one decoder takes both.
var pairing = Format{Name: "pairs", Datagrams: func(_ *Options, out *Output) (DatagramDecoder, error) { return &pairs{out: out}, nil }}

type pairs struct {
	out  *Output
	half string
	n    int
}

func (p *pairs) Datagram(g *Datagram) {
	switch text := string(g.Payload); {
	case text == "junk":
		p.out.Count("bad", 1)
	case text == "imu":
		p.n++
		p.out.Note("imu_packets", p.n)
	case p.half == "":
		p.out.Packets(1)
		p.half = text
	default:
		p.out.Packets(1)
		p.out.Emit(&Record{Fields: map[string]any{"text": p.half + text}})
		p.half = ""
	}
}

func (p *pairs) Finish() {
	if p.half != "" {
		p.out.Emit(&Record{Fields: map[string]any{"text": p.half}})
	}
}

// sent is one datagram of a test's capture.
type sent struct {
	from string
	at   time.Duration
	text string
}

// frames is what a capture gave.
type frames struct {
	of      map[string][]string // texts by sender
	counts  map[string]uint64
	notes   map[string]any
	packets uint64
}

func decodeSent(t rapid.TB, o *Options, datagrams []sent) (frames, error) {
	t.Helper()
	var packets []Packet
	for _, d := range datagrams {
		from := netip.MustParseAddrPort(d.from)
		udp := udpBytes([]byte(d.text))
		binary.BigEndian.PutUint16(udp, from.Port())
		data := ipPacket(0, 0, false, udp)
		copy(data[12:16], from.Addr().AsSlice())
		packets = append(packets, Packet{Time: time.Unix(100, 0).Add(d.at), Data: data, Length: len(data)})
	}
	f, err := Open(bytes.NewReader(appendPcap(binary.LittleEndian, true, uint32(LinkIPv4), packets...)))
	if err != nil {
		t.Fatal(err)
	}
	got := frames{of: map[string][]string{}, counts: map[string]uint64{}, notes: map[string]any{}}
	err = f.Decode(&pairing, o, &Output{
		Emit:    func(r *Record) { got.of[r.Sender] = append(got.of[r.Sender], r.Fields["text"].(string)) },
		Count:   func(reason string, n uint64) { got.counts[reason] += n },
		Packets: func(n uint64) { got.packets += n },
		Note:    func(key string, v any) { got.notes[key] = v },
	})
	return got, err
}

// TestSendersNeverMix: whatever lies between the datagrams of a sender, its
// frames are what it alone would give, under its name.
func TestSendersNeverMix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addresses := []string{"10.0.0.2:700", "10.0.0.3:700", "10.0.0.4:9"}
		names := []string{"10.0.0.2", "10.0.0.3", "10.0.0.4"}
		want := map[string][]string{}
		next := make([]int, len(addresses))
		var all []sent
		for i := range rapid.IntRange(2, 40).Draw(t, "datagrams") {
			k := rapid.IntRange(0, len(addresses)-1).Draw(t, "sender")
			text := fmt.Sprintf("%c%d.", 'a'+k, next[k])
			if n := len(want[names[k]]); next[k]%2 == 0 {
				want[names[k]] = append(want[names[k]], text)
			} else {
				want[names[k]][n-1] += text
			}
			next[k]++
			all = append(all, sent{addresses[k], time.Duration(i) * time.Millisecond, text})
		}
		got, err := decodeSent(t, &Options{}, all)
		if err != nil || !reflect.DeepEqual(got.of, want) || got.packets != uint64(len(all)) || len(got.counts) > 0 {
			t.Fatalf("%v: %+v, want %v", err, got, want)
		}
	})
}

func TestSendersAreNamedAndChosen(t *testing.T) {
	const a, b = "10.0.0.2:700", "10.0.0.3:700"
	two := []sent{{a, 0, "a"}, {b, 0, "x"}, {b, 1, "junk"}, {a, 2, "b"}, {b, 3, "y"}, {"10.0.0.2:701", 4, "imu"}, {"10.0.0.3:701", 4, "imu"}, {"10.0.0.9:5", 5, "junk"}}
	relayed := []sent{{"10.0.0.2:700", 0, "a"}, {"10.0.0.2:701", 0, "x"}, {"10.0.0.2:700", 1, "b"}, {"10.0.0.2:701", 1, "y"}}
	restarted := []sent{{"10.0.0.2:700", 0, "a"}, {"10.0.0.2:700", 1, "b"}, {"10.0.0.2:701", 3 * time.Second, "c"}, {"10.0.0.2:701", 3 * time.Second, "d"}}
	var many []sent
	for i := range 3 * maxFlows {
		many = append(many, sent{fmt.Sprintf("10.0.1.%d:5", i), time.Duration(i), "junk"})
	}
	for i := range maxFlows + 1 {
		for _, half := range []string{"a", "b"} {
			many = append(many, sent{fmt.Sprintf("10.0.2.%d:5", i), time.Second, half})
		}
	}
	for name, c := range map[string]struct {
		in      []sent
		sender  string
		want    map[string][]string
		counts  map[string]uint64
		notes   map[string]any
		packets uint64
		err     string
	}{
		"two": {in: two, want: map[string][]string{"10.0.0.2": {"ab"}, "10.0.0.3": {"xy"}}, counts: map[string]uint64{"bad": 2}, packets: 4,
			notes: map[string]any{"10.0.0.2": map[string]any{"imu_packets": 1}, "10.0.0.3": map[string]any{"imu_packets": 1}, "senders_of_nothing_decoded": map[string]uint64{"10.0.0.9:5": 1}}},
		"one of two": {in: two, sender: "10.0.0.3", want: map[string][]string{"10.0.0.3": {"xy"}}, packets: 2,
			counts: map[string]uint64{"bad": 1, OutcomeOtherSender: 1 + 1 + 1}, notes: map[string]any{"imu_packets": 1}},
		"one that is not there": {in: two, sender: "10.0.0.5", want: map[string][]string{}, err: "10.0.0.2, 10.0.0.3"},
		"two through one relay": {in: relayed, want: map[string][]string{"10.0.0.2": {"ab"}, "10.0.0.2:701": {"xy"}}, packets: 4},
		"the relay's second":    {in: relayed, sender: "10.0.0.2:701", want: map[string][]string{"10.0.0.2:701": {"xy"}}, packets: 2, counts: map[string]uint64{OutcomeOtherSender: 1}},
		"switched off and on":   {in: restarted, want: map[string][]string{"10.0.0.2": {"ab", "cd"}}, packets: 4},
		"more than are told apart": {in: many, packets: 2 * maxFlows, counts: map[string]uint64{"bad": 3 * maxFlows, OutcomeSenderLimit: 2}, want: func() map[string][]string {
			m := map[string][]string{}
			for i := range maxFlows {
				m[fmt.Sprintf("10.0.2.%d", i)] = []string{"ab"}
			}
			return m
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeSent(t, &Options{Sender: c.sender}, c.in)
			if c.err != "" {
				if !errors.Is(err, ErrNoSender) || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %s", err, c.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got.of, c.want) || got.packets != c.packets {
				t.Errorf("%v: %d packets, %v; want %d, %v", err, got.packets, got.of, c.packets, c.want)
			}
			if len(got.counts)+len(c.counts) > 0 && !reflect.DeepEqual(got.counts, c.counts) {
				t.Errorf("counts %v, want %v", got.counts, c.counts)
			}
			if c.notes != nil && !reflect.DeepEqual(got.notes, c.notes) {
				t.Errorf("notes %v, want %v", got.notes, c.notes)
			}
		})
	}
}
