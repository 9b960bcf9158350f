package bus

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"posefuse/setting"
)

// readyLimit bounds the wait for the embedded server.
const readyLimit = 10 * time.Second

// internalUser is the daemon itself; its password is made anew at every start.
const internalUser = "posefuse-daemon"

// embedded is a nats-server inside this process.
type embedded struct {
	srv      *server.Server
	log      *serverLog
	password string // of internalUser; empty without users
	tls      *tls.Config

	natsAddr, mqttAddr, wsAddr string // "" if off
}

// startServer opens the listeners of the configuration and waits until they
// accept connections.
func startServer(cfg *Config, stateDir string, log *slog.Logger) (*embedded, error) {
	e := &embedded{log: &serverLog{log: log}}
	dir := filepath.Join(stateDir, "nats")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state_dir: %w; create it for this user or set another", err)
	}
	o := &server.Options{
		ServerName:      "posefuse",
		NoSigs:          true,
		NoSystemAccount: true,
		MaxPending:      int64(cfg.MaxPendingKiB) << 10,
		WriteDeadline:   time.Duration(cfg.WriteLimitMS) * time.Millisecond,
		// A slow reader must never hold up the daemon's publishing. At three
		// quarters of MaxPending it gets nothing more, and if it still does not
		// read, the write deadline cuts it.
		NoFastProducerStall: true,
		JetStream:           true, // the MQTT listener keeps sessions and retained messages in it
		StoreDir:            dir,
		SyncAlways:          true,
		JetStreamMaxMemory:  64 << 20,
		JetStreamMaxStore:   int64(cfg.MaxStoreMiB) << 20,
	}
	o.DisableJetStreamBanner = true
	if cfg.TLS.CertFile != "" {
		t, err := serverTLS(&cfg.TLS)
		if err != nil {
			return nil, err
		}
		e.tls = t
	}
	for _, l := range cfg.listeners() {
		if !l.active || l.address == "" {
			continue
		}
		host, port, err := probe(l.key, l.address)
		if err != nil {
			return nil, err
		}
		addr := net.JoinHostPort(host, fmt.Sprint(port))
		switch l.key {
		case "nats.listen":
			o.Host, o.Port, o.TLSConfig = host, port, e.tls
			e.natsAddr = addr
		case "mqtt.listen":
			o.MQTT = server.MQTTOpts{Host: host, Port: port, TLSConfig: e.tls}
			e.mqttAddr = addr
		case "websocket.listen":
			o.Websocket = server.WebsocketOpts{Host: host, Port: port, TLSConfig: e.tls, NoTLS: e.tls == nil,
				AllowedOrigins: cfg.WebSocket.AllowedOrigins, Compression: false, HandshakeTimeout: 5 * time.Second}
			e.wsAddr = addr
		}
	}
	o.DontListen = e.natsAddr == ""
	if len(cfg.Users) > 0 {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails, see crypto/rand
		e.password = hex.EncodeToString(b[:])
		o.Users = append(o.Users, &server.User{Username: internalUser, Password: e.password})
		for _, u := range cfg.Users {
			o.Users = append(o.Users, &server.User{Username: u.Name, Password: u.Password, Permissions: permissions(u.Role)})
		}
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	e.srv = srv
	srv.SetLoggerV2(e.log, false, false, false)
	srv.Start()
	ready := e.log.fatal() == "" && srv.ReadyForConnections(readyLimit)
	if msg := e.log.fatal(); msg != "" {
		e.stop()
		return nil, fmt.Errorf("embedded server: %s", msg)
	}
	if !ready {
		e.stop()
		return nil, fmt.Errorf("embedded server was not ready within %v; is %s on a working disk?", readyLimit, dir)
	}
	return e, nil
}

// stop ends the server and waits until its files are closed.
func (e *embedded) stop() {
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
}

// connect returns a connection inside the process, without a socket.
func (e *embedded) connect(opts ...nats.Option) (*nats.Conn, error) {
	opts = append(opts, nats.InProcessServer(e.srv))
	if e.password != "" {
		opts = append(opts, nats.UserInfo(internalUser, e.password))
	}
	return nats.Connect("", opts...)
}

// probe opens and closes the port, so that a taken one is reported with its
// setting. Port 0 becomes a free one.
func probe(key, address string) (host string, port int, err error) {
	host, _, err = setting.SplitAddress(address)
	if err != nil {
		return "", 0, fmt.Errorf("bus.%s: %w", key, err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", 0, setting.ListenError("bus."+key, address, err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	return host, port, l.Close()
}

// CheckFiles reads the certificates that the configuration names, as Open does.
func (c *Config) CheckFiles() error {
	_, err := clientTLS(&c.TLS)
	if c.TLS.CertFile != "" {
		_, certErr := serverTLS(&c.TLS)
		err = errors.Join(certErr, err)
	}
	return err
}

func serverTLS(c *TLSConfig) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("bus.tls.cert_file: %s with key_file %s: %w", c.CertFile, c.KeyFile, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// clientTLS returns the configuration for external servers; nil means the
// system's authorities.
func clientTLS(c *TLSConfig) (*tls.Config, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("bus.tls.ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("bus.tls.ca_file: %s holds no PEM certificate", c.CAFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

func permissions(r Role) *server.Permissions {
	sub := &server.SubjectPermission{Allow: []string{"posefuse.>", "_INBOX.>", "$MQTT.sub.>"}}
	switch r {
	case Exercise:
		return &server.Permissions{Subscribe: sub, Publish: &server.SubjectPermission{Allow: []string{"posefuse.*.exercise.>"}}}
	case Camera:
		return &server.Permissions{Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}}, Publish: &server.SubjectPermission{Allow: []string{"posefuse.*.keypoints"}}}
	case Control:
		return &server.Permissions{Subscribe: sub, Publish: &server.SubjectPermission{Allow: []string{"posefuse.*.exercise.>", "posefuse.*.ctl.>", "$SRV.>"}}}
	case Viewer:
	}
	return &server.Permissions{Subscribe: sub, Publish: &server.SubjectPermission{Deny: []string{">"}}}
}

// serverLog passes the embedded server's warnings and errors on; it is quiet
// about the rest.
type serverLog struct {
	log *slog.Logger

	mu    sync.Mutex
	cause string
}

func (l *serverLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// Noticef drops what the server says when all is well.
func (l *serverLog) Noticef(string, ...any) {}

// Debugf drops debugging output.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef drops protocol traces: they would hold payloads.
func (l *serverLog) Tracef(string, ...any) {}

// Warnf logs a warning, but for the one on a WebSocket listener without TLS:
// Config.Validate allows that on loopback only.
func (l *serverLog) Warnf(format string, v ...any) {
	if !strings.HasPrefix(format, "Websocket not configured with TLS") {
		l.log.Warn(fmt.Sprintf(format, v...))
	}
}

// Errorf logs an error.
func (l *serverLog) Errorf(format string, v ...any) { l.log.Error(fmt.Sprintf(format, v...)) }

// Fatalf keeps the reason why the server cannot run. It must not end the process.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == "" {
		l.cause = fmt.Sprintf(format, v...)
	}
}
