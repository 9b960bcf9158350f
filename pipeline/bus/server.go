package bus

import (
	"context"
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
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"posefuse/audit"
	"posefuse/setting"
)

// readyLimit bounds the wait for the embedded server.
const readyLimit = 10 * time.Second

// stopLimit bounds the wait for the embedded server's end: a connection of a
// stranger must not hold up the daemon's.
const stopLimit = 3 * time.Second

// internalUser is the daemon itself; its password is made anew at every start.
const internalUser = "posefuse-daemon"

// anyUser is the name of who needs none, where there are no users.
const anyUser = "anyone"

// maxSubscriptions bounds those of one connection.
const maxSubscriptions = 1024

// embedded is a nats-server inside this process.
type embedded struct {
	srv      atomic.Pointer[server.Server] // another one after rebuild
	options  *server.Options
	dir      string // of its files
	log      *serverLog
	password string      // of internalUser
	tls      *tls.Config // nil without TLS
	gate     *gate
	cancel   context.CancelFunc // ends the gate's work

	certificates *certificates // nil without TLS

	natsAddr, mqttAddr, wsAddr string // "" if off
}

// startServer opens the listeners of the configuration and waits until they
// accept connections.
func startServer(cfg *Config, room, stateDir string, log *slog.Logger, told func(audit.Entry)) (*embedded, error) {
	e := &embedded{log: newServerLog(log), dir: filepath.Join(stateDir, "nats")}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
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
		StoreDir:            e.dir,
		SyncAlways:          true,
		JetStreamMaxMemory:  64 << 20,
		JetStreamMaxStore:   int64(cfg.MaxStoreMiB) << 20,
		MaxConn:             cfg.MaxConnections,
		MaxSubs:             maxSubscriptions,
	}
	o.DisableJetStreamBanner = true
	if cfg.TLS.CertFile != "" {
		c, err := newCertificates(cfg.TLS, log)
		if err != nil {
			return nil, err
		}
		e.certificates, e.tls = c, c.server()
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
	if cfg.Hub.URL != "" {
		if err := cfg.Hub.leaf(room, &cfg.TLS, o); err != nil {
			return nil, err
		}
	}
	e.openGate(cfg, o, told)
	e.options = o
	if err := e.start(); err != nil {
		e.closeGate()
		return nil, err
	}
	return e, nil
}

// start makes a server of the options and waits until it accepts connections.
func (e *embedded) start() error {
	e.log.forget()
	srv, err := server.NewServer(e.options.Clone())
	if err != nil {
		return fmt.Errorf("embedded server: %w", err)
	}
	e.srv.Store(srv)
	srv.SetLoggerV2(e.log, false, false, false)
	srv.Start()
	ready := e.log.fatal() == "" && srv.ReadyForConnections(readyLimit)
	if msg := e.log.fatal(); msg != "" {
		e.end(srv)
		return fmt.Errorf("embedded server: %s", msg)
	}
	if !ready {
		e.end(srv)
		return fmt.Errorf("embedded server was not ready within %v; is %s on a working disk?", readyLimit, e.dir)
	}
	return nil
}

// rebuild replaces the server by a new one with the same files, listeners and
// users: one whose store failed once never writes again. Clients lose their
// connections.
func (e *embedded) rebuild() error {
	e.end(e.srv.Load())
	return e.start()
}

// InProcessConn returns a connection inside the process, without a socket. It
// implements nats.InProcessConnProvider.
func (e *embedded) InProcessConn() (net.Conn, error) { return e.srv.Load().InProcessConn() }

// openGate sets up who may connect. The goroutine it starts ends with closeGate.
func (e *embedded) openGate(cfg *Config, o *server.Options, told func(audit.Entry)) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	e.password = hex.EncodeToString(b[:])
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.gate = &gate{ctx: ctx, password: e.password, prefix: cfg.MQTT.DiscoveryPrefix, hasher: newHasher(),
		log: newRefusals(e.log.log.Warn), audit: told, inside: map[uint64]guest{}, refused: map[Refusal]uint64{},
		open: func(id uint64) bool { return e.srv.Load().GetClient(id) != nil }}
	e.gate.admit(cfg)
	if len(cfg.Users) == 0 {
		// It tells clients that they need not log in; the gate decides all the same.
		o.Users, o.NoAuthUser = []*server.User{{Username: anyUser}}, anyUser
	}
	o.CustomClientAuthentication = e.gate
	go e.gate.hasher.run(ctx)
}

