package camera

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/internal/testenv"
	"posefuse/sensors"
)

// clockSink is a sink whose clock runs.
type clockSink struct {
	*testSink
	start time.Time
}

func newClockSink() clockSink {
	s := clockSink{newTestSink(), time.Now()}
	s.samples = make(chan *sensors.Sample, 10_000)
	return s
}
func (s clockSink) NowNS() int64 { return int64(time.Since(s.start)) + 1 }

// total is the number of pictures that were counted.
func (s clockSink) total() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := uint64(len(s.samples))
	for _, c := range s.counts {
		n += c
	}
	return n
}

// seesAll finds a person in every picture, and tells how large it is.
func seesAll(sizes chan<- image.Point) Detector {
	return detectFunc(func(img image.Image) (Detection, error) {
		if sizes != nil {
			sizes <- img.Bounds().Size()
		}
		return somebody(), nil
	})
}

// mjpegSource is a source of a URL that looks at every picture.
func mjpegSource(cfg MJPEGConfig) *VideoSource {
	src := cfg.Source("camera").(*VideoSource)
	src.Detector, src.EveryPicture = seesAll(nil), true
	return src
}

// stream sends pictures as a well-behaved camera does, each at once.
func stream(w http.ResponseWriter, pictures ...[]byte) {
	w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
	for _, p := range pictures {
		_, _ = fmt.Fprintf(w, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(p), p)
		_ = http.NewResponseController(w).Flush()
	}
}

// serve starts a web server of a test.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// TestMJPEGAnswers: what a camera may answer, and what becomes of it.
func TestMJPEGAnswers(t *testing.T) {
	small, large := encodeJPEG(t, gradient(16, 16)), encodeJPEG(t, gradient(640, 480))
	bare := without(t, without(t, small, markDHT), markEOI)
	raw := func(answer string) http.HandlerFunc { // an answer in the server's own words
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}
	typed := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{kind}
			_, _ = io.WriteString(w, body)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
	}
	const ended = "the camera ended the stream"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		sizes  []image.Point
		cut    uint64 // pictures that are not whole
		want   string // the error
	}{
		"a stream whose size changes": {func(w http.ResponseWriter, _ *http.Request) { stream(w, small, large, small) }, []image.Point{{16, 16}, {640, 480}, {16, 16}}, 0, ended},
		"HTTP 1.0":                    {raw("HTTP/1.0 200 OK\nContent-Type: multipart/x-mixed-replace;boundary=--b\n\n--b\nContent-Type: image/jpeg\n\n" + string(bare) + "\n--b\n\n" + string(small)), []image.Point{{16, 16}, {16, 16}}, 0, ended},
		"no type, no length":          {raw("HTTP/1.0 200 OK\r\n\r\n" + string(small) + string(large)), []image.Point{{16, 16}, {640, 480}}, 0, ended},
		"the connection breaks":       {raw("HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\nContent-Length: 9999\r\n\r\n--b\r\n\r\n" + string(small[:len(small)-50])), nil, 1, "the connection broke"},
		"the stream is empty":         {func(w http.ResponseWriter, _ *http.Request) { stream(w) }, nil, 0, ended},
		"a page":                      {typed("text/html; charset=utf-8", "<img src=/video.mjpg>"), nil, 0, "url: URL: the answer is a web page (text/html), no picture: give the address of the snapshot or of the motion JPEG itself, not of the page around it (for H.264 take the driver ffmpeg)"},
		"a film":                      {typed("video/mp4", "...."), nil, 0, "url: URL: the answer is of the type video, no picture: give"},
		"a type that is a novel":      {typed("text/"+strings.Repeat("x", 500), ""), nil, 0, "url: URL: the answer is of the type text, no picture: give"},
		"an empty snapshot":           {typed("image/jpeg", ""), nil, 0, "url: URL: the answer holds no JPEG; give the address of a snapshot or of motion JPEG"},
		"403":                         {status(403), nil, 0, "user: URL: the camera forbids this (403); allow its user to see live pictures, in the camera's settings"},
		"404":                         {status(404), nil, 0, "url: URL: the camera has nothing at this path (404); its manual names the path of its motion JPEG or snapshot"},
		"400":                         {status(400), nil, 0, "url: URL: the camera answers 400 instead of pictures; open the address in a browser to see what it wants"},
		"503":                         {status(503), nil, 0, "URL: the camera has trouble of its own (503); restart it if that does not pass"},
		"no HTTP":                     {raw("RTSP/1.0 400 Bad Request\r\n\r\n"), nil, 0, "url: URL: the answer is not HTTP; check port, and http or https"},
		"a picture without HTTP":      {raw(string(small)), nil, 0, "url: URL: the answer is not HTTP"},
		"no answer":                   {raw(""), nil, 0, "URL: the camera closed the connection without an answer"},
		"redirected for ever":         {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, nil, 0, "url: URL: redirected, or asked to log in, again and again"},
		"redirected to nowhere": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "ftp://x/")
			w.WriteHeader(301)
		}, nil, 0, "url: URL: redirected to what is no web address"},
		"redirected": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v" {
				http.Redirect(w, r, "v?x=1", http.StatusTemporaryRedirect)
				return
			}
			stream(w, small)
		}, []image.Point{{16, 16}}, 0, ended},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, c.answer)
			sizes := make(chan image.Point, 100)
			src, sink := mjpegSource(MJPEGConfig{URL: server.URL + "/?secret=1"}), newClockSink()
			src.Detector = seesAll(sizes)
			err := src.Run(t.Context(), sink)
			shown := server.URL + "/?..."
			if err == nil || !strings.HasPrefix(strings.ReplaceAll(strings.ReplaceAll(err.Error(), shown, "URL"), "URL: "+c.want, c.want), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			close(sizes)
			i := 0
			for got := range sizes {
				if i >= len(c.sizes) || got != c.sizes[i] {
					t.Errorf("picture %d is %v, want %v", i, got, c.sizes)
				}
				i++
			}
			if i != len(c.sizes) || sink.counts[string(ImageCut)] != c.cut || sink.total() != uint64(i)+c.cut {
				t.Errorf("%d pictures, %d samples, counts %v; want %v", i, len(sink.samples), sink.counts, c.sizes)
			}
		})
	}
}

