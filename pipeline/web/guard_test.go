package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

// door is a guarded page with two users; known says whether they still are.
type door struct {
	srv   *httptest.Server
	known atomic.Bool
	asked atomic.Int64 // passwords looked at
}

func openDoor(t *testing.T, required bool) *door {
	t.Helper()
	d := new(door)
	d.known.Store(true)
	nc := startBus(t)
	g := NewGuard(GuardOptions{Required: required, TLS: true, SignIn: func(_ context.Context, name, password, _ string) (Visitor, error) {
		d.asked.Add(1)
		if password != "right" || name != "anna" && name != "vera" {
			return Visitor{}, errors.New("nobody")
		}
		return Visitor{Name: name, Control: name == "anna", Valid: d.known.Load}, nil
	}})
	c := new(chooser)
	c.list(t, nc)
	c.serveOrders(t, nc)
	d.srv = httptest.NewTLSServer(http.NewCrossOriginProtection().Handler(g.Wrap(Handler(nc, "room1", Options{Ask: c.choose}))))
	t.Cleanup(d.srv.Close)
	return d
}

// client is a browser with cookies of its own.
func (d *door) client(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: d.srv.Client().Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (d *door) do(t *testing.T, c *http.Client, method, path, body string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost && strings.HasPrefix(path, "/log") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

func (d *door) login(t *testing.T, c *http.Client, name, password string) *http.Response {
	t.Helper()
	return d.do(t, c, http.MethodPost, "/login", url.Values{"user": {name}, "password": {password}}.Encode())
}

// feed opens the feed with the cookies of a browser.
func (d *door) feed(t *testing.T, c *http.Client) (*websocket.Conn, error) {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), d.srv.URL+"/ws", &websocket.DialOptions{HTTPClient: c})
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	return conn, err
}

