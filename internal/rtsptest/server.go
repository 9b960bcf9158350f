// Package rtsptest is an RTSP camera for tests. One connection records a stream
// into it, any number play it, all over TCP. It speaks as the makes whose
// answers are in the captures do, wants a password if told to, and can stall, be
// cut off and be gone.
package rtsptest

import (
	"bufio"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Server is a camera. Its fields are set before it starts.
type Server struct {
	User, Password string // of those who play; no User: everybody may
	Make           Make   // how it speaks

	addr string
	work sync.WaitGroup

	mu        sync.Mutex
	listener  net.Listener
	conns     map[*conn]bool
	recorded  []string // the recorder's description of the video
	stalled   bool
	described int
	refused   int
}

// Start starts a camera on a port of its own, and ends it with the test.
func Start(t testing.TB, s *Server) {
	t.Helper()
	if s.Make.Name == "" {
		s.Make = plain
	}
	s.conns = map[*conn]bool{}
	s.addr = "127.0.0.1:0"
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Vanish()
		s.work.Wait()
	})
}

// URL returns the address of the stream, without user and password.
func (s *Server) URL() string { return "rtsp://" + s.addr + "/live/main" }

func (s *Server) recordURL() string { return "rtsp://" + s.addr + recordPath }

// Described returns how many descriptions were given, and how often somebody was
// refused for want of the right password.
func (s *Server) Described() (given, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.described, s.refused
}

// Speak lets the camera answer as another make from now on. Who plays already
// goes on as before.
func (s *Server) Speak(m Make) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Make, s.described, s.refused = m, 0, 0
}

// Cut breaks the connections of all who play.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if !c.recording {
			_ = c.Close()
		}
	}
}

// Stall stops the pictures and leaves the connections, or goes on.
func (s *Server) Stall(stalled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = stalled
}

// Unplug takes the camera off the network for those who play: connections
// break, and new ones are refused. The recorder stays.
func (s *Server) Unplug() {
	s.mu.Lock()
	_ = s.listener.Close()
	s.mu.Unlock()
	s.Cut()
}

// Plug brings it back at the same address.
func (s *Server) Plug(t testing.TB) {
	t.Helper()
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
}

// Vanish ends everything.
func (s *Server) Vanish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.Close()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *Server) listen() error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.addr = l, l.Addr().String()
	s.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.work.Go(func() { s.serve(c) })
		}
	})
	return nil
}

// conn is one connection.
type conn struct {
	net.Conn
	server    *Server
	recording bool // guarded by the server's mutex, as is playing
	playing   bool
	out       chan []byte // packets for one who plays
	shift     shift       // of the goroutine that relays
	nonce     string
	channel   byte // of the video's packets
}

func (s *Server) serve(nc net.Conn) {
	c := &conn{Conn: nc, server: s, out: make(chan []byte, 1024), nonce: newNonce()}
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	done := make(chan struct{})
	s.work.Go(func() { c.send(done) })
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		close(done)
		_ = nc.Close()
	}()
	in := bufio.NewReaderSize(nc, 1<<16)
	for {
		first, err := in.Peek(1)
		if err != nil {
			return
		}
		if first[0] == '$' {
			packet, readErr := readPacket(in)
			if readErr != nil {
				return
			}
			s.relay(c, packet)
			continue
		}
		r, err := readRequest(in)
		if err != nil {
			return
		}
		answer := c.answer(r)
		select {
		case c.out <- []byte(answer):
		case <-done:
		}
		if r.method == "TEARDOWN" {
			return
		}
	}
}

// send writes answers and packets in their order.
func (c *conn) send(done <-chan struct{}) {
	for {
		select {
		case b := <-c.out:
			if _, err := c.Write(b); err != nil {
				return
			}
		case <-done:
			return
		}
	}
}

// relay hands a packet of the recorder to all who play.
func (s *Server) relay(from *conn, packet []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !from.recording || s.stalled {
		return
	}
	for c := range s.conns {
		if !c.playing {
			continue
		}
		select {
		case c.out <- c.shift.apply(packet, &s.Make, c.channel):
		default:
			_ = c.Close() // takes nothing
		}
	}
}

// port returns the number of the server's port.
func (s *Server) port() string { return s.addr[strings.LastIndexByte(s.addr, ':')+1:] }

// atoi is for numbers of which none is 0.
func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
