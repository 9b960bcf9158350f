package camera

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/setting"
)

// secret is in every password of these tests; no error may hold it.
const secret = "s3cret"

// passwordFile writes a password file.
func passwordFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// digestServer checks logins as RFC 7616 says, and makes a nonce too old after
// a number of uses.
type digestServer struct {
	algorithm string
	sum       func() hash.Hash
	uses      int  // of a nonce
	says      bool // that it is the nonce that is too old

	nonce, used, renewed int
}

func (d *digestServer) hex(parts ...string) string {
	h := d.sum()
	h.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(h.Sum(nil))
}

func (d *digestServer) allows(w http.ResponseWriter, r *http.Request) bool {
	p := map[string]string{}
	if all := parseChallenges(r.Header.Get("Authorization")); len(all) == 1 {
		p = all[0].params
	}
	nonce := fmt.Sprint("nonce", d.nonce)
	right := d.hex(d.hex("admin", `the "door"`, secret), p["nonce"], p["nc"], p["cnonce"], "auth", d.hex("GET", r.URL.RequestURI()))
	known := p["response"] == right && p["uri"] == r.URL.RequestURI() && p["opaque"] == "o"
	if known && p["nonce"] == nonce && p["nc"] == fmt.Sprintf("%08x", d.used+1) && d.used < d.uses {
		d.used++
		return true
	}
	if known {
		d.renewed++
	}
	d.nonce, d.used = d.nonce+1, 0
	w.Header().Add("WWW-Authenticate", `Basic realm="worse"`)
	challenge := fmt.Sprintf(`Digest realm="the \"door\"", nonce="nonce%d", qop="auth", opaque="o", algorithm=%s`, d.nonce, d.algorithm)
	if d.says && known {
		challenge += ", stale=true"
	}
	w.Header().Add("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

// TestCameraLogin: the camera's way of logging in, the right password.
func TestCameraLogin(t *testing.T) {
	picture := encodeJPEG(t, gradient(16, 16))
	for name, c := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"Basic": func(w http.ResponseWriter, r *http.Request) bool {
			if u, p, ok := r.BasicAuth(); !ok || u != "admin" || p != secret {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				return false
			}
			return true
		},
		"Digest, MD5":            (&digestServer{algorithm: "MD5", sum: md5.New, uses: 1000}).allows,
		"Digest, SHA-256":        (&digestServer{algorithm: "SHA-256", sum: sha256.New, uses: 1000}).allows,
		"nonces that grow stale": (&digestServer{algorithm: "SHA-256", sum: sha256.New, uses: 2, says: true}).allows,
		"and nobody says so":     (&digestServer{algorithm: "MD5", sum: md5.New, uses: 2}).allows,
	} {
		file := passwordFile(t, secret+"\r\nnot this\n")
		for way, cfg := range map[string]MJPEGConfig{
			"keys": {User: "admin", PasswordFile: file}, "URL": {URL: "http://admin:" + secret + "@"}, "both": {URL: "http://admin@", PasswordFile: file},
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				server := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if c(w, r) {
						w.Header().Set("Content-Type", "image/jpeg")
						_, _ = w.Write(picture)
					}
				})
				address := strings.TrimPrefix(server.URL, "http://") + "/snap?res=a%20b"
				if cfg.URL == "" {
					cfg.URL = "http://"
				}
				cfg.URL, cfg.MaxRateHz = cfg.URL+address, 120
				if found := cfg.Check(); len(found) > 0 {
					t.Fatal(found)
				}
				src, sink := mjpegSource(cfg), newClockSink()
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- src.Run(ctx, sink) }()
				for range 6 {
					select {
					case <-sink.samples:
					case err := <-done:
						t.Fatal(err)
					case <-time.After(testenv.Patience):
						t.Fatal("no sample")
					}
				}
				cancel()
				if err := testenv.Receive(t, "the end", done); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestCameraRefusesLogin in one sentence, and is not asked again at once with
// what it refused.
func TestCameraRefusesLogin(t *testing.T) {
	var asked atomic.Int64
	var accept atomic.Bool
	picture := encodeJPEG(t, gradient(16, 16))
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if accept.Load() {
			stream(w, picture)
			return
		}
		w.Header().Set("WWW-Authenticate", `Digest realm="r", nonce="n", qop="auth"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	file := passwordFile(t, "wrong-"+secret)
	src := mjpegSource(MJPEGConfig{URL: server.URL, User: "admin", PasswordFile: file})
	src.grabber.(*mjpegGrabber).refusals = time.Hour
	want := "user: " + server.URL + ": the camera refuses this user and password; correct them (some cameras lock a user out after a few wrong ones)"
	run := func(wantAsked int64, want string) {
		t.Helper()
		asked.Store(0)
		err := src.Run(t.Context(), newClockSink())
		if err == nil || err.Error() != want || asked.Load() != wantAsked {
			t.Errorf("asked %d times, want %d\ngot  %v\nwant %s", asked.Load(), wantAsked, err, want)
		}
	}
	run(2, want)
	run(0, want) // the supervisor tries again and again
	run(0, want)
	if err := os.WriteFile(file, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(2, want)
	run(0, want)
	src.grabber.(*mjpegGrabber).refusals = 0 // the time is over
	accept.Store(true)
	run(1, server.URL+": the camera ended the stream")
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(0, "password_file: "+file+": its first line is no password; write it there, and nothing else")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	run(0, "password_file: open "+file+": no such file or directory")

	accept.Store(false)
	src = mjpegSource(MJPEGConfig{URL: server.URL})
	run(1, "user: "+server.URL+": the camera asks for a user and a password; set user and password_file")
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "NTLM")
		w.WriteHeader(http.StatusUnauthorized)
	})
	src = mjpegSource(MJPEGConfig{URL: "http://u:" + secret + "@" + other.Listener.Addr().String()})
	run(0, "url: http://...@"+other.Listener.Addr().String()+": the camera asks for a login other than Basic or Digest; choose one of these in the camera's settings")
}

// TestRedirectionTakesNoPassword to another host.
func TestRedirectionTakesNoPassword(t *testing.T) {
	picture := encodeJPEG(t, gradient(16, 16))
	var asks atomic.Bool
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Authorization"])+len(r.Header["Cookie"])+len(r.Header["Referer"]) > 0 || strings.Contains(r.URL.String(), secret) {
			t.Errorf("another host was given %v, %v", r.URL, r.Header)
		}
		if asks.Load() {
			w.Header().Set("WWW-Authenticate", `Basic realm="give me"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		stream(w, picture)
	})
	camera := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, p, _ := r.BasicAuth(); p != secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Location", strings.Replace(other.URL, "//", "//me:too@", 1))
		w.WriteHeader(http.StatusFound)
	})
	address := "http://admin:" + secret + "@" + camera.Listener.Addr().String()
	for _, want := range []string{": the camera ended the stream", ": redirected to another host that asks for a password, which is not given away; write that host's address"} {
		sink := newClockSink()
		err := mjpegSource(MJPEGConfig{URL: address}).Run(t.Context(), sink)
		if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if got := len(sink.samples); asks.Load() == (got == 1) {
			t.Errorf("%d samples", got)
		}
		asks.Store(true)
	}
	for from, to := range map[string]bool{
		"http://a/ http://a/x": true, "http://a/ http://a:81/": false, "http://a/ https://a/": true, "https://a/ http://a/": false,
		"https://a:8443/ https://a/": true, "https://a/ https://b/": false, "http://a/ https://a.b/": false,
	} {
		a, b, _ := strings.Cut(from, " ")
		ua, errA := url.Parse(a)
		ub, errB := url.Parse(b)
		if errA != nil || errB != nil || sameCamera(ua, ub) != to {
			t.Errorf("%s: want %v", from, to)
		}
	}
}

