package pipeline

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"posefuse/message"
	"posefuse/pipeline/bus"
	"posefuse/sensors"
	"posefuse/setting"
)

// httpServer serves page, API, health and metrics.
type httpServer struct {
	srv      *http.Server
	listener net.Listener
}

// listen opens the port, so that a taken one is an error at start.
func (c *Core) listen(b *bus.Bus) (*httpServer, error) {
	l, err := net.Listen("tcp", c.cfg.Web.Listen)
	if err != nil {
		return nil, setting.ListenError("web.listen", c.cfg.Web.Listen, err)
	}
	addr := l.Addr().String()
	c.web.Store(&addr)
	mux := http.NewServeMux()
	c.routes(mux)
	if c.opt.Page != nil {
		mux.Handle("/", c.viewers.bound(c.opt.Page(b.Conn(), c.cfg.Room), maxViewers))
	}
	limit := &connLimit{Listener: l, max: maxHTTPConns, perAddress: maxHTTPPerAddress}
	c.httpCut.Store(&limit.cut)
	in := net.Listener(limit)
	names := func() []string { return nil }
	network := c.cfg.Web.network()
	if network {
		in, names = tls.NewListener(limit, b.ServerTLS()), b.CertificateNames
	}
	handler := http.Handler(mux)
	if c.opt.Guard != nil {
		handler = c.opt.Guard(b, network)(handler)
	}
	return &httpServer{listener: in, srv: &http.Server{
		Handler:           fromHere(handler, names),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      httpWriteLimit, // feeds have their own
		IdleTimeout:       httpIdleLimit,
		MaxHeaderBytes:    16 << 10,
		ConnState:         connState,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}}, nil
}

func (c *Core) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if c.stalled() {
			http.Error(w, c.stallText(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok") // a client that left is no error
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case c.ticks.progress.poses.Load() == 0:
			http.Error(w, "no pose was published yet", http.StatusServiceUnavailable)
		case c.ticks.engine.Load() == nil:
			http.Error(w, "no model is loaded; set model.path", http.StatusServiceUnavailable)
		case c.stalled():
			http.Error(w, c.stallText(), http.StatusServiceUnavailable)
		case c.blind():
			http.Error(w, "no sensor is live, so poses carry no joints; see /api/status", http.StatusServiceUnavailable)
		default:
			_, _ = fmt.Fprintln(w, "ok")
		}
	})
	mux.Handle("GET /metrics", &snapshot{make: promhttp.HandlerFor(c.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP})
	if c.picture != nil {
		mux.HandleFunc("GET /api/camera.jpg", c.picture.serve)
	}
	mux.Handle("GET /api/status", &snapshot{make: func(w http.ResponseWriter, _ *http.Request) {
		body, err := json.Marshal(struct {
			message.Status
			Sensors []message.Sensor `json:"sensors"`
		}{c.Status(), c.sensorMessages()})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(body)
	}})
}

// sensorStart is how long sensors may take to start before their absence makes
// the daemon unready.
const sensorStart = 30 * time.Second

// blind reports whether no sensor is live, after the time that they may take.
func (c *Core) blind() bool {
	if c.clock.NowNS() < int64(sensorStart) {
		return false
	}
	for _, s := range c.sensors {
		if s != nil && s.supervisor.Snapshot().State == sensors.Live {
			return false
		}
	}
	return true
}

// fromHere refuses requests for other host names, and those that a page of another
// origin makes its browser send.
func fromHere(next http.Handler, names func() []string) http.Handler {
	return ownNames(http.NewCrossOriginProtection().Handler(next), names)
}

// ownNames refuses requests for other host names than localhost, plain addresses
// and those of the certificate: a page elsewhere could make its own name point
// here and read the poses (DNS rebinding).
func ownNames(next http.Handler, names func() []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, port, err := net.SplitHostPort(host); err == nil && strings.Trim(port, "0123456789") == "" {
			host = h
		}
		if host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil && !slices.Contains(names(), strings.ToLower(host)) {
			http.Error(w, "use the address or localhost, not a host name", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// run serves until ctx ends, then gives open requests a moment. Viewers'
// WebSockets end with their requests' contexts.
func (s *httpServer) run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.srv.BaseContext = func(net.Listener) context.Context { return base }
	failed := make(chan error, 1)
	go func() { failed <- s.srv.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("web.listen: %w", err)
	case <-ctx.Done():
	}
	cancel()
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer done()
	if err := s.srv.Shutdown(stop); err != nil {
		_ = s.srv.Close() // what is still open was told to leave
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
