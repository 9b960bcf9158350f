package bus

import (
	"fmt"
	"iter"
	"net/url"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"posefuse/setting"
)

// Config says where messages go. A listener whose address is empty is off; a
// listener that has a URL is not opened, the external server is used instead.
type Config struct {
	NATS          NATSConfig      `yaml:"nats"`
	MQTT          MQTTConfig      `yaml:"mqtt"`
	WebSocket     WebSocketConfig `yaml:"websocket"`
	Hub           HubConfig       `yaml:"hub"`
	TLS           TLSConfig       `yaml:"tls"`
	Users         []User          `yaml:"users"`
	MaxPendingKiB int             `yaml:"max_pending_kib"` // unread bytes per client before it is cut
	WriteLimitMS  int             `yaml:"write_limit_ms"`  // a client that takes no byte for longer is cut
	MaxStoreMiB   int             `yaml:"max_store_mib"`   // disk space of the embedded server
	// Connections of the embedded server: all, and those of one address. This
	// machine itself is one address.
	MaxConnections int `yaml:"max_connections"`
	MaxPerAddress  int `yaml:"max_connections_per_address"`
}

// NATSConfig is the NATS listener or server.
type NATSConfig struct {
	Listen string `yaml:"listen"` // host:port of the embedded server
	URL    string `yaml:"url"`    // nats://, tls:// or ws:// of an external server
}

// MQTTConfig is the MQTT listener or broker.
type MQTTConfig struct {
	Listen   string `yaml:"listen"`   // host:port of the embedded server
	URL      string `yaml:"url"`      // tcp:// or ssl:// of an external broker
	User     string `yaml:"user"`     // of the external broker
	Password string `yaml:"password"` // of the external broker
	// DiscoveryPrefix is the first level of the topics on which Home Assistant looks
	// for devices, usually "homeassistant"; empty: the room does not announce itself.
	DiscoveryPrefix string `yaml:"discovery_prefix"`
}

// WebSocketConfig is the embedded server's NATS-over-WebSocket listener.
type WebSocketConfig struct {
	Listen         string   `yaml:"listen"`
	AllowedOrigins []string `yaml:"allowed_origins"` // of pages that may connect; clients without an Origin may always
}

// TLSConfig names PEM files. They secure every listener; the authority also
// checks external servers.
type TLSConfig struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	CAFile   string `yaml:"ca_file"`
}

// User may connect to the embedded server.
type User struct {
	Name     string `yaml:"name"`
	Password string `yaml:"password"` // plain or bcrypt ($2a$...)
	Role     Role   `yaml:"role"`
	// Rooms are those that the role holds for, where the server carries several;
	// empty: all.
	Rooms []string `yaml:"rooms"`
}

// Role limits what a User may do.
type Role string

// Roles: three from least to most, and that of a keypoint detector.
const (
	Viewer   Role = "viewer"   // reads everything
	Exercise Role = "exercise" // reads everything, publishes exercise messages
	Control  Role = "control"  // also calls ctl.*
	Camera   Role = "camera"   // reads nothing, publishes keypoints
)

// DefaultConfig listens on loopback with the well-known ports.
func DefaultConfig() Config {
	return Config{
		NATS: NATSConfig{Listen: "127.0.0.1:4222"},
		MQTT: MQTTConfig{Listen: "127.0.0.1:1883"},
		WebSocket: WebSocketConfig{Listen: "127.0.0.1:9222",
			AllowedOrigins: []string{"http://127.0.0.1:8080", "http://localhost:8080"}},
		Users:         []User{},
		MaxPendingKiB: 4096,
		WriteLimitMS:  1000,
		MaxStoreMiB:   1024,

		MaxConnections: 1024,
		MaxPerAddress:  256,
	}
}

