package csi

import (
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"posefuse/internal/testenv"
	"posefuse/sensors"
)

// tellingCollector also keeps findings.
type tellingCollector struct {
	*collector
	found map[string]sensors.Finding
}

func newTellingCollector() tellingCollector {
	return tellingCollector{newCollector(), map[string]sensors.Finding{}}
}

// Tell implements the part of a sink that takes findings.
func (c tellingCollector) Tell(f sensors.Finding) {
	c.mu.Lock()
	c.found[f.Code] = f
	c.mu.Unlock()
}

// TestReceivers runs recordings of receivers of every number of antennas and
// cores through the driver with its default settings: all of it that is data
// becomes samples of the model's shape, and what is not is named.
func TestReceivers(t *testing.T) {
	for name, c := range map[string]struct {
		file     string
		edit     func(*NexmonConfig)
		samples  int
		measured int // antennas
		counts   map[string]uint64
		found    map[string]string // by code, a part of the text
	}{
		"one core": {file: "inputs/sensors/nex_pi_onecore.pcap", samples: 20, measured: 1, found: map[string]string{"antennas": "1 of the model's 3 antennas, the others are zero"}},
		"dead cores": {file: "inputs/sensors/nex_dead.pcap", samples: 20, measured: 1, counts: map[string]uint64{OutcomeDeadAntenna: 40},
			found: map[string]string{"dead_antenna": "antennas 1, 2 of 3", "antennas": "1 of the model's 3"}},
		"two senders": {file: "inputs/sensors/nex_twomacs.pcap", samples: 20, measured: 3, counts: map[string]uint64{OutcomeOtherSender: 20},
			found: map[string]string{"two_senders": "02:00:00:00:00:09"}},
		"sender chosen": {file: "inputs/sensors/nex_twomacs.pcap", edit: func(c *NexmonConfig) { c.MAC = "02:00:00:00:00:09" }, samples: 20, measured: 3,
			counts: map[string]uint64{OutcomeOtherMAC: 20}},
		"cooked v2":        {file: "inputs/sensors/nex_sll2.pcap", samples: 20, measured: 3},
		"fragments":        {file: "inputs/sensors/nex_frag.pcap", samples: 20, measured: 3, counts: map[string]uint64{"fragment": 60}},
		"pcapng":           {file: "inputs/sensors/nex_ethernet.pcapng", samples: 20, measured: 3},
		"Raspberry Pi":     {file: "captures/csi-nexmon/test_pi.pcap", samples: 20, measured: 1, found: map[string]string{"tones": "242"}},
		"Raspberry Pi new": {file: "captures/csi-nexmon/40mhz_1600085286.pcap", samples: 81, measured: 1},
		"Nexus 5":          {file: "captures/csi-nexmon/example_4339_first300.pcap", samples: 100, measured: 1, counts: map[string]uint64{OutcomeOtherPart: 200}},
		"Nexus 6P":         {file: "captures/csi-nexmon/example_4358.pcap", samples: 1, measured: 2, counts: map[string]uint64{OutcomeOtherPart: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := NewNexmonConfig()
			cfg.PcapFile = testenv.Shared(t, c.file)
			if c.edit != nil {
				c.edit(cfg)
			}
			if found := cfg.Check(); len(found) > 0 {
				t.Fatal(found)
			}
			sink := newTellingCollector()
			synctest.Test(t, func(t *testing.T) { // recorded pace
				if err := cfg.Source("csi").Run(t.Context(), sink); !errors.Is(err, io.EOF) {
					t.Error(err)
				}
			})
			if c.counts == nil {
				c.counts = map[string]uint64{}
			}
			if len(sink.samples) != c.samples || !reflect.DeepEqual(sink.counts, c.counts) {
				t.Errorf("%d samples, counts %v, want %d, %v", len(sink.samples), sink.counts, c.samples, c.counts)
			}
			for _, s := range sink.samples {
				if s.CSI.Antennas != ModelAntennas || s.CSI.Subcarriers != ModelTones || len(s.CSI.H) != ModelAntennas*ModelTones || s.CSI.Measured != c.measured {
					t.Fatalf("sample of %d x %d, %d measured, want %d", s.CSI.Antennas, s.CSI.Subcarriers, s.CSI.Measured, c.measured)
				}
			}
			for code, text := range c.found {
				if f, ok := sink.found[code]; !ok || !strings.Contains(f.Text, text) {
					t.Errorf("finding %s is %+v, want %q in it", code, f, text)
				}
			}
		})
	}
}