// TestMJPEGSnapshots: a single picture is asked for again, at the rate and over
// the same connection, and may have the camera's stamp.
func TestMJPEGSnapshots(t *testing.T) {
	picture := encodeJPEG(t, gradient(16, 16))
	var connections, asked atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("X-Timestamp", fmt.Sprintf("%d.500000", n))
		body := picture
		if n%2 == 0 { // in chunks, so without a length
			body = picture[:200]
			defer func() { _, _ = w.Write(picture[200:]) }()
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(picture)))
		}
		_, _ = w.Write(body)
		_ = http.NewResponseController(w).Flush()
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	src, sink := mjpegSource(MJPEGConfig{URL: server.URL, MaxRateHz: 100}), newClockSink()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	begun := time.Now()
	go func() { done <- src.Run(ctx, sink) }()
	var last int64
	for n := range uint64(10) {
		x := sink.sample(t)
		if x.Seq != n || !x.HasDevice || x.DeviceNS != int64(n+1)*1e9+5e8 || x.ReceiveNS <= last {
			t.Errorf("sample %d: %+v", n, x)
		}
		last = x.ReceiveNS
	}
	if took := time.Since(begun); took < 90*time.Millisecond {
		t.Errorf("ten pictures at 100 a second within %v", took)
	}
	cancel()
	if err := testenv.Receive(t, "the end", done); err != nil {
		t.Error(err)
	}
	if connections.Load() != 1 {
		t.Errorf("%d connections for %d pictures", connections.Load(), asked.Load())
	}
}

// TestMJPEGRates: a fast camera is thinned out, one picture a minute is enough
// to be looked at; the pictures' time is when they began.
func TestMJPEGRates(t *testing.T) {
	picture := encodeJPEG(t, gradient(16, 16))
	for name, c := range map[string]struct {
		period time.Duration
		n      int
		want   int
	}{
		"60 a second":  {time.Second / 60, 600, 150},
		"one a minute": {time.Minute, 5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				go func() {
					for range c.n {
						_, _ = fmt.Fprintf(w, "--b\r\nContent-Length: %d\r\n\r\n%s", len(picture), picture[:20])
						time.Sleep(c.period / 2) // on the way
						_, _ = w.Write(picture[20:])
						time.Sleep(c.period - c.period/2)
					}
					_ = w.Close()
				}()
				g := newMJPEGGrabber(&MJPEGConfig{})
				src := &VideoSource{name: "camera", maxHz: 15, Detector: seesAll(nil), grabber: grabFunc(func(_ context.Context, in *intake) error {
					_, err := g.read(r, &mjpegSplitter{limit: maxImageBytes}, in, 0, func() {})
					return err
				})}
				sink := newClockSink()
				if err := src.Run(t.Context(), sink); !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				if got := len(sink.samples); got < c.want || got > c.want+2 || int(sink.total()) != c.n {
					t.Errorf("%d samples of %d pictures, counts %v, want %d", got, c.n, sink.counts, c.want)
				}
				for range len(sink.samples) {
					x := <-sink.samples
					if at := int64(x.Seq) * int64(c.period); x.ReceiveNS < at || x.ReceiveNS > at+int64(c.period/4) {
						t.Errorf("picture %d came at %v, want %v", x.Seq, time.Duration(x.ReceiveNS), time.Duration(at))
					}
				}
			})
		})
	}
}

// TestMJPEGSilence: a camera that says nothing more, or nothing at all, is an
// error that says so.
func TestMJPEGSilence(t *testing.T) {
	picture := encodeJPEG(t, gradient(16, 16))
	for name, answer := range map[string]func(w http.ResponseWriter){
		"no answer":       func(http.ResponseWriter) {},
		"only its header": func(w http.ResponseWriter) { stream(w) },
		"then nothing":    func(w http.ResponseWriter) { stream(w, picture, picture) },
		"half a picture":  func(w http.ResponseWriter) { stream(w, picture, picture, picture[:100]) },
	} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				answer(w)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-over:
				case <-r.Context().Done():
				}
			})
			defer close(over)
			src, sink := mjpegSource(MJPEGConfig{URL: server.URL}), newClockSink()
			src.grabber.(*mjpegGrabber).silence = 300 * time.Millisecond
			err := src.Run(t.Context(), sink)
			if err == nil || err.Error() != server.URL+": no picture for 300ms" || sensors.NextStep(err) != sensors.CheckPower {
				t.Errorf("got %v; %s", err, sensors.NextStep(err))
			}
		})
	}
}

// TestMJPEGUnreachable: nobody there, and a host that there is not.
func TestMJPEGUnreachable(t *testing.T) {
	for url, want := range map[string][2]string{
		"http://" + testenv.FreeAddr(t): {"connection refused", "check the sensor's power, cable and address"},
		"http://camera.invalid/":        {"camera.invalid", "check the name of the host in the setting, and that this machine is on the sensor's network"},
	} {
		err := mjpegSource(MJPEGConfig{URL: url}).Run(t.Context(), newClockSink())
		if err == nil || !strings.Contains(err.Error(), want[0]) || sensors.NextStep(err) != want[1] {
			t.Errorf("%s: %v; %s", url, err, sensors.NextStep(err))
		}
	}
}
