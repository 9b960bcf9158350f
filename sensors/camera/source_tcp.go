package camera

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"posefuse/sensors"
	"posefuse/setting"
)

// writerIdle is how long a silent writer keeps the port from others.
const writerIdle = 2 * time.Second

// TCPConfig describes a keypoint port.
type TCPConfig struct {
	Listen string `yaml:"listen"` // TCP address the detector sends to
}

// NewTCPConfig returns the defaults.
func NewTCPConfig() *TCPConfig { return &TCPConfig{Listen: "127.0.0.1:7010"} }

// Check implements sensors.Settings.
func (c *TCPConfig) Check() setting.Problems {
	var p setting.Problems
	p.Address("listen", c.Listen)
	return p
}

// Source implements sensors.Settings.
func (c *TCPConfig) Source(name string) sensors.Source {
	return &TCPSource{name: name, cfg: c, idle: writerIdle}
}

// TCPSource listens on the keypoint port. One writer is served at a time; a
// second one is refused while the first one sends, and takes over once the
// first has gone or been silent for the idle time. It implements
// sensors.Source.
type TCPSource struct {
	name string
	cfg  *TCPConfig
	idle time.Duration
}

// tcpRun is one run of the source: its receiver and its active writer.
type tcpRun struct {
	idle time.Duration
	sink sensors.Sink

	mu     sync.Mutex
	recv   receiver
	writer net.Conn
	last   time.Time // when the writer last sent a whole line
}

// Run listens until ctx ends or the listener fails. It implements
// sensors.Source.
func (s *TCPSource) Run(ctx context.Context, sink sensors.Sink) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // stopped before it could listen
		}
		return setting.ListenError("listen", s.cfg.Listen, err)
	}
	return s.serve(ctx, ln, sink)
}

// serve takes writers from ln, which it closes.
func (s *TCPSource) serve(ctx context.Context, ln net.Listener, sink sensors.Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	var readers sync.WaitGroup
	defer func() {
		cancel()
		stop()
		_ = ln.Close()
		readers.Wait()
	}()
	r := &tcpRun{idle: s.idle, sink: sink, recv: receiver{name: s.name}}
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", s.cfg.Listen, err)
		}
		if !r.take(conn) {
			sink.Count("second_writer", 1)
			_ = conn.Close()
			continue
		}
		readers.Go(func() { r.read(ctx, conn) })
	}
}

// take makes conn the active writer, unless another one is at work.
func (r *tcpRun) take(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writer != nil {
		if time.Since(r.last) < r.idle {
			return false
		}
		r.sink.Count("idle_writer", 1)
		_ = r.writer.Close()
	}
	r.writer, r.last = conn, time.Now()
	return true
}

func (r *tcpRun) read(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		stop()
		_ = conn.Close()
		r.mu.Lock()
		if r.writer == conn {
			r.writer = nil
		}
		r.mu.Unlock()
	}()
	in := bufio.NewReaderSize(conn, MaxLineBytes+1)
	skipping := false // inside a line that was too long
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if len(line) > 0 && !skipping {
				r.sink.Count("cut_line", 1)
			}
			return
		}
		full := err != nil
		switch {
		case full && !skipping:
			r.sink.Count(string(LineLimit), 1)
			skipping = true
		case full:
		case skipping:
			skipping = false
		default:
			if line = bytes.TrimSpace(line); len(line) > 0 && !r.line(conn, line) {
				return
			}
		}
	}
}

// line hands a line on, unless another writer has taken over.
func (r *tcpRun) line(conn net.Conn, line []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writer != conn {
		return false
	}
	r.last = time.Now()
	r.recv.line(r.sink, r.sink.NowNS(), line)
	return true
}
