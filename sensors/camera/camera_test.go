package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

func TestMain(m *testing.M) {
	if film := os.Getenv(helperFilm); film != "" {
		playUntilKilled(film)
	}
	goleak.VerifyTestMain(m)
}

type testSink struct {
	mu      sync.Mutex
	samples chan *sensors.Sample
	counts  map[string]uint64
}

func newTestSink() *testSink {
	return &testSink{samples: make(chan *sensors.Sample, 64), counts: map[string]uint64{}}
}
func (s *testSink) Emit(x *sensors.Sample) { s.samples <- x }
func (s *testSink) NowNS() int64           { return 42 }
func (s *testSink) Count(o string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[o] += n
}

func (s *testSink) await(t *testing.T, outcome string, n uint64) {
	t.Helper()
	testenv.Wait(t, fmt.Sprintf("%d of %s", n, outcome), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.counts[outcome] == n
	})
}

func (s *testSink) sample(t *testing.T) *sensors.Sample {
	t.Helper()
	return testenv.Receive(t, "a sample", s.samples)
}

func message(seq uint64) *Message {
	m := &Message{CaptureNS: 1_700_000_000_000_000_000 + int64(seq)*1e8, Seq: seq}
	m.Keypoints.Width, m.Keypoints.Height = 640, 480
	for i := range 17 {
		m.Keypoints.XY[i] = [2]float64{float64(i) * 10.25, 100}
		m.Keypoints.Score[i] = 0.5
	}
	return m
}

func encode(t testing.TB, m *Message) []byte {
	t.Helper()
	b, err := Encode(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Message{CaptureNS: rapid.Int64Min(0).Draw(t, "ns"), Seq: rapid.Uint64().Draw(t, "seq")}
		k := &in.Keypoints
		k.Others = rapid.Bool().Draw(t, "others")
		k.Width, k.Height = rapid.IntRange(1, MaxImageSide).Draw(t, "w"), rapid.IntRange(1, MaxImageSide).Draw(t, "h")
		for i := range 17 {
			k.XY[i][0] = rapid.Float64Range(-float64(k.Width), 2*float64(k.Width)).Draw(t, "x")
			k.XY[i][1] = rapid.Float64Range(-float64(k.Height), 2*float64(k.Height)).Draw(t, "y")
			k.Score[i] = rapid.Float64Range(0, 1).Draw(t, "s")
		}
		b, err := Encode(nil, &in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := Decode(b)
		if err != nil || out != in {
			t.Fatalf("%v\n%+v\n%+v", err, out, in)
		}
	})
}

