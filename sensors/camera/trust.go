package camera

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"

	"posefuse/setting"
)

// trust decides which certificates a camera may show.
type trust struct {
	roots  *x509.CertPool // nil: the system's
	pinned [][]byte       // certificates that are trusted themselves
}

// newTrust reads the key ca_file, which may be empty.
func newTrust(caFile string) (*trust, error) {
	if caFile == "" {
		return &trust{}, nil
	}
	data, err := setting.ReadFile(caFile, setting.MaxFile)
	if err != nil {
		return nil, problem("ca_file", err)
	}
	t := &trust{}
	if t.roots, err = x509.SystemCertPool(); err != nil {
		t.roots = x509.NewCertPool() // a machine without authorities
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue
		}
		t.roots.AddCert(cert)
		t.pinned = append(t.pinned, cert.Raw)
	}
	if len(t.pinned) == 0 {
		return nil, problem("ca_file", fmt.Errorf("%s holds no certificate in PEM form (BEGIN CERTIFICATE)", caFile))
	}
	return t, nil
}

// dial connects to a camera over TLS.
func (t *trust) dial(ctx context.Context, dialer *net.Dialer, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	raw, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // verify does it, and takes a pinned certificate of any name
		VerifyConnection:   func(s tls.ConnectionState) error { return t.verify(host, addr, s.PeerCertificates) },
	})
	ctx, cancel := context.WithTimeout(ctx, cameraConnect)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		if isType[*setting.Problem](err) {
			return nil, err
		}
		return nil, &net.OpError{Op: "TLS handshake", Net: network, Addr: raw.RemoteAddr(), Err: err}
	}
	return conn, nil
}

// verify refuses certificates that nobody trusted vouches for. One that ca_file
// holds itself is taken whatever names and times it has: cameras make
// certificates that have neither right.
func (t *trust) verify(host, addr string, chain []*x509.Certificate) error {
	for _, p := range t.pinned {
		if bytes.Equal(p, chain[0].Raw) {
			return nil
		}
	}
	o := x509.VerifyOptions{Roots: t.roots, DNSName: host, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(o)
	if err == nil {
		return nil
	}
	why := "is not signed by an authority that this machine knows"
	if isType[x509.HostnameError](err) {
		why = "is for another host than " + host
	} else if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.Expired {
		why = "is not valid at this time; check the clocks of the camera and of this machine"
	}
	return problem("ca_file", fmt.Errorf("the certificate of %s %s. To trust it all the same, fetch it over a network you trust and name its file here: openssl s_client -connect %s </dev/null | openssl x509 >camera.pem", addr, why, addr))
}
