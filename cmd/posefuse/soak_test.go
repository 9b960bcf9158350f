package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/replay"
	"posefuse/sensors/modality"
)

var (
	soakFor  = flag.Duration("soak", 8*time.Second, "how long TestSoak lasts; make soak takes two hours")
	soakSeed = flag.Uint64("soak-seed", 1, "which faults TestSoak makes, in which order")
)

// TestSoak lets a whole daemon run with faults at random: sensors come and go,
// clients send rubbish, read nothing, leave in the middle, the configuration is
// read again. Poses must come without a gap in seq, and what the daemon holds must
// not grow.
func TestSoak(t *testing.T) {
	testenv.Slow(t)
	r := startDaemon(t, "ouster")
	p := r.subscribeNATS(t)
	s := &soak{room: r, player: r.play(t, recording.Key{Subject: 5, Activity: 12}), random: rand.New(rand.NewPCG(*soakSeed, 0))}
	testenv.Wait(t, "all four sensors are fused", func() bool { return p.latest().Coalition == "RLMW" })
	for range 5 { // what is made once is made
		s.fault()
	}
	s.rest(t)
	before := s.held(t)
	t.Logf("seed %d, at the start: %v", *soakSeed, before)
	told, warm := time.Now(), false
	for end := told.Add(*soakFor); time.Now().Before(end); {
		s.fault()
		time.Sleep(time.Duration(s.random.IntN(400)) * time.Millisecond)
		if time.Since(told) > 5*time.Minute {
			told = time.Now()
			held := s.held(t)
			t.Logf("%d poses, %d faults: %v", len(p.snapshot()), s.faults, held)
			if !warm { // what buffers and the collector take they have taken by now
				const memory = "process_resident_memory_bytes"
				before[memory], warm = held[memory], true
			}
		}
	}
	s.rest(t)
	after := s.held(t)
	t.Logf("%d poses, %d faults, at the end: %v", len(p.snapshot()), s.faults, after)
	p.check(t, "NATS")
	// A garbage collector's slack, connections that close, threads that sleep.
	for what, slack := range map[string]float64{"process_resident_memory_bytes": 48 << 20, "process_open_fds": 12, "go_goroutines": 24} {
		if after[what] > before[what]+slack {
			t.Errorf("%s grew from %.0f to %.0f", what, before[what], after[what])
		}
	}
}

// soak makes faults in a room.
type soak struct {
	*room
	player *replay.Player
	random *rand.Rand
	out    [modality.Count]bool // sensors that are gone
	open   []net.Conn           // clients that read nothing
	faults int
}

// fault makes the next one.
func (s *soak) fault() {
	s.faults++
	switch s.random.IntN(7) {
	case 0, 1:
		m := modality.Kind(s.random.IntN(int(modality.Count)))
		if s.out[m] = !s.out[m]; s.out[m] {
			s.player.Stop(m)
		} else {
			s.player.Start(m)
		}
	case 2:
		s.rubbish()
	case 3: // reads nothing
		if c, err := net.Dial("tcp", s.anyPort()); err == nil {
			_, _ = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
			s.open = append(s.open, c)
		}
	case 4: // leaves in the middle
		for _, c := range s.open {
			_ = c.Close()
		}
		s.open = nil
	case 5:
		_ = s.cmd.Process.Signal(syscall.SIGHUP)
	case 6:
		resp, err := http.Post("http://"+s.web+"/api/status", "text/plain", bytes.NewReader(make([]byte, s.random.IntN(1<<16))))
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}

func (s *soak) anyPort() string {
	ports := []string{s.nats, s.mqtt, s.web, s.csi, s.camera}
	return ports[s.random.IntN(len(ports))]
}

// rubbish is random bytes on one of the ports.
func (s *soak) rubbish() {
	network, address := "tcp", s.anyPort()
	if s.random.IntN(3) == 0 {
		network, address = "udp", s.ouster
	}
	c, err := net.Dial(network, address)
	if err != nil {
		return
	}
	b := make([]byte, 1+s.random.IntN(4096))
	for i := range b {
		b[i] = byte(s.random.Uint32())
	}
	_, _ = c.Write(b)
	_ = c.Close()
}

// rest ends all faults and waits until every sensor is back and clients are gone.
func (s *soak) rest(t *testing.T) {
	t.Helper()
	for m, gone := range s.out {
		if gone {
			s.player.Start(modality.Kind(m))
			s.out[m] = false
		}
	}
	for _, c := range s.open {
		_ = c.Close()
	}
	s.open = nil
	testenv.Wait(t, "all four sensors are live again", func() bool {
		resp, err := http.Get("http://" + s.web + "/metrics")
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		return err == nil && strings.Count(liveLines(string(text)), "} 1\n") == int(modality.Count)
	})
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(2 * time.Second)
}

func liveLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "posefuse_sensor_live{") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// holding is what a process has, by metric.
type holding map[string]float64

// String says it for people.
func (h holding) String() string {
	return fmt.Sprintf("%.0f MiB, %.0f descriptors, %.0f goroutines", h["process_resident_memory_bytes"]/(1<<20), h["process_open_fds"], h["go_goroutines"])
}

func (s *soak) held(t *testing.T) holding {
	t.Helper()
	resp, err := http.Get("http://" + s.web + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := holding{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			if f, err := strconv.ParseFloat(value, 64); err == nil {
				h[name] = f
			}
		}
	}
	return h
}
