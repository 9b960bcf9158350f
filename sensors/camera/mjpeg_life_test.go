package camera

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// descriptors is the number of files this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestMJPEGCameraComesAndGoes many times, each time in another way, and leaves
// nothing behind.
func TestMJPEGCameraComesAndGoes(t *testing.T) {
	cycles := 10
	if testenv.Full() {
		cycles = 100
	}
	picture := encodeJPEG(t, gradient(16, 16))
	addr := testenv.FreeAddr(t)
	src := mjpegSource(MJPEGConfig{URL: "http://" + addr})
	samples := make(chan struct{}, 100)
	sup := sensors.NewSupervisor("camera", modality.Camera, src, sensors.SupervisorConfig{}, newClockSink(), func(*sensors.Sample) {
		select {
		case samples <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var slowest time.Duration
	goroutines, files := 0, 0
	for i := range cycles + 1 {
		if i == 1 { // all that is made once is there
			goroutines, files = runtime.NumGoroutine(), descriptors(t)
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		plugged := time.Now()
		var conns sync.WaitGroup
		conns.Go(func() { cameraOf(ln, picture, i, &conns) })
		if i == 0 {
			go func() { defer close(done); _ = sup.Run(ctx) }()
		}
		for len(samples) > 0 {
			<-samples
		}
		testenv.Receive(t, "a sample", samples)
		slowest = max(slowest, time.Since(plugged))
		_ = ln.Close()
		conns.Wait()
		testenv.Wait(t, "the source's failure", func() bool { return sup.Snapshot().State == sensors.Down })
	}
	testenv.Wait(t, "goroutines and descriptors as before", func() bool {
		return runtime.NumGoroutine() <= goroutines && descriptors(t) <= files
	})
	t.Logf("back after at most %v", slowest)
	if x := sup.Snapshot(); x.Outcomes[sensors.OutcomeSample] < uint64(cycles) || x.In < x.Outcomes[sensors.OutcomeSample] {
		t.Errorf("%+v", x)
	}
	cancel()
	testenv.Receive(t, "the end", done)
}

// cameraOf serves two pictures to each who comes, then breaks off in one of
// three ways, until its listener is closed.
func cameraOf(ln net.Listener, picture []byte, way int, conns *sync.WaitGroup) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		conns.Go(func() {
			defer func() { _ = c.Close() }()
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")
			for range 2 {
				_, _ = fmt.Fprintf(c, "--b\r\nContent-Length: %d\r\n\r\n%s\r\n", len(picture), picture)
			}
			switch way % 3 {
			case 1:
				_, _ = c.Write(picture[:100])
			case 2:
				_ = c.(*net.TCPConn).SetLinger(0) // a reset
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// TestMJPEGKeepsNoPicture: no picture's bytes reach an error, a counter's name,
// a sample or a file, whatever a camera does with them.
func TestMJPEGKeepsNoPicture(t *testing.T) {
	const marker = "PRIVATE-PICTURE"
	picture := insert(t, encodeJPEG(t, gradient(16, 16)), markSOF0, "\xff\xfe\x00\x11"+marker)
	folder := t.TempDir()
	t.Chdir(folder)
	t.Setenv("TMPDIR", filepath.Join(folder))
	var way atomic.Int64
	ways := []func(w http.ResponseWriter, r *http.Request){
		func(w http.ResponseWriter, _ *http.Request) { stream(w, picture, picture[:300], picture) },
		func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", string(picture)) },
		func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/"+marker) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://"+marker+"\x7f")
			w.WriteHeader(302)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", marker)
			w.WriteHeader(401)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = w.Write(picture)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = conn.Write(picture)
				_ = conn.Close()
			}
		},
		func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 "+marker+"\r\n\r\n")
				_ = conn.Close()
			}
		},
	}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { ways[way.Load()](w, r) })
	for i := range ways {
		way.Store(int64(i))
		src, sink := mjpegSource(MJPEGConfig{URL: server.URL, User: "u"}), newClockSink()
		err := src.Run(t.Context(), sink)
		if err == nil {
			t.Fatalf("way %d: no error", i)
		}
		seen := fmt.Sprint(err, sensors.NextStep(err), sink.counts)
		for range len(sink.samples) {
			seen += fmt.Sprintf("%+v %+v", *<-sink.samples, somebody())
		}
		if strings.Contains(strings.ToLower(seen), strings.ToLower(marker)) || strings.Contains(seen, "JFIF") {
			t.Errorf("way %d: %s", i, seen)
		}
	}
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("wrote %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
