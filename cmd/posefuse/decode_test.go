package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// decodeSummary is what posefuse decode --summary prints.
type decodeSummary struct {
	Format, Sensor     string
	Frames, Packets    uint64
	Points, CSI        uint64
	Rejected           map[string]uint64
	SumX               float64 `json:"sum_x"`
	SumY               float64 `json:"sum_y"`
	SumRe              float64 `json:"sum_re"`
	SumIm              float64 `json:"sum_im"`
	Senders            map[string]uint64
	First, Time, Notes map[string]any
}

func summarise(t *testing.T, c decodeCmd) (s decodeSummary) {
	t.Helper()
	var out bytes.Buffer
	c.Summary = true
	if err := c.Run(&out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("%v in\n%s", err, out.Bytes())
	}
	return s
}

// TestDecodeCSI: the format is told from the file, and counts and sums are
// those of SOURCES.md and README.md beside the files.
func TestDecodeCSI(t *testing.T) {
	for file, want := range map[string]decodeSummary{
		"captures/csi-nexmon/example_43455c0.pcap":       {Format: "nexmon", Frames: 566, Packets: 566, SumRe: 2971376, SumIm: -22886065},
		"captures/csi-nexmon/40mhz_1600085286.pcap":      {Format: "nexmon", Frames: 81, Packets: 81, SumRe: -488247, SumIm: -3013672},
		"captures/csi-nexmon/test_pi.pcap":               {Format: "nexmon", Frames: 20, Packets: 20, SumRe: 246040, SumIm: -528012},
		"captures/csi-nexmon/example_4339_first300.pcap": {Format: "nexmon", Frames: 100, Packets: 300},
		"captures/csi-nexmon/example_4358.pcap":          {Format: "nexmon", Frames: 1, Packets: 4},
		"captures/csi-atheros/ath_csi_1.dat":             {Format: "atheros", Frames: 401, Packets: 401, First: map[string]any{"sum_re": 4826.0, "sum_im": -3870.0}},
		"captures/csi-atheros/sample_bigEndian.dat":      {Format: "atheros", Frames: 16, Packets: 16, Rejected: map[string]uint64{"junk_bytes": 1}},
		"captures/csi-intel5300/log.all_csi.6.7.6.dat":   {Format: "intel5300", Frames: 29, Packets: 29},
		"captures/csi-intel5300/walk_1597159688.dat":     {Format: "intel5300", Frames: 401, Packets: 401, Rejected: map[string]uint64{"cut_record": 1}},
		"captures/csi-intel5300/sample_0x1_ap.dat":       {Format: "intel5300", Frames: 540, Packets: 540},
		"captures/csi-esp32/example_100hz_pitraffic.csv": {Format: "esp32", Frames: 833, Packets: 833,
			Rejected: map[string]uint64{"bad_length": 1, "other_line": 1}, Notes: map[string]any{"sum_of_all_printed_values": 26859.0}},
		"captures/csi-esp32/example_csi.csv":  {Format: "esp32", Frames: 13, Packets: 13, Notes: map[string]any{"sum_of_all_printed_values": 1409.0}},
		"captures/csi-feitcsi/HT20_2452.csi":  {Format: "feitcsi", Frames: 48, Packets: 48, First: map[string]any{"sum_re": 943.0, "sum_im": 179.0}},
		"captures/csi-feitcsi/HT40_2452.csi":  {Format: "feitcsi", Frames: 34, Packets: 34, First: map[string]any{"sum_re": -525.0, "sum_im": 251.0}},
		"captures/csi-feitcsi/VHT80_5500.csi": {Format: "feitcsi", Frames: 40, Packets: 40, First: map[string]any{"sum_re": -952.0, "sum_im": -71.0}},
		"inputs/sensors/ath_split_csi.dat":    {Format: "atheros", Frames: 24, Packets: 24, Rejected: map[string]uint64{"no_csi": 21, "bad_record": 21}},
		"inputs/sensors/ath_two_chains.dat":   {Format: "atheros", Frames: 40, Packets: 40},
		"inputs/sensors/nex_pi_onecore.pcap":  {Format: "nexmon", Frames: 20, Packets: 20},
		"inputs/sensors/nex_dead.pcap": {Format: "nexmon", Frames: 20, Packets: 60,
			Notes: map[string]any{"dead_antennas": []any{"core 1 stream 0", "core 2 stream 0"}}},
		"inputs/sensors/nex_sll2.pcap":       {Format: "nexmon", Frames: 20, Packets: 60},
		"inputs/sensors/nex_frag.pcap":       {Format: "nexmon", Frames: 20, Packets: 60},
		"inputs/sensors/nex_ethernet.pcapng": {Format: "nexmon", Frames: 20, Packets: 60},
		"inputs/sensors/nex_twomacs.pcap":    {Format: "nexmon", Frames: 40, Packets: 120, Senders: map[string]uint64{"02:00:00:00:00:07": 20, "02:00:00:00:00:09": 20}},
	} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := summarise(t, decodeCmd{File: testenv.Shared(t, file), Format: "auto"})
			if want.Rejected == nil {
				want.Rejected = map[string]uint64{}
			}
			if got.Format != want.Format || got.Sensor != "csi" || got.Frames != want.Frames || got.Packets != want.Packets ||
				!reflect.DeepEqual(got.Rejected, want.Rejected) || got.CSI == 0 || got.First == nil || got.Time["span_s"] == nil {
				t.Errorf("%+v, want %+v", got, want)
			}
			for key, v := range want.First {
				if got.First[key] != v {
					t.Errorf("first %s is %v, want %v", key, got.First[key], v)
				}
			}
			for key, v := range want.Notes {
				if !reflect.DeepEqual(got.Notes[key], v) {
					t.Errorf("note %s is %v, want %v", key, got.Notes[key], v)
				}
			}
			if want.Senders != nil && !reflect.DeepEqual(got.Senders, want.Senders) {
				t.Errorf("senders %v, want %v", got.Senders, want.Senders)
			}
			if want.SumRe != 0 && (got.SumRe != want.SumRe || got.SumIm != want.SumIm) {
				t.Errorf("sums %v, %v, want %v, %v", got.SumRe, got.SumIm, want.SumRe, want.SumIm)
			}
		})
	}
}

