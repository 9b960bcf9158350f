package pipeline

import (
	"errors"
	"net/http"
	"slices"
	"sync/atomic"

	"posefuse/pipeline/bus"
	"posefuse/setting"
)

// pages are the page and Foxglove on their ports. What is not atomic is of the start,
// and of reloads, which wait for it.
type pages struct {
	page, foxglove httpPort
	url            atomic.Pointer[string] // of the page; nil: it is off
	showImage      atomic.Bool

	mux            *http.ServeMux // page, API, health and metrics
	handler        http.Handler   // mux behind its guard
	network, users bool           // that the guard is for
}

// ShowsImage reports whether the page shows the camera's pictures now.
func (c *Core) ShowsImage() bool { return c.pages.showImage.Load() }

// openPages opens the ports of the configuration, so that a taken one is an error at
// start.
func (c *Core) openPages(b *bus.Bus) error {
	off := c.cfg
	off.Web.Enabled, off.Web.Foxglove = false, ""
	change, err := c.changePages(b, &off, &c.cfg)
	if err != nil {
		return err
	}
	change.apply()
	return nil
}

// webKeys are those of the page and of Foxglove.
var webKeys = []string{"web.enabled", "web.listen", "web.show_image", "web.foxglove", "web.foxglove_origins"}

// pageChange is what a configuration makes of page and Foxglove.
type pageChange struct {
	waiting        []string // keys that a running daemon cannot take over
	page, foxglove *httpServer
	steps          []func()
}

// apply takes over; after it users are those of the configuration.
func (p *pageChange) apply() {
	for _, step := range p.steps {
		step()
	}
}

// drop closes what was opened.
func (p *pageChange) drop() {
	if p != nil {
		p.page.discard()
		p.foxglove.discard()
	}
}

// changePages makes ready for the next configuration's page and Foxglove: ports are
// opened, nothing else changes yet.
func (c *Core) changePages(b *bus.Bus, running, next *Config) (*pageChange, error) {
	p := &pageChange{}
	if err := errors.Join(c.changePage(p, b, running, next), c.changeFoxglove(p, b, running, next)); err != nil {
		p.drop()
		return nil, err
	}
	return p, nil
}

// listen returns where the page is, "" if it is off.
func (c *WebConfig) listen() string {
	if !c.Enabled {
		return ""
	}
	return c.Listen
}

func (c *Core) changePage(p *pageChange, b *bus.Bus, running, next *Config) (err error) {
	was, will := running.Web.listen(), next.Web.listen()
	moves, network := was != will, running.Web.network()
	if moves && will != "" {
		if next.Web.network() && b.ServerTLS() == nil {
			moves = false // the certificates wait
		} else if p.page, err = c.listenPage(b, &next.Web); running.owns(will) && errors.Is(err, setting.ErrInUse) {
			moves, err = false, nil
		}
		if err != nil {
			return err
		}
		if !moves {
			p.waiting = append(p.waiting, "web.enabled", "web.listen")
		}
	}
	if moves {
		network = next.Web.network()
	}
	stays := !moves && was != ""
	p.steps = append(p.steps, func() {
		c.pages.showImage.Store(next.Web.ShowImage)
		if c.picture != nil && !next.Web.ShowImage {
			c.picture.hide()
		}
		switch at := &c.pages.page; {
		case stays:
			at.now.answer(c.pageHandler(b, network), false)
		case moves && p.page == nil:
			at.replace(nil, false)
			c.pages.url.Store(nil)
		case moves:
			p.page.answer(c.pageHandler(b, network), false)
			url := "http://" + p.page.listener.Addr().String()
			if network {
				url = "https://" + setting.Reachable(p.page.listener.Addr().String())
			}
			at.replace(p.page, sameHost(was, will))
			c.pages.url.Store(&url)
		}
	})
	return nil
}

func (c *Core) changeFoxglove(p *pageChange, b *bus.Bus, running, next *Config) (err error) {
	was, will := running.Web.Foxglove, next.Web.Foxglove
	moves, others := was != will, !slices.Equal(running.Web.FoxgloveOrigins, next.Web.FoxgloveOrigins)
	if c.opt.Foxglove == nil || !moves && (!others || was == "") {
		return nil
	}
	h, err := c.foxgloveHandler(b, next.Web.FoxgloveOrigins)
	if err != nil {
		return err
	}
	if moves && will != "" {
		if p.foxglove, err = c.listenFoxglove(&next.Web); running.owns(will) && errors.Is(err, setting.ErrInUse) {
			moves, err = false, nil
			p.waiting = append(p.waiting, "web.foxglove")
		}
		if err != nil {
			return err
		}
	}
	p.steps = append(p.steps, func() {
		switch at := &c.pages.foxglove; {
		case moves && p.foxglove != nil:
			p.foxglove.answer(h, false)
			at.replace(p.foxglove, !others && sameHost(was, will))
		case moves:
			at.replace(nil, false)
		case others && was != "":
			at.now.answer(h, true) // those of an origin that is out leave; the others connect anew
		}
	})
	return nil
}

// owns reports whether an address has the port of one of the daemon's own.
func (c *Config) owns(address string) bool {
	_, port, err := setting.SplitAddress(address)
	return err == nil && slices.ContainsFunc(c.ports(), func(l listening) bool {
		_, own, ownErr := setting.SplitAddress(l.address)
		return ownErr == nil && l.network == "tcp" && own == port
	})
}

// sameHost reports whether two addresses have the same host.
func sameHost(a, b string) bool {
	hostA, _, errA := setting.SplitAddress(a)
	hostB, _, errB := setting.SplitAddress(b)
	return errA == nil && errB == nil && hostA == hostB
}