// TestCameraCertificates: who is not known is not talked to, and what to do is
// said.
func TestCameraCertificates(t *testing.T) {
	picture := encodeJPEG(t, gradient(16, 16))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { stream(w, picture) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of each that is refused
	server.StartTLS()
	defer server.Close()
	plain := serve(t, func(w http.ResponseWriter, _ *http.Request) { stream(w, picture) })
	own := passwordFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	empty := passwordFile(t, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	addr := server.Listener.Addr().String()
	byName := "localhost:" + strings.Split(addr, ":")[1] // which the certificate does not have
	unknown := "ca_file: the certificate of " + addr + " is not signed by an authority that this machine knows. To trust it all the same, fetch it over a network you trust and name its file here: openssl s_client -connect " + addr + " </dev/null | openssl x509 >camera.pem"
	for name, c := range map[string]struct {
		cfg  MJPEGConfig
		want string
	}{
		"unknown":           {MJPEGConfig{URL: server.URL}, unknown},
		"its own":           {MJPEGConfig{URL: server.URL, CAFile: own}, server.URL + ": the camera ended the stream"},
		"its own, no name":  {MJPEGConfig{URL: "https://" + byName, CAFile: own}, "https://" + byName + ": the camera ended the stream"},
		"no certificate":    {MJPEGConfig{URL: server.URL, CAFile: empty}, "ca_file: " + empty + " holds no certificate in PEM form (BEGIN CERTIFICATE)"},
		"no file":           {MJPEGConfig{URL: server.URL, CAFile: "/none.pem"}, "ca_file: open /none.pem: no such file or directory"},
		"no TLS":            {MJPEGConfig{URL: "https://" + plain.Listener.Addr().String()}, "url: https://" + plain.Listener.Addr().String() + ": this port does not speak TLS; write http://, or the port of https"},
		"TLS but not asked": {MJPEGConfig{URL: "http://" + addr}, "url: http://" + addr + ": the camera answers 400 instead of pictures; open the address in a browser to see what it wants"},
	} {
		t.Run(name, func(t *testing.T) {
			sink := newClockSink()
			err := mjpegSource(c.cfg).Run(t.Context(), sink)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if got := len(sink.samples); (got == 1) != strings.HasSuffix(c.want, "stream") {
				t.Errorf("%d samples", got)
			}
		})
	}
}

func TestMJPEGConfigCheck(t *testing.T) {
	file := passwordFile(t, secret)
	for name, c := range map[string]struct {
		cfg  MJPEGConfig
		want string // "": nothing is wrong
	}{
		"default":           {*NewMJPEGConfig(), ""},
		"user and password": {MJPEGConfig{URL: "https://c/%40?a=b@c", User: "u", PasswordFile: file}, ""},
		"every picture":     {MJPEGConfig{URL: "http://[::1]:81/", MaxRateHz: 0}, ""},
		"no URL":            {MJPEGConfig{}, "url: no URL; write for example http://192.168.0.90/video.mjpg, and %2F, %3F, %23, %40 for / ? # @ in a user or password"},
		"no host":           {MJPEGConfig{URL: "http:///" + secret}, "url: no URL"},
		"RTSP":              {MJPEGConfig{URL: "rtsp://u:" + secret + "@c/1?" + secret}, "url: rtsp://...@c/1?... is no address of a web server; write http:// or https://"},
		"slash in password": {MJPEGConfig{URL: "http://u:12/" + secret + "@c/"}, "url: an @ behind the host; write %2F, %3F, %23, %40 for / ? # @ in a user or password, and %40 for @ in a path"},
		"other password":    {MJPEGConfig{URL: "http://u:" + secret + "/@c/"}, "url: no URL"},
		"control character": {MJPEGConfig{URL: "http://u:" + secret + "\n@c/"}, "url: no URL"},
		"bad escape":        {MJPEGConfig{URL: "http://u:" + secret + "%zz@c/"}, "url: no URL"},
		"two users":         {MJPEGConfig{URL: "http://u@c/", User: "v"}, "user: the url has a user, too; keep one of them"},
		"two passwords":     {MJPEGConfig{URL: "http://u:" + secret + "@c/", PasswordFile: file}, "password_file: the url has a password, too; keep one of them"},
		"password alone":    {MJPEGConfig{URL: "http://c/", PasswordFile: file}, "password_file: a password without a user; set user, too"},
		"user with a colon": {MJPEGConfig{URL: "http://c/", User: "a:b"}, "user: a user's name has no colon and no control characters"},
		"rate":              {MJPEGConfig{URL: "http://c/", MaxRateHz: -1}, "max_rate_hz: -1 is out of range, want 0 to 120"},
	} {
		t.Run(name, func(t *testing.T) {
			found := c.cfg.Check()
			if c.want == "" {
				if len(found) > 0 {
					t.Errorf("found %v", found)
				}
				return
			}
			if len(found) != 1 || !strings.HasPrefix(found[0].Error(), c.want) || strings.Contains(found[0].Error(), secret) {
				t.Errorf("got  %v\nwant %s", found, c.want)
			}
			if _, ok := errors.AsType[*setting.Problem](found[0]); !ok {
				t.Error("not a problem of a key")
			}
		})
	}
	if files := (&MJPEGConfig{PasswordFile: "p", CAFile: "c"}).Files(); len(files) != 2 || files["password_file"] != "p" || files["ca_file"] != "c" || len(NewMJPEGConfig().Files()) != 0 {
		t.Errorf("files %v", files)
	}
}

func TestRedacted(t *testing.T) {
	for raw, want := range map[string]string{
		"http://c/video.mjpg": "http://c/video.mjpg", "http://u:" + secret + "@c:81/v": "http://...@c:81/v", "http://c/v?user=u&pwd=" + secret + "#x": "http://c/v?...",
		"http://u:a/" + secret + "@c/v": "http://...", "http://u:" + secret + "?x@c": "http://...", "http://c?p=a@" + secret: "http://...", "http://u:a@" + secret + "@c/v": "http://...@c/v", secret: "...", "u:" + secret + "@c": "...", "u:" + secret + " http://c": "...",
	} {
		if got := redacted(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

func FuzzRedacted(f *testing.F) {
	f.Add("u", "p@ss/wo?rd#", "/video?x=@y")
	f.Fuzz(func(t *testing.T, user, password, path string) {
		hidden := "XYZ" + password + "ZYX"
		raw := "http://" + url.UserPassword(user, hidden).String() + "@camera/" + path
		unescaped := "http://" + strings.ReplaceAll(user, "://", "") + ":" + hidden + "@camera"
		for _, r := range []string{raw, unescaped} {
			if shown := redacted(r); strings.Contains(shown, "ZYX") || strings.Contains(shown, "XYZ") {
				t.Errorf("%q is shown as %q", r, shown)
			}
			if _, err := parseURL(r); err != nil && strings.Contains(err.Error(), "XYZ") {
				t.Errorf("%q: %v", r, err)
			}
		}
	})
}