// TestDecodeLines: without --summary there is a JSON object per frame with all
// values in it.
func TestDecodeLines(t *testing.T) {
	var out bytes.Buffer
	if err := (decodeCmd{File: testenv.Shared(t, "captures/csi-atheros/sample_bigEndian.dat"), Format: "atheros"}).Run(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 16 {
		t.Fatalf("%d lines, want 16", len(lines))
	}
	var line struct {
		Frame  int
		TimeNS int64 `json:"time_ns"`
		CSI    [][2]float64
	}
	if err := json.Unmarshal([]byte(lines[15]), &line); err != nil {
		t.Fatal(err)
	}
	if line.Frame != 15 || line.TimeNS != 2955341650000 || len(line.CSI) != 56*3*2 {
		t.Errorf("frame %d at %d ns with %d values", line.Frame, line.TimeNS, len(line.CSI))
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("hello, this is a text about nothing in particular\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	atheros := testenv.Shared(t, "captures/csi-atheros/ath_csi_1.dat")
	ouster := testenv.Shared(t, "captures/lidar-ouster/OS-1-32-G_v2.1.1_1024x10.pcap")
	for name, c := range map[string]struct {
		cmd  decodeCmd
		want []string
	}{
		"no such file":    {decodeCmd{File: "nowhere.pcap", Format: "auto"}, []string{"nowhere.pcap"}},
		"unknown format":  {decodeCmd{File: text, Format: "sonar"}, []string{"--format sonar", "nexmon", "atheros"}},
		"no format":       {decodeCmd{File: text, Format: "auto"}, []string{text, "68 65 6c 6c 6f", "--format"}},
		"empty":           {decodeCmd{File: empty, Format: "auto"}, []string{"empty"}},
		"wrong format":    {decodeCmd{File: atheros, Format: "nexmon"}, []string{"packet captures", "looks like Atheros", "--format atheros"}},
		"wrong datagrams": {decodeCmd{File: ouster, Format: "nexmon"}, []string{"nothing was decoded as nexmon", "other_traffic", "--format ouster"}},
		"no metadata":     {decodeCmd{File: ouster, Format: "auto"}, []string{"ouster", "--metadata", "api/v1/sensor/metadata"}},
		"lost metadata":   {decodeCmd{File: ouster, Format: "auto", Metadata: "nowhere.json"}, []string{"--metadata", "nowhere.json"}},
		"needs none":      {decodeCmd{File: atheros, Format: "auto", Metadata: text}, []string{"needs no metadata", text}},
	} {
		var out bytes.Buffer
		err := c.cmd.Run(&out)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", name, err, w)
			}
		}
	}
}