// TestAtherosReceivers does so with logs of the Atheros tool.
func TestAtherosReceivers(t *testing.T) {
	for file, c := range map[string]struct {
		samples, measured int
		counts            map[string]uint64
	}{
		"inputs/sensors/ath_split_csi.dat":          {24, 3, map[string]uint64{"no_csi": 21, OutcomeBadRecord: 21}},
		"inputs/sensors/ath_two_chains.dat":         {40, 2, map[string]uint64{}},
		"captures/csi-atheros/ath_csi_1.dat":        {401, 3, map[string]uint64{}},
		"captures/csi-atheros/sample_bigEndian.dat": {16, 3, map[string]uint64{"junk_bytes": 1}},
	} {
		cfg := NewAtherosConfig()
		cfg.Path = testenv.Shared(t, file)
		sink := newTellingCollector()
		if err := cfg.Source("csi").Run(t.Context(), sink); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", file, err)
		}
		if len(sink.samples) != c.samples || !reflect.DeepEqual(sink.counts, c.counts) {
			t.Errorf("%s: %d samples, counts %v, want %d, %v", file, len(sink.samples), sink.counts, c.samples, c.counts)
		}
		for _, s := range sink.samples {
			if s.CSI.Measured != c.measured || s.CSI.Subcarriers != ModelTones || !s.HasDevice {
				t.Fatalf("%s: %d antennas, %d tones", file, s.CSI.Measured, s.CSI.Subcarriers)
			}
		}
	}
}

// TestWrongFormatIsNamed: a driver that is given another tool's data says which.
func TestWrongFormatIsNamed(t *testing.T) {
	run := func(src sensors.Source) (tellingCollector, error) {
		sink := newTellingCollector()
		return sink, src.Run(t.Context(), sink)
	}
	nexmon := NewNexmonConfig()
	nexmon.PcapFile = testenv.Shared(t, "captures/csi-atheros/ath_csi_1.dat")
	if _, err := run(nexmon.Source("csi")); err == nil || !strings.Contains(err.Error(), "set driver to atheros") {
		t.Errorf("a log given to nexmon: %v", err)
	}
	atheros := NewAtherosConfig()
	atheros.Path = testenv.Shared(t, "captures/csi-nexmon/test_pi.pcap")
	sink, _ := run(atheros.Source("csi"))
	if f := sink.found["wrong_format"]; !strings.Contains(f.Text, "set driver to nexmon") {
		t.Errorf("a packet capture given to atheros: %+v, %v", f, sink.counts)
	}
}

// stage returns an output that collects.
func stage(rule string) (*output, tellingCollector) {
	sink := newTellingCollector()
	return &output{name: "csi", rule: rule, resample: true, sink: sink}, sink
}

// received is a packet whose values differ from packet to packet.
func received(i, antennas int, tones []int) *reception {
	r := &reception{receiveNS: int64(i+1) * 1e7, tones: tones, h: randomH(uint64(i), antennas*len(tones), 400)}
	for a := range antennas {
		r.names = append(r.names, a)
	}
	return r
}

func TestAntennaRules(t *testing.T) {
	for _, rule := range []string{AntennasRepeat, AntennasZero, AntennasAbsent} {
		for antennas := 1; antennas <= 4; antennas++ {
			o, sink := stage(rule)
			r := received(1, antennas, AtherosTones(114))
			o.receive(r)
			if antennas < 3 && rule == AntennasAbsent {
				if len(sink.samples) != 0 || sink.counts[OutcomeFewAntennas] != 1 || sink.found["antennas"].Note {
					t.Errorf("%s, %d antennas: %d samples, %v, %+v", rule, antennas, len(sink.samples), sink.counts, sink.found)
				}
				continue
			}
			if len(sink.samples) != 1 {
				t.Fatalf("%s, %d antennas: counts %v", rule, antennas, sink.counts)
			}
			p := sink.samples[0].CSI
			for a := range ModelAntennas {
				want := make([]complex64, 114)
				switch {
				case a < antennas:
					want = r.row(a)
				case rule == AntennasRepeat:
					want = r.row(a % antennas)
				}
				if !reflect.DeepEqual(p.H[a*114:(a+1)*114], want) {
					t.Errorf("%s, %d antennas: antenna %d differs", rule, antennas, a)
				}
			}
			if p.Measured != min(antennas, 3) {
				t.Errorf("%s: %d measured of %d", rule, p.Measured, antennas)
			}
		}
	}
}

// TestWhatNeverChanges: antennas and tones that do not measure are found, named
// and not taken for data; a channel that stands still as a whole is data.
func TestWhatNeverChanges(t *testing.T) {
	tones := NexmonTones(64)
	o, sink := stage(AntennasRepeat)
	const n = 150
	for i := range n {
		r := received(i, 3, tones)
		for k := range tones {
			r.h[len(tones)+k] = complex(float32(k), 7) // antenna 1 is frozen
		}
		for k := 48; k < 56; k++ {
			r.h[k] = 35600 // tones +21 to +28 of antenna 0
		}
		r.h[10] = 900 // tone -18
		o.receive(r)
	}
	if f := sink.found["dead_antenna"]; !strings.Contains(f.Text, "antenna 1 of 3") {
		t.Errorf("dead antenna: %+v", f)
	}
	if f := sink.found["constant_tones"]; !strings.Contains(f.Text, "-18, +21 to +28 of antenna 0") {
		t.Errorf("constant tones: %+v", f)
	}
	last := sink.samples[n-1].CSI
	for _, v := range last.H[:2*ModelTones] {
		if math.Hypot(float64(real(v)), float64(imag(v))) > 800 {
			t.Fatalf("%v is left of what never changes", v)
		}
	}
	if last.Measured != 2 || sink.counts[OutcomeDeadAntenna] == 0 {
		t.Errorf("%d measured, %v", last.Measured, sink.counts)
	}

	o, sink = stage(AntennasRepeat)
	for i := range n {
		r := received(1, 3, tones)
		r.receiveNS = int64(i) * 1e7
		o.receive(r)
	}
	if len(sink.samples) != n || len(sink.counts) > 0 || sink.found["dead_antenna"].Code != "" || sink.found["constant_tones"].Code != "" {
		t.Errorf("a channel that stands still: %d samples, %v, %v", len(sink.samples), sink.counts, sink.found)
	}

	o, sink = stage(AntennasRepeat)
	r := received(1, 2, tones)
	clear(r.h)
	o.receive(r)
	if len(sink.samples) != 0 || sink.counts[OutcomeAllDead] != 1 {
		t.Errorf("zeros alone: %d samples, %v", len(sink.samples), sink.counts)
	}
}

