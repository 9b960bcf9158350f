package pipeline

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"

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

// listenFoxglove opens the port for Foxglove's programs, so that a taken one is an
// error before anything serves. It has no handler yet.
func (c *Core) listenFoxglove(w *WebConfig) (*httpServer, error) {
	l, err := net.Listen("tcp", w.Foxglove)
	if err != nil {
		return nil, setting.ListenError("web.foxglove", w.Foxglove, err)
	}
	in := &connLimit{Listener: l, max: maxHTTPPerAddress, perAddress: maxHTTPPerAddress, cut: new(atomic.Uint64)}
	return c.newServer("web.foxglove", l, in), nil
}

// foxgloveHandler returns what that port serves to programs, and to pages of some
// origins.
func (c *Core) foxgloveHandler(b *bus.Bus, origins []string) (http.Handler, error) {
	h, err := c.opt.Foxglove(b.Conn(), c.cfg.Room, origins)
	if err != nil {
		return nil, err
	}
	return ownNames(h, func() []string { return nil }), nil
}
