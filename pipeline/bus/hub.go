package bus

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"posefuse/message"
	"posefuse/setting"
)

// HubConfig is the server that the rooms of a house have in common. The embedded
// server connects to it as a NATS leaf node and passes on this room's messages.
type HubConfig struct {
	URL      string `yaml:"url"` // tls:// or nats://host:7422, the hub's port for leaf nodes; empty: none
	User     string `yaml:"user"`
	Password string `yaml:"password"`
}

// hubRetry is how often an absent hub is tried.
const hubRetry = 2 * time.Second

// check checks the hub's settings; keys are relative to the bus section.
func (h *HubConfig) check(p *setting.Problems, embedded bool) {
	if h.URL == "" {
		if h.User != "" || h.Password != "" {
			p.Add("hub.url", "empty, but there is a login for it; set the hub's address or remove hub.user and hub.password")
		}
		return
	}
	checkURL(p, "hub.url", h.URL, "tls", "nats")
	u, err := url.Parse(h.URL)
	switch {
	case err != nil:
		return // checkURL has said so
	case u.User != nil:
		p.Add("hub.url", "holds a login, which logs would show; set hub.user and hub.password")
	case u.Scheme == "nats" && !setting.Loopback(u.Hostname()):
		p.Add("hub.url", "poses are health data and would cross the network unencrypted; use tls://%s", u.Host)
	}
	if h.User == "" || h.Password == "" {
		p.Add("hub.user", "the hub tells rooms by their login; set hub.user and hub.password")
	}
	if !embedded {
		p.Add("hub.url", "an external nats.url has no use for it: connect that server to the hub, or remove nats.url")
	}
}

// leaf adds the connection to the hub to a server's options. A domain of its own
// keeps the room's store apart from the hub's. That nobody at the hub speaks for
// the room is up to the hub, configs/hub.conf: what is denied here as an import
// the server would not export either.
func (h *HubConfig) leaf(room string, tlsOf *TLSConfig, o *server.Options) error {
	u, err := url.Parse(h.URL)
	if err != nil {
		return errors.New("bus.hub.url: no URL") // it may hold a password
	}
	secure := u.Scheme == "tls"
	u.Scheme, u.User = "nats-leaf", url.UserPassword(h.User, h.Password)
	ca, err := clientTLS(tlsOf)
	if err != nil {
		return err
	}
	internal := []string{"$MQTT.>", "$JS.API.>", "$SYS.>"}
	o.ServerName, o.JetStreamDomain = "posefuse-"+room, room
	o.LeafNode.ReconnectInterval = hubRetry
	o.LeafNode.Remotes = []*server.RemoteLeafOpts{{
		URLs: []*url.URL{u}, TLS: secure, TLSConfig: ca,
		DenyImports: internal, DenyExports: internal,
	}}
	return nil
}

// health is the hub's part of the status.
func (h *HubConfig) health(srv *server.Server) message.PartHealth {
	if srv.NumLeafNodes() > 0 {
		return message.PartHealth{Part: "bus.hub", Code: "ok", Severity: "ok", Text: fmt.Sprintf("connected to %s", h.URL)}
	}
	return message.PartHealth{Part: "bus.hub", Code: "away", Severity: "warning",
		Text: fmt.Sprintf("%s does not answer or refuses this room; nothing here waits for it, and it is tried again every %v. Is its port for leaf nodes open, and are bus.hub.user and password those of the hub?", h.URL, hubRetry)}
}
