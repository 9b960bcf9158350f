package bus

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"posefuse/message"
	"posefuse/setting"
)

// Bounds of certificates.
const (
	maxPEM        = 1 << 20             // bytes of a file
	expirySoon    = 30 * 24 * time.Hour // the status warns
	leastRSA      = 2048                // bits
	certificateIn = 10 * time.Second    // a changed file is seen within
)

// certificates serves the certificate of two files and reads them again when
// they change. Files that cannot be used leave the last good one.
type certificates struct {
	cfg TLSConfig
	log *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	looked time.Time
	stamp  string // of the files that pair or problem came from
	err    error  // of the newest files
}

func newCertificates(cfg TLSConfig, log *slog.Logger) (*certificates, error) {
	pair, err := loadPair(&cfg)
	if err != nil {
		return nil, err
	}
	c := &certificates{cfg: cfg, log: log, pair: pair, looked: time.Now()}
	c.stamp = c.files()
	for _, note := range cfg.notes(pair, time.Now()) {
		log.Warn("certificate", "problem", note)
	}
	return c, nil
}

// loadPair reads the certificate and its key.
func loadPair(c *TLSConfig) (*tls.Certificate, error) {
	wrong := func(err error) error {
		return fmt.Errorf("bus.tls.cert_file: %s with key_file %s: %w", c.CertFile, c.KeyFile, err)
	}
	certificate, err := setting.ReadFile(c.CertFile, maxPEM)
	if err != nil {
		return nil, wrong(err)
	}
	key, err := setting.ReadFile(c.KeyFile, maxPEM)
	if err != nil {
		return nil, wrong(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, wrong(err)
	}
	return &pair, nil
}

// files tells whether the files changed.
func (c *certificates) files() string {
	s := ""
	for _, name := range []string{c.cfg.CertFile, c.cfg.KeyFile} {
		if info, err := os.Stat(name); err == nil {
			s += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), ";")
		}
	}
	return s
}

// current returns the certificate to serve.
func (c *certificates) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= certificateIn {
		c.looked = now
		if s := c.files(); s != c.stamp {
			c.read(s)
		}
	}
	return c.pair
}

// reload reads the files now.
func (c *certificates) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read(c.files())
	return c.err
}

func (c *certificates) read(stamp string) {
	pair, err := loadPair(&c.cfg)
	c.stamp, c.err = stamp, err
	if err != nil {
		c.log.Error("the changed certificate cannot be used; the old one serves on", "error", err)
		return
	}
	c.pair = pair
	c.log.Info("certificate read again", "file", c.cfg.CertFile, "valid_until", pair.Leaf.NotAfter)
}

// server returns the configuration of the listeners.
func (c *certificates) server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil }}
}

// pinned trusts exactly the server's own certificate, whatever names it has, in
// resumed sessions too.
func (c *certificates) pinned() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // the certificate itself is compared below
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, c.current().Certificate[0]) {
				return errors.New("another server answers at the daemon's own address")
			}
			return nil
		},
	}
}

// health is the part "bus.tls".
func (c *certificates) health(now time.Time) message.PartHealth {
	pair := c.current()
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	p := message.PartHealth{Part: "bus.tls", Code: "ok", Severity: "ok",
		Text: fmt.Sprintf("the certificate is valid until %s", pair.Leaf.NotAfter.Format(time.DateOnly))}
	notes := c.cfg.notes(pair, now)
	switch {
	case err != nil:
		p.Code, p.Severity, p.Text = "unreadable", "error", "the changed certificate cannot be used, the old one serves on: "+err.Error()
	case now.After(pair.Leaf.NotAfter):
		p.Code, p.Severity, p.Text = "expired", "error", notes[0]
	case len(notes) > 0:
		p.Code, p.Severity, p.Text = "certificate", "warning", notes[0]
	}
	return p
}

// notes says what is weak or ends soon, what has ended first.
func (c *TLSConfig) notes(pair *tls.Certificate, now time.Time) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch leaf := pair.Leaf; {
	case now.After(leaf.NotAfter):
		add("bus.tls.cert_file: %s expired on %s; clients refuse it: renew it", c.CertFile, leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		add("bus.tls.cert_file: %s is valid only from %s on; check the clock", c.CertFile, leaf.NotBefore.Format(time.DateOnly))
	case leaf.NotAfter.Sub(now) < expirySoon:
		add("bus.tls.cert_file: %s expires on %s; renew it, the daemon reads it again by itself", c.CertFile, leaf.NotAfter.Format(time.DateOnly))
	}
	if key, ok := pair.Leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < leastRSA {
		add("bus.tls.key_file: %s is an RSA key of %d bits; make one of %d or more, or an EC key", c.KeyFile, key.N.BitLen(), leastRSA)
	}
	if pair.Leaf.SignatureAlgorithm == x509.SHA1WithRSA || pair.Leaf.SignatureAlgorithm == x509.MD5WithRSA {
		add("bus.tls.cert_file: %s is signed with %v; make a new one", c.CertFile, pair.Leaf.SignatureAlgorithm)
	}
	if info, err := os.Stat(c.KeyFile); err == nil && info.Mode().Perm()&0o077 != 0 {
		add("bus.tls.key_file: others can read %s (mode %04o); chmod 600 it", c.KeyFile, info.Mode().Perm())
	}
	return out
}

// CertificateNotes says what is weak about the certificate, or ends soon. Files
// that cannot be read are CheckFiles's.
func (c *Config) CertificateNotes(now time.Time) []string {
	if c.TLS.CertFile == "" {
		return nil
	}
	pair, err := loadPair(&c.TLS)
	if err != nil {
		return nil
	}
	return c.TLS.notes(pair, now)
}
