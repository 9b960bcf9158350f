package bus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/message"
)

func TestExternalNATS(t *testing.T) {
	port := testenv.FreePort(t)
	run := func() *server.Server {
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if !s.ReadyForConnections(testenv.Patience) {
			t.Fatal("server is not ready")
		}
		return s
	}
	cfg := DefaultConfig()
	cfg.NATS.URL = fmt.Sprintf("nats://127.0.0.1:%d", port)
	b := open(t, cfg) // before the server runs
	if h := b.Health(); len(h) != 1 || h[0].Severity != "error" {
		t.Errorf("health without server: %+v", h)
	}
	if _, err := b.PublishPose(nil, &message.Pose{Seq: 1}); err != nil {
		t.Fatal(err)
	}
	s := run()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	nc := natsClient(t, cfg.NATS.URL)
	ch := make(chan *nats.Msg, 10)
	if _, err := nc.ChanSubscribe("posefuse.room1.>", ch); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "connected", b.nc.IsConnected)
	if err := b.PublishStatus(onlineStatus()); err != nil {
		t.Fatal(err)
	}
	for m := range ch {
		if m.Subject == "posefuse.room1.status" {
			break
		}
	}
}

// TestLoginsStaySecret: health goes to every subscriber, addresses to the log.
func TestLoginsStaySecret(t *testing.T) {
	cfg := DefaultConfig()
	cfg.NATS.URL = fmt.Sprintf("nats://daemon:s3cret@127.0.0.1:%d", testenv.FreePort(t)) // nobody there
	cfg.MQTT.URL = fmt.Sprintf("tcp://daemon:s3cret@127.0.0.1:%d", testenv.FreePort(t))
	b := open(t, cfg)
	told := fmt.Sprint(b.Health())
	natsURL, mqttURL, _ := b.Addresses()
	for what, text := range map[string]string{"health": told, "NATS address": natsURL, "MQTT address": mqttURL} {
		if strings.Contains(text, "s3cret") || !strings.Contains(text, "://127.0.0.1:") {
			t.Errorf("%s: %s", what, text)
		}
	}
}

