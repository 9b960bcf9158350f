package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	qr "github.com/piglig/go-qr"

	"posefuse/setting"
)

type certCmd struct {
	Out   string   `default:"." placeholder:"DIR" help:"Folder for cert.pem and key.pem."`
	Host  []string `placeholder:"NAME" help:"Addresses and names by which tablets reach this machine; without it those it has."`
	Port  int      `default:"8443" help:"Port of the page, for the address that is printed."`
	Days  int      `default:"730" help:"How long the certificate is valid; tablets refuse more than 825 days."`
	Force bool     `help:"Replace files that are there."`
}

// Help shows the command's example.
func (certCmd) Help() string {
	return "Example: a certificate for the page on the tablet\n\n  posefuse cert --out /etc/posefuse --host 192.168.1.20 --host room1.local\n\n" +
		"Compare the fingerprint with what the tablet shows before you trust it."
}

// maxCertDays is what Apple's devices accept.
const maxCertDays = 825

// Run writes a self-signed certificate and its key, and prints the fingerprint and
// the page's address as a QR code.
func (c certCmd) Run(out io.Writer) error {
	if c.Days < 1 || c.Days > maxCertDays {
		return fmt.Errorf("--days: %d is out of range: give 1 to %d", c.Days, maxCertDays)
	}
	if c.Port < 1 || c.Port > 65535 {
		return fmt.Errorf("--port: %d is no port: give 1 to 65535", c.Port)
	}
	hosts := c.Host
	if len(hosts) == 0 {
		hosts = ownHosts()
	}
	cert, key, err := selfSigned(hosts, time.Now(), c.Days)
	if err != nil {
		return err
	}
	certFile, keyFile := filepath.Join(c.Out, "cert.pem"), filepath.Join(c.Out, "key.pem")
	if err = writePEM(keyFile, "PRIVATE KEY", key, 0o600, c.Force); err != nil {
		return err
	}
	if err = writePEM(certFile, "CERTIFICATE", cert, 0o644, c.Force); err != nil {
		return err
	}
	page := url.URL{Scheme: "https", Host: net.JoinHostPort(hosts[0], fmt.Sprint(c.Port)), Path: "/"}
	picture, err := qrCode(page.String())
	if err != nil {
		return err
	}
	absCert, absKey := certFile, keyFile
	if a, absErr := filepath.Abs(c.Out); absErr == nil {
		absCert, absKey = filepath.Join(a, "cert.pem"), filepath.Join(a, "key.pem")
	}
	_, err = fmt.Fprintf(out, `certificate  %s, for %s, until %s
key          %s (only this user can read it)
SHA-256      %s

In the configuration, beside bus.users:

  bus:
    tls: {cert_file: %s, key_file: %s}
  web: {listen: "0.0.0.0:%d"}

The page: %s

%s`, certFile, strings.Join(hosts, ", "), time.Now().AddDate(0, 0, c.Days).Format(time.DateOnly), keyFile, fingerprint(cert), absCert, absKey, c.Port, page.String(), picture)
	return err
}

// ownHosts are the addresses and names of this machine, the most useful first.
func ownHosts() (hosts []string) {
	for _, ip := range setting.OwnAddresses() {
		hosts = append(hosts, ip.String())
	}
	if name, err := os.Hostname(); err == nil && name != "" && name != "localhost" {
		hosts = append(hosts, strings.ToLower(name))
		if !strings.Contains(name, ".") {
			hosts = append(hosts, strings.ToLower(name)+".local")
		}
	}
	if len(hosts) == 0 {
		hosts = []string{"127.0.0.1"}
	}
	return hosts
}

// selfSigned makes a certificate and its key, as DER. A tablet can install it as
// an authority, which can vouch for no other host than these.
func selfSigned(hosts []string, now time.Time, days int) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "posefuse " + hosts[0]},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(0, 0, days), // a tablet's clock may be behind
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, PermittedDNSDomainsCritical: true}
	for _, h := range append(slices.Clone(hosts), "localhost", "127.0.0.1") {
		if ip := net.ParseIP(h); ip != nil {
			if slices.ContainsFunc(t.IPAddresses, ip.Equal) {
				continue
			}
			if four := ip.To4(); four != nil {
				ip = four
			}
			t.IPAddresses = append(t.IPAddresses, ip)
			t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
			continue
		}
		if !hostName(h) {
			return nil, nil, fmt.Errorf("--host: %q is no address and no name of a host; write for example 192.168.1.20 or room1.local", h)
		}
		if !slices.Contains(t.DNSNames, strings.ToLower(h)) {
			t.DNSNames = append(t.DNSNames, strings.ToLower(h))
		}
	}
	t.PermittedDNSDomains = t.DNSNames
	if cert, err = x509.CreateCertificate(rand.Reader, t, t, private.Public(), private); err != nil {
		return nil, nil, err
	}
	key, err = x509.MarshalPKCS8PrivateKey(private)
	return cert, key, err
}

// hostName reports whether a word can be the name of a host.
func hostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return true
}

// fingerprint is what tablets show of a certificate.
func fingerprint(cert []byte) string {
	sum := sha256.Sum256(cert)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

func writePEM(name, kind string, der []byte, mode fs.FileMode, force bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; --force replaces it", name)
	}
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if err = f.Chmod(mode); err == nil {
		err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// quiet is the empty border that a QR code needs, modules.
const quiet = 2

// qrCode draws a QR code for a terminal, two rows a line, dark on light whatever the
// terminal's colours are.
func qrCode(text string) (string, error) {
	code, err := qr.EncodeText(text, qr.Low)
	if err != nil {
		return "", fmt.Errorf("QR code: %w", err)
	}
	dark := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < code.Size() && y < code.Size() && code.Module(x, y)
	}
	var b strings.Builder
	for y := -quiet; y < code.Size()+quiet; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quiet; x < code.Size()+quiet; x++ {
			switch up, down := dark(x, y), dark(x, y+1); {
			case up && down:
				b.WriteString("█")
			case up:
				b.WriteString("▀")
			case down:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), nil
}
