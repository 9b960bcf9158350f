package pipeline

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"posefuse/message"
	"posefuse/pipeline/bus"
	"posefuse/sensors"
	"posefuse/setting"
)

// listenPage opens the port of page, API, health and metrics, so that a taken one
// is an error before anything serves. It has no handler yet.
// Where the page before has the same port on another host, both have it until that
// one leaves.
func (c *Core) listenPage(b *bus.Bus, w *WebConfig) (*httpServer, error) {
	l, err := net.Listen("tcp", w.Listen)
	if before := c.pages.page.now; before != nil && errors.Is(err, syscall.EADDRINUSE) && samePort(before.port.Addr(), w.Listen) {
		l, err = listenBeside(before.port, w.Listen)
	}
	if err != nil {
		return nil, setting.ListenError("web.listen", w.Listen, err)
	}
	in := net.Listener(&connLimit{Listener: l, max: maxHTTPConns, perAddress: maxHTTPPerAddress, cut: &c.httpCut})
	if w.network() {
		in = tls.NewListener(in, b.ServerTLS())
	}
	s := c.newServer("web.listen", l, in)
	s.srv.WriteTimeout = httpWriteLimit // feeds have their own
	return s, nil
}

// newServer returns a server on the port of a key, which takes connections of in.
func (c *Core) newServer(key string, port, in net.Listener) *httpServer {
	s := &httpServer{key: key, port: port, listener: in, left: make(chan struct{})}
	s.srv = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       httpIdleLimit,
		MaxHeaderBytes:    16 << 10,
		ConnState:         connState,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	return s
}

// pageHandler returns what the page's port serves: always the same page, behind a
// guard for whether others than this machine reach it and whether there are users.
// While neither changes it is the same guard, so that who has signed in stays so.
func (c *Core) pageHandler(b *bus.Bus, network bool) http.Handler {
	p := &c.pages
	if p.mux == nil {
		p.mux = http.NewServeMux()
		c.routes(p.mux)
		if c.opt.Page != nil {
			p.mux.Handle("/", c.viewers.bound(c.opt.Page(b.Conn(), c.cfg.Room), maxViewers))
		}
	}
	if users := b.HasUsers(); p.handler == nil || p.network != network || p.users != users {
		p.network, p.users, p.handler = network, users, p.mux
		if c.opt.Guard != nil {
			p.handler = c.opt.Guard(b, network)(p.mux)
		}
		names := func() []string { return nil }
		if network {
			names = b.CertificateNames
		}
		p.handler = fromHere(p.handler, names)
	}
	return p.handler
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
		mux.HandleFunc("GET /api/camera.jpg", func(w http.ResponseWriter, r *http.Request) {
			if !c.ShowsImage() {
				http.NotFound(w, r)
				return
			}
			c.picture.serve(w, r)
		})
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