// writeCertificate makes a self-signed certificate for 127.0.0.1.
func writeCertificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "posefuse"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestNetworkListenersNeedTLSAndUsers(t *testing.T) {
	cfg := testConfig()
	cfg.NATS.Listen, cfg.MQTT.Listen = "0.0.0.0:0", ":0"
	_, err := Open(cfg, Options{Room: "room1", StateDir: t.TempDir(), Version: "0.1.0", Log: slog.New(slog.DiscardHandler)})
	for _, want := range []string{"nats.listen", "mqtt.listen", "bus.tls.cert_file", "bus.users"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}

func TestTLSUsersAndRoles(t *testing.T) {
	cfg := testConfig()
	cfg.NATS.Listen, cfg.MQTT.Listen = "0.0.0.0:0", "0.0.0.0:0"
	cfg.TLS.CertFile, cfg.TLS.KeyFile = writeCertificate(t)
	cfg.Users = []User{{Name: "screen", Password: "s3cret", Role: Viewer}, {Name: "coach", Password: "s3cret", Role: Exercise}, {Name: "detector", Password: "s3cret", Role: Camera}}
	b := open(t, cfg)
	natsURL, mqttURL, _ := b.Addresses()
	natsURL, mqttURL = strings.ReplaceAll(natsURL, "0.0.0.0", "127.0.0.1"), strings.ReplaceAll(mqttURL, "0.0.0.0", "127.0.0.1")
	pool := x509.NewCertPool()
	pemBytes, err := os.ReadFile(cfg.TLS.CertFile)
	if err != nil || !pool.AppendCertsFromPEM(pemBytes) {
		t.Fatal("certificate", err)
	}
	trust := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if nc, err := nats.Connect(natsURL, nats.Secure(trust)); err == nil {
		nc.Close()
		t.Error("a client without user was let in")
	}
	denied := make(chan error, 10)
	viewer := natsClient(t, natsURL, nats.Secure(trust), nats.UserInfo("screen", "s3cret"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	ch := make(chan *nats.Msg, 10)
	if _, err := viewer.ChanSubscribe("posefuse.room1.>", ch); err != nil {
		t.Fatal(err)
	}
	if err := viewer.Publish("posefuse.room1.pose", []byte("forged")); err != nil {
		t.Fatal(err)
	}
	if err := viewer.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := testenv.Receive(t, "refusal", denied); !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
		t.Errorf("publishing as viewer: %v", err)
	}
	seen := natsClient(t, natsURL, nats.Secure(trust), nats.UserInfo("coach", "s3cret"))
	keypoints := make(chan *nats.Msg, 10)
	if _, err := seen.ChanSubscribe("posefuse.room1.keypoints", keypoints); err != nil {
		t.Fatal(err)
	}
	if err := seen.Flush(); err != nil {
		t.Fatal(err)
	}
	detector := natsClient(t, natsURL, nats.Secure(trust), nats.UserInfo("detector", "s3cret"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	if err := errors.Join(detector.Publish("posefuse.room1.keypoints", []byte("{}")), detector.Publish("posefuse.room1.pose", []byte("forged"))); err != nil {
		t.Fatal(err)
	}
	if _, err := detector.Subscribe("posefuse.room1.pose", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	testenv.Receive(t, "keypoint line", keypoints)
	for _, what := range []string{"publishing a pose as a detector", "reading poses as a detector"} {
		if err := testenv.Receive(t, "refusal", denied); !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
			t.Errorf("%s: %v", what, err)
		}
	}
	auth := func(user string) func(*mqtt.ClientOptions) {
		return func(o *mqtt.ClientOptions) { o.SetTLSConfig(trust).SetUsername(user).SetPassword("s3cret") }
	}
	overMQTT := collect(t, mqttClient(t, mqttURL, auth("screen")), "posefuse/room1/#")
	coach := mqttClient(t, mqttURL, auth("coach"))
	if tok := coach.Publish("posefuse/room1/exercise/event", 1, false, `{"from":"coach"}`); !tok.WaitTimeout(testenv.Patience) || tok.Error() != nil {
		t.Fatal("exercise event: ", tok.Error())
	}
	if got := testenv.Receive(t, "exercise event", overMQTT); string(got.Payload()) != `{"from":"coach"}` {
		t.Errorf("got %s", got.Payload())
	}
	testenv.Receive(t, "exercise event on NATS", ch)
	// The daemon itself logs in over TLS for the retained status.
	if err := b.PublishStatus(onlineStatus()); err != nil {
		t.Fatal(err)
	}
	for m := range overMQTT {
		if m.Topic() == "posefuse/room1/status" {
			break
		}
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"address":  {func(c *Config) { c.NATS.Listen = "4222" }, `nats.listen: "4222" is no address; write host:port, for example 127.0.0.1:4222`},
		"port":     {func(c *Config) { c.MQTT.Listen = "127.0.0.1:99999" }, `mqtt.listen: "127.0.0.1:99999": port "99999" is not a number from 0 to 65535`},
		"url":      {func(c *Config) { c.NATS.URL = "localhost:4222" }, `nats.url: no URL; write for example nats://host:port`},
		"scheme":   {func(c *Config) { c.MQTT.URL = "http://h:1" }, `mqtt.url: scheme "http" is unknown: use one of tcp, mqtt, ssl, mqtts, tls, ws, wss`},
		"half tls": {func(c *Config) { c.TLS.CertFile = "a" }, `tls.cert_file: a certificate needs its key and a key its certificate; set both cert_file and key_file`},
		"origin":   {func(c *Config) { c.WebSocket.AllowedOrigins = []string{"x"} }, `websocket.allowed_origins[0]: "x" is no origin; write for example http://127.0.0.1:8080`},
		"role":     {func(c *Config) { c.Users = []User{{Name: "a", Password: "b", Role: "root"}} }, `users[0].role: "root" is unknown: use viewer, exercise, control or camera`},
		"twice": {func(c *Config) {
			c.Users = []User{{Name: "a", Password: "b", Role: Viewer}, {Name: "a", Password: "b", Role: Viewer}}
		}, `users[1].name: "a" appears twice`},
		"password": {func(c *Config) { c.Users = []User{{Name: "a", Password: "", Role: Viewer}} }, `users[0].password: empty; set a password or its bcrypt hash`},
		"pending":  {func(c *Config) { c.MaxPendingKiB = 1 }, `max_pending_kib: 1 is out of range, want 1024 to 65536`},
		"write":    {func(c *Config) { c.WriteLimitMS = 1 }, `write_limit_ms: 1 is out of range, want 100 to 10000`},
		"store":    {func(c *Config) { c.MaxStoreMiB = 1 }, `max_store_mib: 1 is out of range, want 16 to 1048576`},
		"room":     {func(c *Config) { c.NATS.Listen = "0.0.0.0:4222" }, `nats.listen: 0.0.0.0:4222 can be reached from the network, and poses are health data: set bus.tls.cert_file and bus.tls.key_file and bus.users, or listen on 127.0.0.1`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			if err := errors.Join(cfg.Check()...); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	cfg := DefaultConfig()
	if err := errors.Join(cfg.Check()...); err != nil {
		t.Errorf("defaults: %v", err)
	}
}
