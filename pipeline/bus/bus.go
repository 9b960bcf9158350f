// Package bus carries posefuse messages: the embedded or external NATS server
// and the MQTT bridge.
package bus

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"posefuse/audit"
	"posefuse/message"
	"posefuse/setting"
)

// reconnectBuffer holds what is published while an external NATS server is
// away: about three minutes of poses.
const reconnectBuffer = 8 << 20

// Options are what Open needs beside the configuration.
type Options struct {
	Room     string // part of every subject
	StateDir string // the embedded server keeps its files in its folder "nats"
	Version  string // of the daemon, semantic, for the NATS micro service; 0.0.0 if empty
	Log      *slog.Logger
	Sensors  []string // names in use, for who is told of the room's devices
	// Audit is told who connects, is refused, and asks for something; nil: nobody.
	Audit func(audit.Entry)
}

// Bus is the daemon's connection to its subscribers. All methods are safe for
// concurrent use; publishing never waits for a subscriber or the network.
type Bus struct {
	cfg      Config
	room     string
	version  string
	log      *slog.Logger
	subject  string // "posefuse.<room>."
	topic    string // "posefuse/<room>/"
	server   *embedded
	nc       *nats.Conn
	retained *mqttPublisher // carries the retained status; nil without MQTT
	warden   *warden        // nil without an embedded MQTT side
	access   MQTTAccess     // how the daemon itself reaches the MQTT side
	audit    func(audit.Entry)
	external bool          // retained is an external broker and gets every message
	closed   chan struct{} // by the NATS client after Close

	dropped atomic.Uint64

	mu      sync.Mutex
	service micro.Service
	slow    uint64
	lastErr string
}

// Open starts the embedded server, or connects to the external ones, and
// returns when messages can be published. External servers may be away: Open
// does not wait for them. Close must be called.
func Open(cfg Config, opt Options) (*Bus, error) {
	if err := errors.Join(cfg.Check()...); err != nil {
		return nil, fmt.Errorf("bus.%w", err)
	}
	if err := CheckRoom(opt.Room); err != nil {
		return nil, err
	}
	b := &Bus{cfg: cfg, room: opt.Room, version: opt.Version, log: opt.Log, closed: make(chan struct{}),
		subject: "posefuse." + opt.Room + ".", topic: "posefuse/" + opt.Room + "/"}
	if b.version == "" {
		b.version = "0.0.0"
	}
	if b.audit = opt.Audit; b.audit == nil {
		b.audit = func(audit.Entry) {}
	}
	external, err := clientTLS(&cfg.TLS)
	if err != nil {
		return nil, err
	}
	common := []nats.Option{
		nats.Name("posefuse " + opt.Room),
		nats.ClosedHandler(func(*nats.Conn) { close(b.closed) }),
		nats.ErrorHandler(b.onError),
	}
	if cfg.NATS.URL == "" {
		if b.server, err = startServer(&cfg, opt.Room, opt.StateDir, opt.Log, b.audit); err != nil {
			return nil, err
		}
		b.nc, err = b.server.connect(common...)
	} else {
		common = append(common, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.ReconnectWait(time.Second),
			nats.ReconnectBufSize(reconnectBuffer), nats.Timeout(5*time.Second),
			nats.ReconnectHandler(func(*nats.Conn) { b.note("") }),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
				if err != nil {
					b.note(err.Error())
					b.log.Warn("nats server is away, trying again", "error", err)
				}
			}))
		if external != nil {
			common = append(common, nats.Secure(external))
		}
		b.nc, err = nats.Connect(cfg.NATS.URL, common...)
	}
	if err != nil {
		if b.server != nil {
			b.server.stop()
		}
		return nil, fmt.Errorf("bus.nats: %w", err)
	}
	if b.server != nil && b.server.mqttAddr != "" {
		// Before the first MQTT client: the server would make them without bounds.
		js, jsErr := b.nc.JetStream(nats.MaxWait(askLimit))
		if jsErr == nil {
			jsErr = b.boundStreams(js)
		}
		if jsErr != nil {
			b.log.Warn("the embedded server's store could not be bounded, trying again", "error", jsErr)
		}
	}
	if o, ok := b.mqttOptions(external); ok {
		b.external = cfg.MQTT.URL != ""
		b.access = MQTTAccess{URL: o.url, User: o.user, Password: o.password, TLS: o.tls}
		b.retained = newMQTTPublisher(o)
		if err := b.announce(opt.Sensors); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	if b.server != nil && b.retained != nil && !b.external {
		if err := b.watch(); err != nil {
			return nil, errors.Join(fmt.Errorf("bus: %w", err), b.Close())
		}
	}
	return b, nil
}

// MQTTAccess is what an MQTT client in the daemon's own process needs.
type MQTTAccess struct {
	URL, User, Password string
	TLS                 *tls.Config // nil without TLS
}

// MQTTAccess returns how to reach the MQTT broker that carries the poses, with
// the daemon's own credentials; ok is false if there is none.
func (b *Bus) MQTTAccess() (a MQTTAccess, ok bool) { return b.access, b.access.URL != "" }