// TestSendersAreNotMixed: of several senders one is followed, the busiest in
// the end, and another after it fell silent.
func TestSendersAreNotMixed(t *testing.T) {
	a, b, c := mac{2, 0, 0, 0, 0, 1}, mac{2, 0, 0, 0, 0, 2}, mac{2, 0, 0, 0, 0, 3}
	var s senders
	taken := map[mac]int{}
	last, switches := mac{}, 0
	hear := func(from mac, ms int64) {
		outcome, switched := s.take(from, ms*1e6)
		if outcome == "" {
			taken[from]++
			if last != (mac{}) && last != from {
				switches++
				if !switched {
					t.Errorf("%v follows %v at %d ms without a word", from, last, ms)
				}
			}
			last = from
		} else if outcome != OutcomeOtherSender {
			t.Errorf("outcome %s", outcome)
		}
	}
	for ms := int64(0); ms < 5000; ms += 10 { // a is first, b has ten times as many
		if ms%100 == 0 {
			hear(a, ms)
		}
		hear(b, ms+1)
	}
	if switches != 1 || last != b || taken[b] < 250 {
		t.Errorf("%d switches, %v", switches, taken)
	}
	if f, ok := s.finding(); !ok || !strings.Contains(f.Text, b.String()+" are used") || !strings.Contains(f.Text, a.String()) {
		t.Errorf("%+v", f)
	}
	hear(c, 5100)
	hear(c, 9000) // b has been silent for 4 s
	if last != c || taken[c] != 1 {
		t.Errorf("after silence %v is followed, %v", last, taken)
	}
	if _, ok := s.finding(); ok {
		hear(c, 10100)
		hear(c, 11200)
		if f, ok := s.finding(); ok {
			t.Errorf("one sender is left: %+v", f)
		}
	}
}

// TestCoresAreLearned: whatever number of cores, together or in turn.
func TestCoresAreLearned(t *testing.T) {
	const ms = int64(1e6)
	all := func(cores ...int) func(i int) []int { return func(int) []int { return cores } }
	for name, c := range map[string]struct {
		cores  func(i int) []int
		frames int
		groups int
		each   int
		lost   []int
		counts counter
	}{
		"one":             {all(0), 30, 30, 1, nil, counter{}},
		"two of four":     {all(1, 3), 30, 30, 2, nil, counter{}},
		"four":            {all(0, 1, 2, 3), 30, 30, 3, nil, counter{OutcomeOtherPart: 30}}, // the model takes three
		"in turn":         {func(i int) []int { return []int{i % 3} }, 30, 28, 3, nil, counter{OutcomeIncomplete: 2}},
		"one lost seldom": {func(i int) []int { return map[bool][]int{true: {0, 2}, false: {0, 1, 2}}[i%10 == 9] }, 30, 27, 3, nil, counter{OutcomeIncomplete: 6}},
		"one dies": {func(i int) []int { return map[bool][]int{true: {0, 1}, false: {0, 1, 2}}[i >= 64] }, 256, 193, 2, []int{2},
			counter{OutcomeIncomplete: 126}},
		"few": {all(0, 1), 2, 2, 2, nil, counter{}},
	} {
		g, counts, out := grouper(t, 0)
		for i := range c.frames {
			for _, core := range c.cores(i) {
				g.Add(int64(i)*10*ms, &NexmonFrame{SequenceCtl: uint16(i+1) << 4, Core: core})
			}
		}
		g.Close()
		if len(*out) != c.groups || !reflect.DeepEqual(counts, c.counts) || !reflect.DeepEqual(g.Lost(), c.lost) {
			t.Errorf("%s: %d groups, %v, lost %v; want %d, %v, %v", name, len(*out), counts, g.Lost(), c.groups, c.counts, c.lost)
			continue
		}
		for i, got := range *out {
			if i > 0 && got.FirstNS <= (*out)[i-1].FirstNS {
				t.Errorf("%s: group %d at %d ns", name, i, got.FirstNS)
			}
		}
		if last := (*out)[len(*out)-1]; len(last.Frames) != c.each {
			t.Errorf("%s: %d antennas, want %d", name, len(last.Frames), c.each)
		}
	}
}