func TestLogin(t *testing.T) {
	d := openDoor(t, true)
	c := d.client(t)
	for path, want := range map[string]int{"/": 401, "/engineer": 401, "/ws": 401, "/api/me": 401, "/api/exercise": 401, "/login": 200, "/assets/none.js": 404} {
		if got := d.do(t, c, http.MethodGet, path, "").StatusCode; got != want {
			t.Errorf("a stranger gets %d at %s, want %d", got, path, want)
		}
	}
	if r := d.do(t, c, http.MethodGet, "/", "", "Accept", "text/html"); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/login" {
		t.Errorf("a browser is sent to %q with %d", r.Header.Get("Location"), r.StatusCode)
	}
	if r := d.login(t, c, "anna", "wrong"); r.StatusCode != http.StatusUnauthorized || len(r.Cookies()) != 0 {
		t.Errorf("a wrong password gives %d and %v", r.StatusCode, r.Cookies())
	}
	r := d.login(t, c, "anna", "right")
	cookies := r.Cookies()
	if r.StatusCode != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("the login gives %d and %v", r.StatusCode, cookies)
	}
	if k := cookies[0]; k.Name != "__Host-posefuse" || !k.HttpOnly || !k.Secure || k.SameSite != http.SameSiteStrictMode || k.Path != "/" || k.Domain != "" || len(k.Value) < 40 {
		t.Errorf("the cookie is %v", k)
	}
	if got := d.do(t, c, http.MethodGet, "/api/me", "").StatusCode; got != http.StatusOK {
		t.Fatalf("after the login: %d", got)
	}
	stolen := cookies[0].Name + "=" + cookies[0].Value
	thief := d.client(t)
	if got := d.do(t, thief, http.MethodGet, "/api/me", "", "Cookie", stolen).StatusCode; got != http.StatusOK {
		t.Fatalf("the cookie alone: %d", got)
	}
	conn, err := d.feed(t, c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	if r := d.do(t, c, http.MethodPost, "/logout", ""); r.StatusCode != http.StatusSeeOther || r.Header.Get("Clear-Site-Data") == "" {
		t.Errorf("the logout gives %d", r.StatusCode)
	}
	if got := d.do(t, thief, http.MethodGet, "/api/me", "", "Cookie", stolen).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("a cookie stolen before the logout still works: %d", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	for err == nil { // what was on its way
		_, _, err = conn.Read(ctx)
	}
	if ctx.Err() != nil {
		t.Error("the logout leaves the feed open")
	}
}

// TestRolesOnThePage: who may watch may not change, on two tablets at once.
func TestRolesOnThePage(t *testing.T) {
	d := openDoor(t, true)
	anna, vera := d.client(t), d.client(t)
	if a, v := d.login(t, anna, "anna", "right").StatusCode, d.login(t, vera, "vera", "right").StatusCode; a != http.StatusSeeOther || v != http.StatusSeeOther {
		t.Fatalf("logins: %d, %d", a, v)
	}
	order := `{"exercises":["A12"]}`
	for _, x := range []struct {
		who    *http.Client
		path   string
		header []string
		want   int
	}{
		{anna, "/api/exercise", nil, http.StatusOK},
		{vera, "/api/exercise", nil, http.StatusForbidden},
		{vera, "/api/ctl/model.rollback", nil, http.StatusForbidden},
		{anna, "/api/ctl/model.rollback", nil, http.StatusBadRequest}, // nobody answers here
		{anna, "/api/ctl/reload", nil, http.StatusNotFound},
		{anna, "/api/exercise", []string{"Origin", "https://elsewhere.example"}, http.StatusForbidden},
		{anna, "/api/exercise", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
	} {
		if got := d.do(t, x.who, http.MethodPost, x.path, order, x.header...).StatusCode; got != x.want {
			t.Errorf("%s %v: %d, want %d", x.path, x.header, got, x.want)
		}
	}
	d.known.Store(false) // somebody took the users out of the configuration
	if got := d.do(t, anna, http.MethodGet, "/api/me", "").StatusCode; got != http.StatusUnauthorized {
		t.Errorf("a user who is gone gets %d", got)
	}
}

// TestPrograms: a program gives its password with each request.
func TestPrograms(t *testing.T) {
	d := openDoor(t, true)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.srv.URL+"/api/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("vera", "right")
	resp, err := d.client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 0 {
		t.Errorf("%d, %v", resp.StatusCode, resp.Cookies())
	}
}

// TestBruteForce: guesses are not even looked at after a few.
func TestBruteForce(t *testing.T) {
	d := openDoor(t, true)
	c := d.client(t)
	refused := 0
	for i := range 40 {
		r := d.login(t, c, "anna", fmt.Sprint("guess", i))
		if r.StatusCode == http.StatusTooManyRequests {
			refused++
			if r.Header.Get("Retry-After") == "" {
				t.Fatal("it is not said when to try again")
			}
		}
	}
	if asked := int(d.asked.Load()); refused == 0 || asked+refused != 40 {
		t.Errorf("of 40 guesses %d were looked at and %d refused", asked, refused)
	}
}

// TestLoopbackNeedsNoLogin: on the machine itself everybody sees, and who signs in
// may change.
func TestLoopbackNeedsNoLogin(t *testing.T) {
	d := openDoor(t, false)
	c := d.client(t)
	if got := d.do(t, c, http.MethodGet, "/api/me", "").StatusCode; got != http.StatusOK {
		t.Errorf("a stranger gets %d", got)
	}
}

// TestThrottle: an address waits longer with each wrong try, and never longer than
// the longest wait; others do not.
func TestThrottle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var guess throttle
		now := time.Unix(1_000_000, 0)
		looked := 0
		began := now
		for range rapid.IntRange(1, 200).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			wait := guess.try("192.0.2.1", now)
			if wait == 0 {
				looked++
			}
			if wait > longestWait {
				t.Fatalf("waits %v", wait)
			}
		}
		if most := freeTries + 7 + int(now.Sub(began)/longestWait); looked > most {
			t.Fatalf("%d looked at in %v, want at most %d", looked, now.Sub(began), most)
		}
		if wait := guess.try("192.0.2.2", now); wait != 0 {
			t.Fatalf("somebody else waits %v", wait)
		}
		guess.right("192.0.2.1")
		if wait := guess.try("192.0.2.1", now); wait != 0 {
			t.Fatalf("after the right password: %v", wait)
		}
	})
}

// TestThrottleIsBounded: many addresses do not fill the memory, and a flood of
// them is slowed down as one.
func TestThrottleIsBounded(t *testing.T) {
	var guess throttle
	now := time.Unix(1_000_000, 0)
	looked := 0
	for i := range 5 * maxAddresses {
		if guess.try(fmt.Sprintf("10.0.%d.%d", i/256, i%256), now) == 0 {
			looked++
		}
	}
	if len(guess.by) > maxAddresses+1 || looked > maxAddresses+2*freeTries {
		t.Errorf("%d addresses remembered, %d tries looked at", len(guess.by), looked)
	}
	if a, b := key("2001:db8::1"), key("2001:db8::2"); a != b || a == key("2001:db8:0:1::1") {
		t.Error("a network of IPv6 is not one")
	}
}