func TestDecode(t *testing.T) {
	points := strings.TrimSuffix(strings.Repeat("[1,2,0.5],", 17), ",")
	line := func(head, kp string) string {
		return fmt.Sprintf(`{%s"seq":1,"width":640,"height":480,"keypoints":[%s]}`, head, kp)
	}
	m, err := Decode([]byte(line(`"capture_time":"2026-11-23T20:15:00.123456789+01:00","new":1,`, points)))
	want := time.Date(2026, 11, 23, 19, 15, 0, 123456789, time.UTC).UnixNano()
	if err != nil || m.CaptureNS != want {
		t.Fatalf("%v %d, want %d", err, m.CaptureNS, want)
	}
	ns := `"capture_ns":5,`
	swap := func(s string) string { return strings.Replace(points, "[1,2,0.5]", s, 1) }
	if m, err := Decode([]byte(line(ns, swap("[1,2,1.18]")))); err != nil || m.Keypoints.Score[0] != 1 || m.Keypoints.Score[1] != 0.5 {
		t.Errorf("a score above 1: %v, %v", err, m.Keypoints.Score)
	}
	for name, c := range map[string]struct {
		line string
		want Reason
	}{
		"empty":       {"", BadJSON},
		"cut":         {line(ns, points)[:50], BadJSON},
		"array":       {"[]", BadJSON},
		"two":         {line(ns, points) + "{}", BadJSON},
		"nan":         {line(ns, swap("[NaN,1,1]")), BadJSON},
		"text":        {line(ns, swap(`["1",1,1]`)), BadJSON},
		"overflow":    {line(ns, swap("[1e999,1,1]")), BadJSON},
		"huge":        {line(ns, swap("[1e300,1,1]")), BadValue},
		"outside":     {line(ns, swap("[1,961,1]")), BadValue},
		"score":       {line(ns, swap("[1,2,10.01]")), BadValue},
		"minus score": {line(ns, swap("[1,2,-0.01]")), BadValue},
		"null":        {line(ns, swap("null")), BadCount},
		"null number": {line(ns, swap("[1,null,1]")), BadCount},
		"pair":        {line(ns, swap("[1,2]")), BadCount},
		"16":          {line(ns, points[10:]), BadCount},
		"18":          {line(ns, points+",[1,1,1]"), BadCount},
		"no time":     {line("", points), BadTime},
		"both times":  {line(ns+`"capture_time":"2026-11-23T20:15:00Z",`, points), BadTime},
		"bad time":    {line(`"capture_time":"today",`, points), BadTime},
		"far time":    {line(`"capture_time":"9999-11-23T20:15:00Z",`, points), BadTime},
		"minus time":  {line(`"capture_ns":-5,`, points), BadTime},
		"size":        {strings.Replace(line(ns, points), "640", "0", 1), BadSize},
		"long":        {strings.Repeat(" ", MaxLineBytes+1), LineLimit},
	} {
		_, err := Decode([]byte(c.line))
		var d *DecodeError
		if !errors.As(err, &d) || d.Reason != c.want || d.Detail == "" {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, message(1)))
	f.Add([]byte(`{"capture_time":"2026-11-23T20:15:00Z","keypoints":[null]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		if _, err := Encode(nil, &m); err != nil {
			t.Fatalf("decoded what cannot be encoded: %v", err)
		}
	})
}

// TestScoresAboveOne: the lines of a detector that does not normalise its scores
// are samples, through the driver; the scores count as 1.
func TestScoresAboveOne(t *testing.T) {
	addr := testenv.FreeAddr(t)
	src := (&TCPConfig{Listen: addr}).Source("camera")
	sink := newTestSink()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx, sink) }()
	var conn net.Conn
	testenv.Wait(t, "the port", func() (ok bool) {
		var err error
		conn, err = net.Dial("tcp", addr)
		return err == nil
	})
	lines := bytes.SplitAfter(testenv.ReadShared(t, "inputs/sensors", "keypoints_scores_above_one.jsonl"), []byte("\n"))
	n := 0
	for _, line := range lines {
		if len(line) == 0 {
			continue
		}
		n++
		if _, err := conn.Write(line); err != nil {
			t.Fatal(err)
		}
		for i, s := range sink.sample(t).Keypoints.Score {
			if !(s > 0 && s <= 1) {
				t.Errorf("line %d: keypoint %d has the score %g", n, i, s)
			}
		}
	}
	if n != 40 {
		t.Errorf("%d lines, want 40", n)
	}
	_ = conn.Close()
	cancel()
	if err := testenv.Receive(t, "the end of the driver", done); err != nil {
		t.Error(err)
	}
}

func TestTCPSource(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	src := &TCPSource{name: "camera", cfg: &TCPConfig{Listen: addr}, idle: time.Hour}
	sink := newTestSink()
	if err := src.Run(t.Context(), sink); !errors.Is(err, setting.ErrInUse) || !strings.Contains(err.Error(), addr) || !strings.HasPrefix(err.Error(), "listen: ") {
		t.Fatalf("port in use: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- src.serve(ctx, ln, sink) }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := dial()
	if _, err := first.Write(append(append([]byte("{}\n\n"), encode(t, message(1))...), strings.Repeat("x", 3*MaxLineBytes)+"\n"...)); err != nil {
		t.Fatal(err)
	}
	x := sink.sample(t)
	if x.Seq != 1 || x.DeviceNS != message(1).CaptureNS || !x.HasDevice || x.ReceiveNS != 42 || *x.Keypoints != message(1).Keypoints || x.Modality != modality.Camera {
		t.Errorf("%+v", x)
	}
	sink.await(t, string(BadTime), 1)
	sink.await(t, string(LineLimit), 1)
	second := dial()
	sink.await(t, "second_writer", 1)
	_ = second.Close()
	// After the long line, the writer goes on; it reconnects in mid-line.
	_, _ = first.Write(append(encode(t, message(2)), "{\"cap"...))
	if x := sink.sample(t); x.Seq != 2 || x.Restarted {
		t.Errorf("%+v", x)
	}
	_ = first.Close()
	sink.await(t, "cut_line", 1)
	var third net.Conn
	for until := time.Now().Add(testenv.Patience); time.Now().Before(until); { // the first writer's reader may still be closing
		third = dial()
		m := message(3)
		m.CaptureNS = 7
		_, _ = third.Write(encode(t, m))
		select {
		case x := <-sink.samples:
			if x.Seq != 3 || !x.Restarted {
				t.Errorf("%+v", x)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			_ = third.Close()
			return
		case <-time.After(100 * time.Millisecond):
			_ = third.Close()
		}
	}
	t.Fatal("the writer could not come back")
}

// The port belongs to whoever sends good lines: neither a connection that only
// came first nor one that sends rubbish holds it.
func TestOnlyGoodLinesHoldThePort(t *testing.T) {
	sink := newTestSink()
	r := &tcpRun{idle: time.Minute, sink: sink}
	conns := make([]net.Conn, 4)
	for i := range conns {
		var far net.Conn
		conns[i], far = net.Pipe()
		defer func() { _ = far.Close() }()
	}
	holder, honest, second, next := conns[0], conns[1], conns[2], conns[3]
	good := encode(t, message(1))
	for _, c := range []net.Conn{holder, honest, second} {
		if !r.take(c) {
			t.Fatal("a connection that sent nothing yet keeps others out")
		}
	}
	if !r.line(holder, []byte("x")) || !r.line(honest, good) {
		t.Fatal("the first good line does not take the port")
	}
	if r.line(second, good) || r.take(next) {
		t.Error("two writers at once")
	}
	r.last = r.last.Add(-time.Hour)
	if !r.line(honest, []byte("x")) || !r.take(next) || !r.line(next, good) {
		t.Error("a writer that sends nothing good any more keeps the port")
	}
	if _, err := honest.Write([]byte("x")); err == nil {
		t.Error("the replaced writer is still connected")
	}
	if r.line(honest, good) {
		t.Error("a line of the replaced writer was taken")
	}
	if n := len(r.candidates); n != 2 {
		t.Errorf("%d candidates, want the holder and the second", n)
	}
	for range 2 * maxCandidates {
		c, far := net.Pipe()
		defer func() { _ = far.Close() }()
		r.last = time.Now().Add(-time.Hour)
		r.take(c)
	}
	if n := len(r.candidates); n != maxCandidates {
		t.Errorf("%d candidates, want at most %d", n, maxCandidates)
	}
}

// What a web page's browser sends ends the connection, however long its request
// line is, and nothing of its body is taken.
func TestHTTPIsNoWriter(t *testing.T) {
	for _, head := range []string{"POST / HTTP/1.1\r\n", "PUT /" + strings.Repeat("a", 2*MaxLineBytes) + " HTTP/1.1\r\n", "GET "} {
		sink := newTestSink()
		r := &tcpRun{idle: time.Minute, sink: sink}
		near, far := net.Pipe()
		r.take(near)
		ended := make(chan struct{})
		go func() { defer close(ended); r.read(t.Context(), near) }()
		_, _ = far.Write(append([]byte(head+"Host: x\r\n\r\n"), encode(t, message(1))...)) // it is cut
		testenv.Receive(t, "the end of the connection", ended)
		_ = far.Close()
		sink.await(t, sensors.OutcomeHTTP, 1)
		if len(sink.samples) > 0 {
			t.Errorf("%.10s: taken", head)
		}
	}
}

func TestPushSource(t *testing.T) {
	s := newPushSource("camera")
	if err := s.Push(nil); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
	sink := newTestSink()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, sink) }()
	testenv.Wait(t, "a running source", func() bool { return s.Push(encode(t, message(9))) == nil })
	if x := sink.sample(t); x.Seq != 9 || x.Sensor != "camera" {
		t.Errorf("%+v", x)
	}
	if err := s.Push([]byte("x")); err != nil || sink.counts[string(BadJSON)] != 1 {
		t.Error(err, sink.counts)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Push(nil); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
}