// mqttOptions says how the daemon reaches the MQTT side: the external broker,
// or its own listener, because only an MQTT client can publish retained.
func (b *Bus) mqttOptions(external *tls.Config) (mqttOptions, bool) {
	will, err := json.Marshal(message.Status{Schema: message.StatusSchema, Room: b.room, State: message.Offline,
		Time: time.Now().UTC().Format(time.RFC3339), Parts: []message.PartHealth{}})
	if err != nil {
		panic(err) // the value above has no unmarshallable part
	}
	o := mqttOptions{clientPrefix: "posefuse-" + b.room, log: b.log,
		will: mqttMessage{topic: b.topic + "status", payload: will}}
	if b.cfg.MQTT.URL != "" {
		o.url, o.user, o.password, o.tls = b.cfg.MQTT.URL, b.cfg.MQTT.User, b.cfg.MQTT.Password, external
		return o, true
	}
	if b.server == nil || b.server.mqttAddr == "" {
		return o, false
	}
	o.url = "tcp://" + ownAddress(b.server.mqttAddr)
	if c := b.server.certificates; c != nil {
		o.url = "ssl://" + ownAddress(b.server.mqttAddr)
		o.tls = c.pinned()
	}
	o.user, o.password = internalUser, b.server.password
	return o, true
}

// ownAddress turns "every interface" into an address that can be dialled.
func ownAddress(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch ip := net.ParseIP(host); {
	case ip != nil && ip.IsUnspecified() && ip.To4() == nil:
		host = "::1"
	case host == "" || ip != nil && ip.IsUnspecified():
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// Apply takes over what of a checked configuration can change while the embedded
// server runs: users, the connections of an address, and what is in the
// certificate's files. An error leaves all as it was.
func (b *Bus) Apply(cfg *Config) error {
	if b.server == nil {
		return nil
	}
	return b.server.apply(cfg)
}

// CheckRoom reports why a room's name cannot be part of a subject.
func CheckRoom(room string) error {
	ok := room != "" && len(room) <= 64
	for _, r := range room {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	if !ok {
		return &setting.Problem{Key: "room", Err: fmt.Errorf("%q cannot be part of a subject; use 1 to 64 letters, digits, - and _", room)}
	}
	return nil
}

func (b *Bus) onError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		b.mu.Lock()
		b.slow++
		b.mu.Unlock()
		return
	}
	b.note(err.Error())
	b.log.Warn("nats", "error", err)
}

func (b *Bus) note(err string) {
	b.mu.Lock()
	b.lastErr = err
	b.mu.Unlock()
}

// Conn returns the daemon's NATS connection, for subscribers inside the process.
func (b *Bus) Conn() *nats.Conn { return b.nc }

// Room returns the room's name.
func (b *Bus) Room() string { return b.room }

// withoutLogin returns a server's URL without user, password or token, for
// what others may read. It was checked with the configuration.
func withoutLogin(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// target names a server, for people.
func target(url string) string {
	if url == "" {
		return "inside the daemon"
	}
	return withoutLogin(url)
}

// Addresses returns where clients reach the bus, for people: URLs of NATS,
// MQTT and NATS over WebSocket; empty if there is none.
func (b *Bus) Addresses() (natsURL, mqttURL, wsURL string) {
	natsURL, mqttURL = withoutLogin(b.cfg.NATS.URL), withoutLogin(b.cfg.MQTT.URL)
	if b.server == nil {
		return natsURL, mqttURL, ""
	}
	secure := func(plain, tls string) string {
		if b.server.tls != nil {
			return tls
		}
		return plain
	}
	if b.server.natsAddr != "" {
		natsURL = secure("nats://", "tls://") + b.server.natsAddr
	}
	if mqttURL == "" && b.server.mqttAddr != "" {
		mqttURL = secure("mqtt://", "mqtts://") + b.server.mqttAddr
	}
	if b.server.wsAddr != "" {
		wsURL = secure("ws://", "wss://") + b.server.wsAddr
	}
	return natsURL, mqttURL, wsURL
}

// Publish sends an encoded message on posefuse.<room>.<what> and its MQTT
// topic. payload may be reused when Publish returns. The only errors are a
// closed bus and a full buffer while an external server is away; the message
// is then counted as dropped.
func (b *Bus) Publish(what string, payload []byte) error {
	err := b.nc.Publish(b.subject+what, payload)
	if err != nil {
		b.dropped.Add(1)
		err = fmt.Errorf("publish %s%s: %w", b.subject, what, err)
	}
	// An embedded server gives its MQTT clients every NATS message by itself.
	if b.external {
		b.retained.publish(b.topic+strings.ReplaceAll(what, ".", "/"), slices.Clone(payload))
	}
	return err
}

func (b *Bus) publishJSON(what string, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("publish %s: %w", what, err)
	}
	return b.Publish(what, payload)
}

// PublishPose sends p and returns the buffer it encoded into, an extension of
// dst, for the next call.
func (b *Bus) PublishPose(dst []byte, p *message.Pose) ([]byte, error) {
	dst, err := message.AppendPose(dst[:0], p)
	if err != nil {
		return dst, err
	}
	return dst, b.Publish("pose", dst)
}

// PublishSensor sends the state of one sensor.
func (b *Bus) PublishSensor(s *message.Sensor) error { return b.publishJSON("sensor."+s.Name, s) }

// PublishModelEvent says that the model or a candidate for it changed.
func (b *Bus) PublishModelEvent(e *message.ModelEvent) error { return b.publishJSON("model.event", e) }

// PublishRetrain says how a retraining goes.
func (b *Bus) PublishRetrain(r *message.Retrain) error { return b.publishJSON("retrain", r) }

// PublishStatus sends the daemon's status, retained on MQTT.
func (b *Bus) PublishStatus(s *message.Status) error {
	payload, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("publish status: %w", err)
	}
	if b.retained != nil {
		b.retained.publishStatus(b.topic+"status", payload)
		if b.warden != nil && b.warden.sent(payload) {
			return b.nc.PublishMsg(&nats.Msg{Subject: b.subject + "status", Data: payload, Header: nats.Header{wayHeader: {"direct"}}})
		}
		if !b.external {
			return nil // the embedded server passes it on to NATS subscribers
		}
	}
	if err := b.nc.Publish(b.subject+"status", payload); err != nil {
		b.dropped.Add(1)
		return fmt.Errorf("publish status: %w", err)
	}
	return nil
}

