package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCert: a client that trusts the certificate reaches its hosts and no other.
func TestCert(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	c := certCmd{Out: dir, Host: []string{"192.168.1.20", "Room1.local"}, Port: 8443, Days: 730}
	if err := c.Run(&out); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(pair.Leaf)
	for host, good := range map[string]bool{"192.168.1.20": true, "room1.local": true, "localhost": true, "127.0.0.1": true, "room2.local": false, "192.168.1.21": false} {
		ours, theirs := net.Pipe()
		go func() { _ = tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake() }()
		client := tls.Client(ours, &tls.Config{RootCAs: trusted, ServerName: host})
		_ = client.SetDeadline(time.Now().Add(time.Minute))
		if err := client.Handshake(); (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
		_, _ = ours.Close(), theirs.Close()
	}
	if info, err := os.Stat(filepath.Join(dir, "key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	for _, want := range []string{fingerprint(pair.Certificate[0]), "https://192.168.1.20:8443/", "until " + pair.Leaf.NotAfter.Local().Format(time.DateOnly), "▀"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not printed:\n%s", want, out.String())
		}
	}
	for _, bad := range []struct {
		change func(*certCmd)
		want   string
	}{
		{func(*certCmd) {}, "--force"},
		{func(c *certCmd) { c.Force, c.Host = true, []string{"room 1"} }, "no name of a host"},
		{func(c *certCmd) { c.Force, c.Host = true, []string{"-x"} }, "no name of a host"},
		{func(c *certCmd) { c.Days = 826 }, "--days"},
		{func(c *certCmd) { c.Port = 0 }, "--port"},
		{func(c *certCmd) { c.Out = filepath.Join(dir, "none") }, "--out"},
	} {
		wrong := c
		bad.change(&wrong)
		if err := wrong.Run(&out); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%+v: %v, want %q", wrong, err, bad.want)
		}
	}
}
