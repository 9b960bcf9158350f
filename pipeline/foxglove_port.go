package pipeline

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"posefuse/pipeline/bus"
	"posefuse/setting"
)

// checkFoxglove refuses a port that others than this machine reach: the protocol has
// no login.
func (c *WebConfig) checkFoxglove(p *setting.Problems) {
	for i, o := range c.FoxgloveOrigins {
		if u, err := url.Parse(o); err != nil || u.Host == "" || u.Scheme == "" || u.Path != "" || u.RawQuery != "" {
			p.Add(fmt.Sprintf("web.foxglove_origins[%d]", i), "%q is no origin; write for example https://app.foxglove.dev", o)
		}
	}
	if c.Foxglove == "" {
		return
	}
	p.Address("web.foxglove", c.Foxglove)
	if host, _, err := setting.SplitAddress(c.Foxglove); err == nil && !setting.Loopback(host) {
		p.Add("web.foxglove", "%s can be reached from the network, and Foxglove's protocol has no login: listen on 127.0.0.1", c.Foxglove)
	}
}

// addFoxglove adds the stage that serves Foxglove, if it is configured, and opens its
// port, so that a taken one is an error at start.
func (c *Core) addFoxglove(stages []stage, b *bus.Bus) ([]stage, error) {
	if c.cfg.Web.Foxglove == "" || c.opt.Foxglove == nil {
		return stages, nil
	}
	h, err := c.opt.Foxglove(b.Conn(), c.cfg.Room, c.cfg.Web.FoxgloveOrigins)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.cfg.Web.Foxglove)
	if err != nil {
		return nil, setting.ListenError("web.foxglove", c.cfg.Web.Foxglove, err)
	}
	s := &httpServer{listener: &connLimit{Listener: l, max: maxHTTPPerAddress, perAddress: maxHTTPPerAddress}, srv: &http.Server{
		Handler:           ownNames(h, func() []string { return nil }),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       httpIdleLimit,
		MaxHeaderBytes:    16 << 10,
		ConnState:         connState,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}}
	return append(stages, stage{"foxglove", s.run}), nil
}
