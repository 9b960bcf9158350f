package pipeline

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// FuzzHostAndOrigin: what reaches the page is meant for this machine's addresses,
// localhost or a name of the certificate, as a browser reads them; and what
// changes something comes from a page of the same host.
func FuzzHostAndOrigin(f *testing.F) {
	const certificate = "posefuse.clinic.example"
	for _, host := range []string{"localhost", "localhost:8080", "127.0.0.1:8080", "[::1]", "[::1]:8080", "8.8.8.8", certificate + ":8080", "POSEFUSE.clinic.example",
		"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:127.0.0.1", "127.0.0.1:80@evil.example", "[evil.example]", "localhost:", ":8080", "", "[::1", "1", "0x7f.1", "127.0.0.1 evil.example", "[::1%25eth0]"} {
		f.Add(host, "", "")
		f.Add(host, "http://"+host, "")
		f.Add(host, "http://evil.example", "cross-site")
	}
	f.Add("127.0.0.1:8080", "null", "")
	f.Add("127.0.0.1:8080", "http://127.0.0.1:8080.evil.example", "same-site")
	f.Add("127.0.0.1:8080", "http://127.0.0.1:8081", "")
	f.Fuzz(func(t *testing.T, host, origin, site string) {
		if strings.ContainsAny(host+origin+site, "\r\n") {
			return // other headers
		}
		head := "POST /api/exercise HTTP/1.1\r\nHost: " + host + "\r\n"
		if origin != "" {
			head += "Origin: " + origin + "\r\n"
		}
		if site != "" {
			head += "Sec-Fetch-Site: " + site + "\r\n"
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n")))
		if err != nil {
			return // the server answers 400
		}
		reached := func(r *http.Request) (in bool) {
			next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { in = true })
			fromHere(next, func() []string { return []string{certificate} }).ServeHTTP(httptest.NewRecorder(), r)
			return in
		}
		in := reached(r)
		read := r.Clone(t.Context())
		read.Method = http.MethodGet
		if seen := reached(read); in && !seen {
			t.Errorf("host %q: may change what it may not read", host)
		} else if seen {
			if u, err := url.Parse("http://" + r.Host + "/"); err == nil && !mine(u.Hostname(), certificate) {
				t.Errorf("host %q: is read as %q, and was let in", host, u.Hostname())
			}
		}
		if !in {
			return
		}
		switch s := r.Header.Get("Sec-Fetch-Site"); s {
		case "", "same-origin", "none":
		default:
			t.Errorf("site %q was let in", s)
		}
		if o := r.Header.Get("Origin"); o != "" && r.Header.Get("Sec-Fetch-Site") == "" {
			if u, err := url.Parse(o); err != nil || !strings.EqualFold(u.Host, r.Host) {
				t.Errorf("origin %q was let in for the host %q", o, r.Host)
			}
		}
	})
}

// mine reports whether a browser that asks for the host cannot be led here by a
// name of somebody else.
func mine(host, certificate string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || strings.EqualFold(host, certificate)
}

// Every address of a listener is a host that is let in.
func TestOwnAddressesAreLetIn(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "192.168.1.7", "::1", "fd00::7"} {
		for _, host := range []string{net.JoinHostPort(ip, "8080"), strings.TrimSuffix(net.JoinHostPort(ip, ""), ":")} {
			in := false
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = host
			fromHere(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { in = true }), func() []string { return nil }).ServeHTTP(httptest.NewRecorder(), r)
			if !in {
				t.Errorf("%s is refused", host)
			}
		}
	}
}