// HandleControl answers requests on posefuse.<room>.ctl.<name> as an endpoint
// of the NATS micro service "posefuse". An error of h is the reply's error.
func (b *Bus) HandleControl(name string, h func(request []byte) ([]byte, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.service == nil {
		s, err := micro.AddService(b.nc, micro.Config{Name: "posefuse", Version: b.version,
			Description: "posefuse room " + b.room, Metadata: map[string]string{"room": b.room}})
		if err != nil {
			return fmt.Errorf("control service: %w", err)
		}
		b.service = s
	}
	err := b.service.AddEndpoint(strings.ReplaceAll(name, ".", "-"), micro.HandlerFunc(func(r micro.Request) {
		reply, err := h(r.Data())
		b.auditRequest(name, r.Reply(), err)
		if err != nil {
			err = r.Error("500", err.Error(), nil)
		} else {
			err = r.Respond(reply)
		}
		if err != nil {
			b.log.Warn("control reply was not sent", "endpoint", name, "error", err)
		}
	}), micro.WithEndpointSubject(b.subject+"ctl."+name))
	if err != nil {
		return fmt.Errorf("control endpoint %s: %w", name, err)
	}
	return nil
}

// Health returns the state of the bus: parts "bus.nats" and, if there is one,
// "bus.mqtt".
func (b *Bus) Health() []message.PartHealth {
	b.mu.Lock()
	lastErr := b.lastErr
	b.mu.Unlock()
	parts := []message.PartHealth{{Part: "bus.nats", Code: "ok", Text: "connected", Severity: "ok"}}
	if !b.nc.IsConnected() {
		parts[0] = message.PartHealth{Part: "bus.nats", Code: "away", Severity: "error",
			Text: fmt.Sprintf("the NATS server %s does not answer (%s); poses are kept up to %d MiB", target(b.cfg.NATS.URL), lastErr, reconnectBuffer>>20)}
	}
	if b.retained == nil {
		return b.serverHealth(parts)
	}
	p := message.PartHealth{Part: "bus.mqtt", Code: "ok", Text: "connected", Severity: "ok"}
	if ok, why, _ := b.retained.state(); !ok {
		if why == "" {
			why = "no answer yet"
		}
		if b.warden != nil && !b.external { // the broker that keeps its messages in state_dir
			why = b.warden.mqttAway(why)
		}
		p = message.PartHealth{Part: "bus.mqtt", Code: "away", Severity: "error",
			Text: fmt.Sprintf("the MQTT broker %s does not answer (%s); the newest %d messages are kept", target(b.cfg.MQTT.URL), why, mqttQueue)}
	}
	return b.serverHealth(append(parts, p))
}

// serverHealth adds the parts of the embedded server.
func (b *Bus) serverHealth(parts []message.PartHealth) []message.PartHealth {
	if b.warden != nil {
		parts = append(parts, b.warden.health())
	}
	if b.server != nil && b.server.certificates != nil {
		parts = append(parts, b.server.certificates.health(time.Now()))
	}
	if b.server != nil && b.cfg.Hub.URL != "" {
		parts = append(parts, b.cfg.Hub.health(b.server.srv.Load()))
	}
	return parts
}

// Counters returns losses by cause since the start: messages that found the
// buffer full, and clients the embedded server cut because they did not read.
func (b *Bus) Counters() map[string]uint64 {
	c := map[string]uint64{"dropped_nats": b.dropped.Load(), "dropped_mqtt": 0, "slow_consumers": 0}
	if b.retained != nil {
		_, _, c["dropped_mqtt"] = b.retained.state()
	}
	b.mu.Lock()
	c["slow_subscriptions"] = b.slow
	b.mu.Unlock()
	if b.server != nil {
		c["slow_consumers"] = uint64(b.server.srv.Load().NumSlowConsumers())
	}
	return c
}
