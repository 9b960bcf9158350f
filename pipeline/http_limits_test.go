package pipeline

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// closing is a connection that tells when it is closed.
type closing struct {
	net.Conn
	from   net.IP
	closed bool
}

func (c *closing) RemoteAddr() net.Addr { return &net.TCPAddr{IP: c.from} }
func (c *closing) Close() error         { c.closed = true; return nil }

// queued is a listener of connections that are there.
type queued []*closing

func (q *queued) Accept() (net.Conn, error) {
	c := (*q)[0]
	*q = (*q)[1:]
	return c, nil
}
func (q *queued) Close() error   { return nil }
func (q *queued) Addr() net.Addr { return nil }

// The newest gets in; the oldest of the address that has too many pays for it.
func TestNewestConnectionGetsIn(t *testing.T) {
	var come queued
	add := func(ip string) *closing {
		c := &closing{from: net.ParseIP(ip)}
		come = append(come, c)
		return c
	}
	l := &connLimit{Listener: &come, max: 6, perAddress: 3, cut: new(atomic.Uint64)}
	accept := func() net.Conn {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	other := add("10.0.0.1")
	accept()
	var flood []*closing
	for i := range 10 {
		flood = append(flood, add([]string{"127.0.0.1", "127.0.0.2", "::1"}[i%3])) // one machine
		accept()
	}
	open := 0
	for i, c := range flood {
		if !c.closed {
			open++
		}
		if c.closed != (i < 7) {
			t.Errorf("connection %d: closed %v", i, c.closed)
		}
	}
	if open != 3 || other.closed || l.cut.Load() != 7 {
		t.Errorf("%d open, the other's closed %v, %d cut", open, other.closed, l.cut.Load())
	}
	// All together: the oldest of all.
	for i := range 3 {
		add(fmt.Sprint("10.0.1.", i))
		accept()
	}
	if !other.closed || len(l.open) != 6 {
		t.Errorf("the oldest of all is closed: %v; %d open", other.closed, len(l.open))
	}
	// Who leaves, by closing or as a viewer, makes room.
	add("10.0.2.1")
	c := accept()
	n := len(l.open)
	connState(c, http.StateActive)
	if len(l.open) != n {
		t.Error("a request left the count")
	}
	connState(c, http.StateHijacked)
	if err := c.Close(); err != nil || len(l.open) != n-1 {
		t.Errorf("%d open, want %d; %v", len(l.open), n-1, err)
	}
}

func TestSnapshotIsMadeOnceForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		s := &snapshot{make: func(w http.ResponseWriter, r *http.Request) {
			made++
			if r.Header.Get("Accept-Encoding") != "" {
				t.Error("made in one client's form")
			}
			w.Header().Set("Content-Type", "text/x")
			w.WriteHeader(http.StatusTeapot)
			_, _ = fmt.Fprint(w, "body ", made)
		}}
		ask := func() string {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Encoding", "gzip")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			h := w.Header()
			if w.Code != http.StatusTeapot || h.Get("Content-Type") != "text/x" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%d, %v", w.Code, h)
			}
			return w.Body.String()
		}
		for range 100 {
			if got := ask(); got != "body 1" {
				t.Fatal(got)
			}
		}
		time.Sleep(snapshotEvery)
		if got := ask(); got != "body 2" || made != 2 {
			t.Error(got, made)
		}
	})
}

func TestViewersAreBounded(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	var v viewers
	h := v.bound(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { in <- struct{}{}; <-out }), 2)
	ask := func(upgrade string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/ws", nil)
		r.Header.Set("Upgrade", upgrade)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	done := make(chan struct{}, 3)
	for range 2 {
		go func() { ask("websocket"); done <- struct{}{} }()
		<-in
	}
	if w := ask("websocket"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "viewers") {
		t.Errorf("a third viewer: %d, %s", w.Code, w.Body)
	}
	go func() { ask(""); done <- struct{}{} }() // not a viewer
	<-in
	close(out)
	for range 3 {
		<-done
	}
	go func() { ask("websocket"); done <- struct{}{} }()
	<-in
	<-done
	if v.open.Load() != 0 || v.refused.Load() != 1 {
		t.Errorf("%d viewers, %d refused, want 0 and 1", v.open.Load(), v.refused.Load())
	}
}

// Sensors may take a while to start; without any after that the daemon is not
// ready.
func TestBlindAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Config: testConfig(t)})
		if err != nil {
			t.Fatal(err)
		}
		if c.blind() {
			t.Error("unready before the sensors could start")
		}
		time.Sleep(sensorStart)
		if !c.blind() {
			t.Error("ready without a sensor")
		}
	})
}
