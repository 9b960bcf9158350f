package bus

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"posefuse/internal/testenv"
)

// A new certificate is served without a restart, a broken one is not, and the
// status says which.
func TestCertificateIsReadAgain(t *testing.T) {
	certFile, keyFile := writeCertificate(t)
	c, err := newCertificates(TLSConfig{CertFile: certFile, KeyFile: keyFile}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := c.current()
	replace := func(cert, key []byte) {
		t.Helper()
		for name, b := range map[string][]byte{certFile: cert, keyFile: key} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			later := time.Now().Add(time.Duration(len(b)) * time.Second) // the file system's clock may be coarse
			if err := os.Chtimes(name, later, later); err != nil {
				t.Fatal(err)
			}
		}
	}
	looked := func() *tls.Certificate {
		c.mu.Lock()
		c.looked = time.Time{}
		c.mu.Unlock()
		return c.current()
	}
	if looked() != first {
		t.Error("read again without a change")
	}
	replace([]byte("broken"), []byte("broken"))
	if looked() != first {
		t.Error("the broken one is served")
	}
	if p := c.health(time.Now()); p.Code != "unreadable" || p.Severity != "error" || !strings.Contains(p.Text, certFile) {
		t.Errorf("%+v", p)
	}
	if err := c.reload(); err == nil {
		t.Error("a reload of a broken one is no error")
	}
	otherCert, otherKey := writeCertificate(t)
	replace(read(t, otherCert), read(t, otherKey))
	if looked() == first || bytes.Equal(c.current().Certificate[0], first.Certificate[0]) {
		t.Error("the new one is not served")
	}
	if p := c.health(time.Now()); p.Code != "certificate" || p.Severity != "warning" { // it ends in an hour
		t.Errorf("%+v", p)
	}
	if err := c.reload(); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCertificateNotes(t *testing.T) {
	certFile, keyFile := writeCertificate(t)
	cfg := testConfig()
	cfg.TLS.CertFile, cfg.TLS.KeyFile = certFile, keyFile
	pair, err := loadPair(&cfg.TLS)
	if err != nil {
		t.Fatal(err)
	}
	end := pair.Leaf.NotAfter
	for want, now := range map[string]time.Time{
		"expired on":         end.Add(time.Hour),
		"expires on":         end.Add(-time.Hour),
		"is valid only from": pair.Leaf.NotBefore.Add(-time.Hour),
	} {
		if notes := cfg.CertificateNotes(now); len(notes) != 1 || !strings.Contains(notes[0], want) || !strings.HasPrefix(notes[0], "bus.tls.cert_file: "+certFile) {
			t.Errorf("%s: %q", want, notes)
		}
	}
	if err := os.Chmod(keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(cfg.CertificateNotes(end.Add(time.Hour)), "\n"); !strings.Contains(notes, "bus.tls.key_file: others can read "+keyFile) {
		t.Errorf("an open key: %q", notes)
	}
	b := open(t, cfg)
	testenv.Wait(t, "the part bus.tls", func() bool {
		for _, p := range b.Health() {
			if p.Part == "bus.tls" {
				return p.Severity == "warning"
			}
		}
		return false
	})
}
