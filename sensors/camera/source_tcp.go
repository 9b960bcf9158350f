package camera

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
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

// TCPSource listens on the keypoint port. The port belongs to one writer: the
// first that sends a good line, until it leaves or sends none for the idle
// time. Others are refused meanwhile; what sends no good line holds nothing. It
// implements sensors.Source.
type TCPSource struct {
	name string
	cfg  *TCPConfig
	idle time.Duration
}

// maxCandidates is how many connections may be open that have sent no good line
// yet; the oldest gives way.
const maxCandidates = 8

// tcpRun is one run of the source: its receiver and its active writer.
type tcpRun struct {
	idle time.Duration
	sink sensors.Sink

	mu         sync.Mutex
	recv       receiver
	writer     net.Conn  // nil: nobody has sent a good line
	last       time.Time // when the writer sent its newest good line
	candidates []net.Conn
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

// take lets conn show what it sends, unless a writer is at work.
func (r *tcpRun) take(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writer != nil && time.Since(r.last) < r.idle {
		return false
	}
	if len(r.candidates) == maxCandidates {
		r.sink.Count("second_writer", 1)
		_ = r.candidates[0].Close()
		r.candidates = slices.Delete(r.candidates, 0, 1)
	}
	r.candidates = append(r.candidates, conn)
	return true
}

// promote makes a candidate the writer and reports whether conn is it.
func (r *tcpRun) promote(conn net.Conn) bool {
	if r.writer != conn {
		if r.writer != nil && time.Since(r.last) < r.idle {
			r.sink.Count("second_writer", 1)
			return false
		}
		if r.writer != nil {
			r.sink.Count("idle_writer", 1)
			_ = r.writer.Close()
		}
		r.forget(conn)
		r.writer = conn
	}
	r.last = time.Now()
	return true
}

// forget drops conn from the candidates.
func (r *tcpRun) forget(conn net.Conn) {
	r.candidates = slices.DeleteFunc(r.candidates, func(c net.Conn) bool { return c == conn })
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
		r.forget(conn)
		r.mu.Unlock()
	}()
	in := bufio.NewReaderSize(sensors.GuardHTTP(conn), MaxLineBytes+1)
	skipping := false // inside a line that was too long
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, sensors.ErrHTTP) {
			r.sink.Count(sensors.OutcomeHTTP, 1)
			return
		}
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

// line hands a line on; false ends the connection, for another one writes.
func (r *tcpRun) line(conn net.Conn, line []byte) bool {
	receiveNS := r.sink.NowNS()
	m, ok := decodeLine(r.sink, line)
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok && !r.promote(conn) {
		return false
	}
	if r.writer == conn {
		receiveNS = sensors.Heard(r.sink, &sensors.Raw{Transport: sensors.Record, AtNS: receiveNS, Data: line})
	}
	if !ok {
		return true
	}
	r.recv.take(r.sink, receiveNS, &m)
	return true
}