func (e *embedded) closeGate() {
	e.cancel()
	<-e.gate.hasher.done
}

// apply takes over what can change while the server runs.
func (e *embedded) apply(cfg *Config) error {
	if e.certificates != nil {
		if err := e.certificates.reload(); err != nil {
			return err
		}
	}
	for _, id := range e.gate.admit(cfg) {
		if err := e.srv.Load().DisconnectClientByID(id); err != nil {
			e.log.log.Debug("a connection of a changed user had ended", "error", err)
		}
	}
	return nil
}

// stop ends the server and the gate's work.
func (e *embedded) stop() {
	e.cancel()
	e.end(e.srv.Load())
	e.closeGate()
}

// end ends a server and waits until its files are closed, at most stopLimit.
func (e *embedded) end(srv *server.Server) {
	ended := make(chan struct{})
	go func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		close(ended)
	}()
	late := time.NewTimer(stopLimit)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		e.log.log.Warn("the embedded server did not end in time; the daemon goes on without it", "limit", stopLimit)
	}
}

// connect returns a connection inside the process, which finds the server again
// after a rebuild.
func (e *embedded) connect(opts ...nats.Option) (*nats.Conn, error) {
	opts = append(opts, nats.InProcessServer(e), nats.UserInfo(internalUser, e.password),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectBufSize(reconnectBuffer))
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
		_, certErr := loadPair(&c.TLS)
		err = errors.Join(certErr, err)
	}
	return err
}

// clientTLS returns the configuration for external servers; nil means the
// system's authorities.
func clientTLS(c *TLSConfig) (*tls.Config, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	pem, err := setting.ReadFile(c.CAFile, maxPEM)
	if err != nil {
		return nil, fmt.Errorf("bus.tls.ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("bus.tls.ca_file: %s holds no PEM certificate", c.CAFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// inbox is where a client gets answers.
const inbox = "_INBOX.>"

// permissions returns what a role may do, in the given rooms or in all.
func permissions(r Role, rooms []string) *server.Permissions {
	if len(rooms) == 0 {
		rooms = []string{"*"}
	}
	in := func(what string) (subjects []string) {
		for _, room := range rooms {
			subjects = append(subjects, "posefuse."+room+"."+what)
		}
		return subjects
	}
	// MQTT's filter posefuse/# reads "posefuse" itself, too, posefuse/room1/# "posefuse.room1".
	read := []string{"posefuse", "posefuse.>", inbox, "$MQTT.sub.>"}
	if rooms[0] != "*" {
		read = append(in(">"), inbox, "$MQTT.sub.>")
		for _, room := range rooms {
			read = append(read, "posefuse."+room)
		}
	}
	// Who listens to requests would take them from the daemon: it answers in a queue
	// group, which anybody could join.
	sub := &server.SubjectPermission{Allow: read, Deny: []string{"posefuse.*.ctl.>"}}
	pub := func(subjects ...string) *server.SubjectPermission { return &server.SubjectPermission{Allow: subjects} }
	switch r {
	case Exercise:
		return &server.Permissions{Subscribe: sub, Publish: pub(in("exercise.>")...)}
	case Camera:
		return &server.Permissions{Subscribe: pub(inbox), Publish: pub(in("keypoints")...)}
	case Control:
		return &server.Permissions{Subscribe: sub, Publish: pub(append(append(in("exercise.>"), in("ctl.>")...), "$SRV.>")...)}
	case Viewer:
	}
	return &server.Permissions{Subscribe: sub, Publish: &server.SubjectPermission{Deny: []string{">"}}}
}

// anyone returns what everybody may do where there are no users: all that any
// role may.
func anyone() *server.Permissions {
	p := permissions(Control, nil)
	p.Publish.Allow = append(p.Publish.Allow, permissions(Camera, nil).Publish.Allow...)
	return p
}
