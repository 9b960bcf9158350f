package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"posefuse/recording"
	"posefuse/recording/session"
	"posefuse/sensors"
	"posefuse/sensors/lidar"
)

// TestRawSession goes the way of raw bytes, as a user would: recorded by a daemon,
// told of, sent through the drivers again with the same frames bit for bit, and
// exported for other programs.
func TestRawSession(t *testing.T) {
	r := startRoom(t, "ouster", "record: {enabled: true, free_gib: 0, raw: [lidar]}\n")
	live := r.subscribeNATS(t)
	r.play(t, recording.Key{Subject: 1, Activity: 12})
	awaitPose(t, live, 0, "RLMW")
	state := filepath.Join(r.dir, "state")
	ask := []string{"--nats", "nats://" + r.nats}
	for raw, want := range map[string]string{"sonar": `there is no sensor "sonar"`, "lidar,lidar": "lidar comes twice"} {
		if text, code := exits(t, append([]string{"record", "start", "--subject", "P1", "--consent", "--raw", raw}, ask...)...); code != 1 || !strings.Contains(text, want) {
			t.Errorf("--raw %s: exit code %d, %s", raw, code, text)
		}
	}
	record := func(want string, flags ...string) string {
		t.Helper()
		decode[sessionBrief](t, append(append([]string{"record", "start", "--subject", "P1", "--consent"}, flags...), ask...)...)
		awaitRecorded(t, ask, 300)
		s := decode[session.Status](t, append([]string{"record", "status"}, ask...)...)
		if got := strings.Join(s.Raw, ","); got != want {
			t.Errorf("%v: raw bytes of %q, want %q", flags, got, want)
		}
		return decode[sessionBrief](t, append([]string{"record", "stop"}, ask...)...).ID
	}
	none := record("", "--raw", "none")
	byDefault := record("lidar")
	all := record("lidar,radar,csi,camera", "--raw", "lidar,radar,csi,camera")
	for id, want := range map[string]int{none: 0, byDefault: 1, all: 4} {
		c := decode[session.Check](t, "sessions", "verify", id, "--state", state)
		if len(c.RawBytes) != want || c.Torn {
			t.Errorf("%s: %+v", id, c)
		}
	}
	if info := posefuse(t, "sessions", "info", all, "--state", state); !strings.Contains(info, "/lidar/raw") || !strings.Contains(info, "raw bytes") {
		t.Error(info)
	}
	if text := posefuse(t, "sessions", "verify", all, "--state", state); !strings.Contains(text, "of raw bytes") {
		t.Error(text)
	}
	if text, code := exits(t, "replay", none, "--raw", "--fast", "--state", state); code != 1 || !strings.Contains(text, "no raw bytes") {
		t.Errorf("exit code %d, %s", code, text)
	}
	sum := decode[rawSummary](t, "replay", all, "--raw", "--fast", "--state", state)
	if len(sum.Sensors) != 4 {
		t.Errorf("%+v", sum)
	}
	for _, s := range sum.Sensors {
		// What came before the session is not among its bytes: the first frame or two.
		if s.Error != "" || s.Differ != 0 || s.Recorded < 10 || s.Equal < s.Recorded-s.Recorded/5 {
			t.Errorf("%+v", s)
		}
	}
	dir := filepath.Join(state, session.Folder, all)
	rawExports(t, dir)
	spoilt(t, dir, state)
}

// rawExports writes raw bytes as JSON lines and as a capture, and reads that again.
func rawExports(t *testing.T, dir string) {
	t.Helper()
	_, by := readInfo(t, dir)
	jsonl := posefuse(t, "sessions", "export", dir, "--format", "jsonl", "--channel", session.TopicRawRadar)
	if uint64(strings.Count(jsonl, "\n")) != by[session.TopicRawRadar] || !strings.Contains(jsonl, `"transport":"stream"`) || !strings.Contains(jsonl, `"name":"config_file"`) {
		t.Errorf("%d lines, %d messages", strings.Count(jsonl, "\n"), by[session.TopicRawRadar])
	}
	if text, code := exits(t, "sessions", "export", dir, "--format", "pcap", "--channel", session.TopicRawRadar); code != 1 || !strings.Contains(text, "in no packets") {
		t.Errorf("exit code %d, %s", code, text)
	}
	to := filepath.Join(t.TempDir(), "lidar.pcap")
	posefuse(t, "sessions", "export", dir, "--format", "pcap", "--to", to)
	b, err := os.ReadFile(strings.TrimSuffix(to, ".pcap") + ".json")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := lidar.ParseMetadata(b)
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	if _, _, err = session.Visit(dir, session.Part{Topics: []string{session.TopicRawLiDAR}}, func(e *session.Event) error {
		if e.Raw.Transport == sensors.UDP {
			want = append(want, bytes.Clone(e.Raw.Data))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	in, err := pcapgo.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	sweeps, n := 0, 0
	asm := lidar.NewAssembler(meta, func(*lidar.Frame) { sweeps++ }, func(string, uint64) {})
	for ; ; n++ {
		frame, ci, err := in.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		udp, ok := gopacket.NewPacket(frame, in.LinkType(), gopacket.Default).TransportLayer().(*layers.UDP)
		if !ok || n >= len(want) || !bytes.Equal(udp.Payload, want[n]) {
			t.Fatalf("packet %d is not datagram %d of %d", n, n, len(want))
		}
		asm.Add(ci.Timestamp.UnixNano(), udp.Payload)
	}
	if n != len(want) || sweeps < 5 {
		t.Errorf("%d of %d datagrams, %d sweeps", n, len(want), sweeps)
	}
}

// spoilt takes a session's settings away, and exchanges a driver's.
func spoilt(t *testing.T, dir, state string) {
	t.Helper()
	path := filepath.Join(dir, "session.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		driver, settings string
		code             int
		want             string
	}{
		"a driver of another program": {"sonar", "", 1, "none of that name"},
		"settings of another one":     {"livox", "no_such: 1", 1, "no_such"},
		"another driver":              {"livox", "sweep_ms: 100", exitLost, "not decoded as they were recorded"},
	} {
		var i map[string]any
		if err := json.Unmarshal(text, &i); err != nil {
			t.Fatal(err)
		}
		drivers := i["setup"].(map[string]any)["drivers"].(map[string]any)
		drivers["lidar"] = map[string]any{"driver": c.driver, "settings": c.settings}
		b, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, b)
		if out, code := exits(t, "replay", filepath.Base(dir), "--raw", "--fast", "--state", state); code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit code %d, %s", name, code, out)
		}
	}
	writeFile(t, path, text)
}
