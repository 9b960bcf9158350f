package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/setting"
)

// httpServer serves on one port, which it gives up when it stops or another one takes
// over.
type httpServer struct {
	key      string // of the configuration
	srv      *http.Server
	port     net.Listener // as it was opened
	listener net.Listener // the connections of it that are taken
	handler  atomic.Pointer[handling]
	open     sync.WaitGroup // requests, feeds among them

	left chan struct{} // closed when another one has taken over
	keep bool          // then: its feeds go on until their viewers leave; written before
}

// handling is what a server answers with, until another handler takes over.
type handling struct {
	http.Handler
	ctx context.Context
	end context.CancelFunc
}

// answer lets the requests that come now go to a handler. With end, those that are
// open at the one before are ended.
func (s *httpServer) answer(h http.Handler, end bool) {
	ctx, cancel := context.WithCancel(context.Background())
	if old := s.handler.Swap(&handling{h, ctx, cancel}); old != nil && end {
		old.end()
	}
}

// ServeHTTP implements http.Handler.
func (s *httpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.open.Add(1)
	defer s.open.Done()
	h := s.handler.Load()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)() //nolint:contextcheck // both end the request
	h.ServeHTTP(w, r.WithContext(ctx))
}

// leave gives the port up at once. Feeds end, or with keep go on until their viewers
// leave.
func (s *httpServer) leave(keep bool) {
	s.keep = keep
	close(s.left)
	_ = s.port.Close() // nobody else closes it before
}

// run serves until ctx ends or the server has left, then gives open requests a
// moment. Viewers' WebSockets end with their requests' contexts.
func (s *httpServer) run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.srv.BaseContext = func(net.Listener) context.Context { return base }
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		failed <- s.srv.Serve(s.listener)
	}()
	keep, left := false, false
	select {
	case err := <-failed:
		select {
		case <-s.left: // which closed the port
		default:
			return fmt.Errorf("%s: %w", s.key, err)
		}
		keep, left = s.keep, true
	case <-s.left:
		keep, left = s.keep, true
	case <-ctx.Done():
	}
	if !keep {
		cancel()
	}
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer done()
	if err := s.srv.Shutdown(stop); err != nil {
		_ = s.srv.Close() // what is still open was told to leave; feeds that are kept are no longer its own
	}
	if err := <-failed; !left && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if keep {
		idle := make(chan struct{})
		go func() {
			defer close(idle)
			s.open.Wait()
		}()
		select {
		case <-idle:
		case <-ctx.Done():
		}
	}
	return nil
}

// samePort reports whether somebody listens on the port of an address.
func samePort(at net.Addr, address string) bool {
	t, ok := at.(*net.TCPAddr)
	_, port, err := setting.SplitAddress(address)
	return ok && err == nil && t.Port == port
}

// listenBeside opens an address on the port of a listener that is there on another
// host, such as 127.0.0.1 beside 0.0.0.0, which the system refuses unless both agree.
// They agree for that moment only.
func listenBeside(old net.Listener, address string) (net.Listener, error) {
	agree := func(c syscall.RawConn, yes int) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, yes) }), err)
	}
	t, ok := old.(*net.TCPListener)
	if !ok {
		return nil, syscall.EADDRINUSE
	}
	c, err := t.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err = agree(c, 1); err != nil {
		return nil, err
	}
	with := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return agree(c, 1) }}
	l, err := with.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, errors.Join(err, agree(c, 0))
	}
	own, err := l.(*net.TCPListener).SyscallConn()
	if err = errors.Join(err, agree(c, 0)); err == nil {
		err = agree(own, 0)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// httpPort is where one server serves after another: a reload moves, opens and closes
// it.
type httpPort struct {
	mu     sync.Mutex
	now    *httpServer // nil: nothing serves
	serve  func(*httpServer)
	closed bool // the daemon stops
}

// replace lets another server serve, or none. The one before leaves; see leave. It
// does not wait for it.
func (p *httpPort) replace(next *httpServer, keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		next.discard()
		return
	}
	old := p.now
	p.now = next
	switch {
	case p.serve == nil: // not yet
		old.discard()
		return
	case next != nil:
		p.serve(next)
	}
	if old != nil {
		old.leave(keep)
	}
}

// discard closes the port of a server that has not run; there may be none.
func (s *httpServer) discard() {
	if s != nil {
		_ = s.listener.Close() // nothing was accepted
	}
}

// run lets the servers serve until ctx ends, or one of them fails.
func (p *httpPort) run(ctx context.Context) error {
	all, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var running sync.WaitGroup
	failed := make(chan error, 1)
	p.mu.Lock()
	p.serve = func(s *httpServer) {
		running.Go(func() {
			if err := s.run(all); err != nil {
				select {
				case failed <- err:
				default: // one is enough
				}
			}
		})
	}
	if p.now != nil {
		p.serve(p.now)
	}
	p.mu.Unlock()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	end()
	running.Wait()
	if err == nil {
		select {
		case err = <-failed:
		default:
		}
	}
	return err
}
