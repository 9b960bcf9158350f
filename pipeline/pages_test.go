package pipeline

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/pipeline/bus"
)

// ownCertificate writes a certificate for localhost that nobody signed.
func ownCertificate(t *testing.T) bus.TLSConfig {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(365 * 24 * time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := bus.TLSConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	for name, block := range map[string]*pem.Block{files.CertFile: {Type: "CERTIFICATE", Bytes: der}, files.KeyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestReloadOfPages moves the page between loopback and the network, changes its users,
// and lets a taken port refuse it: the page is made once, its guard when it needs
// another, and the same port is never without one that answers.
func TestReloadOfPages(t *testing.T) {
	opt := Options{Config: testConfig(t), Notify: func(string) error { return nil }}
	_, port, err := net.SplitHostPort(testenv.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	home, world := "127.0.0.1:"+port, "0.0.0.0:"+port
	withTLS := ownCertificate(t)
	anna := []bus.User{{Name: "anna", Password: "long-enough-word", Role: bus.Control}}
	opt.Config.Web.Listen = home
	opt.Config.Bus.TLS = withTLS
	next := opt.Config
	pages, guards := 0, []string{}
	opt.Reload = func() (Config, error) { return next, nil }
	opt.Page = func(*nats.Conn, string) http.Handler {
		pages++
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	}
	opt.Foxglove = func(*nats.Conn, string, []string) (http.Handler, error) { return http.NotFoundHandler(), nil }
	opt.Guard = func(b *bus.Bus, network bool) func(http.Handler) http.Handler {
		guards = append(guards, fmt.Sprintf("network %v, users %v", network, b.HasUsers()))
		return func(h http.Handler) http.Handler { return h }
	}
	d := &daemonUnderTest{}
	d.start(t, opt)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answers := func(url string) bool {
		req, reqErr := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if reqErr != nil {
			t.Fatal(reqErr)
		}
		resp, doErr := client.Do(req)
		if doErr != nil {
			return false
		}
		body, readErr := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		return readErr == nil && resp.StatusCode == http.StatusOK && string(body) == "page"
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	other := testenv.FreeAddr(t)
	for _, c := range []struct {
		name    string
		edit    func(*Config)
		url     string // where the page is then
		guards  int    // made so far
		waiting []string
		refused string
	}{
		{"as it was", func(*Config) {}, "http://" + home, 1, nil, ""},
		{"users", func(c *Config) { c.Bus.Users = anna }, "http://" + home, 2, nil, ""},
		{"the network, same port", func(c *Config) { c.Bus.Users, c.Web.Listen = anna, world }, "https://" + home, 3, nil, ""},
		{"Foxglove's port is taken", func(c *Config) { c.Web.Listen, c.Web.Foxglove = other, taken.Addr().String() }, "https://" + home, 3, nil, "web.foxglove"},
		{"loopback without users, same port", func(*Config) {}, "http://" + home, 4, nil, ""},
		{"another port", func(c *Config) { c.Web.Listen = other }, "http://" + other, 4, nil, ""},
		{"one of its own", func(c *Config) { c.Web.Listen, c.Sync.RateHz, c.Web.Foxglove = home, 19, other }, "http://" + home, 4, []string{"sync.rate_hz", "web.foxglove"}, ""},
		{"off", func(c *Config) { c.Web.Enabled = false }, "", 4, nil, ""},
		{"on again", func(*Config) {}, "http://" + home, 4, nil, ""},
	} {
		next = opt.Config
		c.edit(&next)
		applied, waiting, err := d.Reload()
		if c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) || c.refused == "" && err != nil || !slices.Equal(waiting, c.waiting) {
			t.Fatalf("%s: waiting %v, %v; want %v, %q", c.name, waiting, err, c.waiting, c.refused)
		}
		if slices.ContainsFunc(waiting, func(key string) bool { return slices.Contains(applied, key) }) {
			t.Errorf("%s: applied %v, waiting %v", c.name, applied, waiting)
		}
		if len(guards) != c.guards || pages != 1 {
			t.Errorf("%s: guards %v, %d pages", c.name, guards, pages)
		}
		if d.WebURL() != strings.Replace(c.url, home, hostIn(d.WebURL(), port), 1) || c.url != "" && !answers(c.url) || c.url == "" && answers("http://"+home) {
			t.Errorf("%s: the page is at %q, want it to answer at %q", c.name, d.WebURL(), c.url)
		}
		if l, err := net.Listen("tcp", other); c.refused != "" && err != nil {
			t.Errorf("%s: a port that was opened for it is not free: %v", c.name, err)
		} else if err == nil {
			_ = l.Close()
		}
	}
	if want := []string{"network false, users false", "network false, users true", "network true, users true", "network false, users false"}; !slices.Equal(guards, want) {
		t.Errorf("guards %v, want %v", guards, want)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
}

// hostIn returns the host with the port that is in an address of the page.
func hostIn(url, port string) string {
	_, at, _ := strings.Cut(url, "://")
	if !strings.HasSuffix(at, ":"+port) {
		return "127.0.0.1:" + port
	}
	return at
}

// TestPageWaitsForTLS: a page for the network waits while the daemon runs without the
// certificates that its file names now.
func TestPageWaitsForTLS(t *testing.T) {
	opt := Options{Config: testConfig(t), Notify: func(string) error { return nil }}
	next := opt.Config
	opt.Reload = func() (Config, error) { return next, nil }
	d := &daemonUnderTest{}
	d.start(t, opt)
	before := d.WebURL()
	next.Bus.TLS = ownCertificate(t)
	next.Bus.Users = []bus.User{{Name: "anna", Password: "long-enough-word", Role: bus.Control}}
	next.Web.Listen = "0.0.0.0:0"
	_, waiting, err := d.Reload()
	if want := []string{"bus.tls.cert_file", "bus.tls.key_file", "web.listen"}; err != nil || !slices.Equal(waiting, want) {
		t.Errorf("waiting %v, %v; want %v", waiting, err, want)
	}
	if got := d.WebURL(); got != before {
		t.Errorf("the page is at %s, was at %s", got, before)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
}
