package bus

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Config says where messages go. A listener whose address is empty is off; a
// listener that has a URL is not opened, the external server is used instead.
type Config struct {
	NATS          NATSConfig      `yaml:"nats"`
	MQTT          MQTTConfig      `yaml:"mqtt"`
	WebSocket     WebSocketConfig `yaml:"websocket"`
	TLS           TLSConfig       `yaml:"tls"`
	Users         []User          `yaml:"users"`
	MaxPendingKiB int             `yaml:"max_pending_kib"` // unread bytes per client before it is cut
	WriteLimitMS  int             `yaml:"write_limit_ms"`  // a client that takes no byte for longer is cut
	MaxStoreMiB   int             `yaml:"max_store_mib"`   // disk space of the embedded server
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
	}
}

// Validate checks the configuration without any I/O. Errors start with the
// key, relative to the bus section.
func (c *Config) Validate() error {
	var errs []error
	add := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		add("tls.cert_file", "a certificate needs its key and a key its certificate; set both cert_file and key_file")
	}
	for _, l := range c.listeners() {
		if l.address == "" {
			continue
		}
		host, _, err := SplitAddress(l.address)
		if err != nil {
			add(l.key, "%w", err)
			continue
		}
		if !l.active || Loopback(host) {
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
			add(l.key, "%s can be reached from the network, and poses are health data: set %s, or listen on 127.0.0.1",
				l.address, strings.Join(missing, " and "))
		}
	}
	checkURL(add, "nats.url", c.NATS.URL, "nats", "tls", "ws", "wss")
	checkURL(add, "mqtt.url", c.MQTT.URL, "tcp", "mqtt", "ssl", "mqtts", "tls", "ws", "wss")
	for i, o := range c.WebSocket.AllowedOrigins {
		u, err := url.ParseRequestURI(o)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			add(fmt.Sprintf("websocket.allowed_origins[%d]", i), "%q is no origin; write for example http://127.0.0.1:8080", o)
		}
	}
	seen := map[string]bool{}
	for i, u := range c.Users {
		key := fmt.Sprintf("users[%d]", i)
		switch {
		case u.Name == "":
			add(key+".name", "empty; give the user a name")
		case seen[u.Name]:
			add(key+".name", "%q appears twice", u.Name)
		}
		seen[u.Name] = true
		if u.Password == "" {
			add(key+".password", "empty; set a password or its bcrypt hash")
		}
		switch u.Role {
		case Viewer, Exercise, Control, Camera:
		default:
			add(key+".role", "%q is unknown: use viewer, exercise, control or camera", u.Role)
		}
	}
	if c.MaxPendingKiB < 1024 || c.MaxPendingKiB > 65536 {
		add("max_pending_kib", "%d is out of range, want 1024 to 65536", c.MaxPendingKiB)
	}
	if c.WriteLimitMS < 100 || c.WriteLimitMS > 10_000 {
		add("write_limit_ms", "%d is out of range, want 100 to 10000", c.WriteLimitMS)
	}
	if c.MaxStoreMiB < 16 {
		add("max_store_mib", "%d is too small, want at least 16", c.MaxStoreMiB)
	}
	return errors.Join(errs...)
}

func checkURL(add func(key, format string, args ...any), key, value string, schemes ...string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		add(key, "%q is no URL; write for example %s://host:port", value, schemes[0])
		return
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return
		}
	}
	add(key, "scheme %q is unknown: use one of %s", u.Scheme, strings.Join(schemes, ", "))
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

// SplitAddress splits host:port and checks the port's range. The host may be
// empty, which means every interface.
func SplitAddress(address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no address; write host:port, for example 127.0.0.1:4222", address)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q: port %q is not a number from 0 to 65535", address, p)
	}
	return host, port, nil
}

// Loopback reports whether only this machine can reach the host.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