// Check checks the configuration without any I/O. Keys are relative to the bus
// section.
func (c *Config) Check() setting.Problems {
	var p setting.Problems
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		p.Add("tls.cert_file", "a certificate needs its key and a key its certificate; set both cert_file and key_file")
	}
	for _, l := range c.listeners() {
		if l.address == "" {
			continue
		}
		host, _, err := setting.SplitAddress(l.address)
		if err != nil {
			p.Add(l.key, "%w", err)
			continue
		}
		if !l.active || setting.Loopback(host) {
			continue
		}
		var missing []string
		if c.TLS.CertFile == "" {
			missing = append(missing, "bus.tls.cert_file and bus.tls.key_file")
		}
		if len(c.Users) == 0 {
			missing = append(missing, "bus.users")
		}
		if len(missing) > 0 {
			p.Add(l.key, "%s can be reached from the network, and poses are health data: set %s, or listen on 127.0.0.1",
				l.address, strings.Join(missing, " and "))
		}
	}
	c.Hub.check(&p, c.NATS.URL == "")
	checkURL(&p, "nats.url", c.NATS.URL, "nats", "tls", "ws", "wss")
	checkURL(&p, "mqtt.url", c.MQTT.URL, "tcp", "mqtt", "ssl", "mqtts", "tls", "ws", "wss")
	if prefix := c.MQTT.DiscoveryPrefix; prefix != "" {
		if err := checkPrefix(prefix); err != nil {
			p.Add("mqtt.discovery_prefix", "%w", err)
		}
	}
	for i, o := range c.WebSocket.AllowedOrigins {
		u, err := url.ParseRequestURI(o)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			p.Add(fmt.Sprintf("websocket.allowed_origins[%d]", i), "%q is no origin; write for example http://127.0.0.1:8080", o)
		}
	}
	seen := map[string]bool{}
	for i, u := range c.Users {
		key := fmt.Sprintf("users[%d]", i)
		switch {
		case u.Name == "":
			p.Add(key+".name", "empty; give the user a name")
		case u.Name == internalUser:
			p.Add(key+".name", "%q is the daemon's own name; take another", u.Name)
		case seen[u.Name]:
			p.Add(key+".name", "%q appears twice", u.Name)
		}
		seen[u.Name] = true
		checkPassword(&p, key+".password", u.Password)
		for k, room := range u.Rooms {
			if err := CheckRoom(room); err != nil {
				p.Add(fmt.Sprintf("%s.rooms[%d]", key, k), "%q is no room's name", room)
			}
		}
		switch u.Role {
		case Viewer, Exercise, Control, Camera:
		default:
			p.Add(key+".role", "%q is unknown: use viewer, exercise, control or camera", u.Role)
		}
	}
	if c.MaxPendingKiB < 1024 || c.MaxPendingKiB > 65536 {
		p.Add("max_pending_kib", "%d is out of range, want 1024 to 65536", c.MaxPendingKiB)
	}
	if c.WriteLimitMS < 100 || c.WriteLimitMS > 10_000 {
		p.Add("write_limit_ms", "%d is out of range, want 100 to 10000", c.WriteLimitMS)
	}
	if c.MaxConnections < 16 || c.MaxConnections > 16384 {
		p.Add("max_connections", "%d is out of range, want 16 to 16384", c.MaxConnections)
	}
	if c.MaxPerAddress < 4 || c.MaxPerAddress > c.MaxConnections {
		p.Add("max_connections_per_address", "%d is out of range, want 4 to max_connections (%d)", c.MaxPerAddress, c.MaxConnections)
	}
	if c.MaxStoreMiB < 16 || c.MaxStoreMiB > 1<<20 {
		p.Add("max_store_mib", "%d is out of range, want 16 to %d", c.MaxStoreMiB, 1<<20)
	}
	return p
}

// maxHashCost bounds the time of a login: each step doubles it, 12 takes about a
// quarter of a second.
const maxHashCost = 14

// checkPassword never shows the password.
func checkPassword(p *setting.Problems, key, password string) {
	switch cost, err := bcrypt.Cost([]byte(password)); {
	case password == "":
		p.Add(key, "empty; set a password or its bcrypt hash")
	case err == nil && cost > maxHashCost:
		p.Add(key, "the bcrypt hash has the cost %d, so a login takes seconds; make it with 10 to %d", cost, maxHashCost)
	case (err == nil || strings.HasPrefix(password, "$2")) && len(password) != 60:
		p.Add(key, "looks like a bcrypt hash and is none: it has %d characters, a hash has 60", len(password))
	case err != nil && strings.HasPrefix(password, "$2"):
		p.Add(key, "looks like a bcrypt hash and is none; make one with: htpasswd -nBC 11 NAME")
	}
}

func checkURL(p *setting.Problems, key, value string, schemes ...string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		p.Add(key, "no URL; write for example %s://host:port", schemes[0]) // it may hold a password
		return
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return
		}
	}
	p.Add(key, "scheme %q is unknown: use one of %s", u.Scheme, strings.Join(schemes, ", "))
}

type listener struct {
	key, address string
	active       bool // opened by the embedded server
}

func (c *Config) listeners() []listener {
	embedded := c.NATS.URL == ""
	return []listener{
		{"nats.listen", c.NATS.Listen, embedded},
		{"mqtt.listen", c.MQTT.Listen, embedded && c.MQTT.URL == ""},
		{"websocket.listen", c.WebSocket.Listen, embedded},
	}
}

// Listeners returns the addresses that the embedded server opens, by key.
func (c *Config) Listeners() iter.Seq2[string, string] {
	return func(yield func(key, address string) bool) {
		for _, l := range c.listeners() {
			if l.active && l.address != "" && !yield(l.key, l.address) {
				return
			}
		}
	}
}
