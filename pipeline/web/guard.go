package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of sessions.
const (
	sessionLasts = 12 * time.Hour
	maxSessions  = 256 // the oldest gives way
	maxForm      = 4 << 10
	validEvery   = 5 * time.Second // a feed looks whether its user may still see it
)

// Visitor is who has signed in.
type Visitor struct {
	Name    string
	Control bool // may change something
	// Valid reports whether the daemon still knows the user as it did.
	Valid func() bool
}

// GuardOptions say who may see the pages.
type GuardOptions struct {
	// Required keeps out who has not signed in; without it they see, and change
	// nothing.
	Required bool
	// TLS says that browsers come over TLS.
	TLS bool
	// SignIn returns the user of a name and password, who comes from an address; an
	// error says that there is none who may see the room.
	SignIn func(ctx context.Context, name, password, address string) (Visitor, error)
}

// Guard keeps the sessions of those who have signed in. They live in memory: a
// restart ends them.
type Guard struct {
	opt      GuardOptions
	page     []byte
	throttle throttle

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]*session
}

type session struct {
	visitor Visitor
	began   time.Time
	done    chan struct{} // closed when it ends
}

// NewGuard returns a guard without sessions.
func NewGuard(opt GuardOptions) *Guard {
	page, err := fs.ReadFile(dist, "dist/login.html")
	if err != nil {
		page = []byte(`<!doctype html><meta charset="utf-8"><title>posefuse</title><body><form method="post"><input name="user"><input name="password" type="password"><button>Sign in</button></form>`)
	}
	return &Guard{opt: opt, page: page, sessions: map[[sha256.Size]byte]*session{}}
}

type visitorKey struct{}

// visitorOf returns who asks, if they have signed in.
func visitorOf(r *http.Request) (Visitor, bool) {
	v, ok := r.Context().Value(visitorKey{}).(Visitor)
	return v, ok
}

// guarded says in a request's context that visitors can sign in.
type guarded struct{}

// Wrap lets requests through as the options say, and answers /login and /logout.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) { g.ask(w, http.StatusOK, "") })
	mux.HandleFunc("POST /login", g.login)
	mux.HandleFunc("POST /logout", g.logout)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { g.pass(w, r, next) })
	return mux
}

// open are the paths that everybody may see: what the login needs, and whether the
// daemon lives.
func open(path string) bool { return path == "/healthz" || strings.HasPrefix(path, "/assets/") }

func (g *Guard) pass(w http.ResponseWriter, r *http.Request, next http.Handler) {
	ctx := context.WithValue(r.Context(), guarded{}, true)
	s := g.current(r)
	if s == nil {
		if name, password, ok := r.BasicAuth(); ok { // a program
			v, wait, err := g.signIn(r, name, password)
			if err != nil {
				refuse(w, wait)
				return
			}
			s = &session{visitor: v, done: nil}
		}
	}
	if s == nil {
		if !g.opt.Required || open(r.URL.Path) {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		http.Error(w, "sign in at /login", http.StatusUnauthorized)
		return
	}
	ctx = context.WithValue(ctx, visitorKey{}, s.visitor)
	if r.Header.Get("Upgrade") == "" {
		next.ServeHTTP(w, r.WithContext(ctx))
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	defer func() { <-ended }()
	defer cancel()
	go func() {
		defer close(ended)
		s.watch(ctx)
		cancel()
	}()
	next.ServeHTTP(w, r.WithContext(ctx))
}

// watch returns when the session ends, its user is known no more, or ctx ends.
func (s *session) watch(ctx context.Context) {
	look := time.NewTicker(validEvery)
	defer look.Stop()
	over := time.NewTimer(time.Until(s.began.Add(sessionLasts)))
	defer over.Stop()
	if s.began.IsZero() { // a program's, as long as its connection
		over.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case <-over.C:
			return
		case <-look.C:
			if !s.visitor.Valid() {
				return
			}
		}
	}
}

// current returns the session of a request, nil if it has none.
func (g *Guard) current(r *http.Request) *session {
	c, err := r.Cookie(g.cookie())
	if err != nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	k := sha256.Sum256([]byte(c.Value))
	s := g.sessions[k]
	if s == nil {
		return nil
	}
	if time.Since(s.began) > sessionLasts || !s.visitor.Valid() {
		g.end(k)
		return nil
	}
	return s
}

func (g *Guard) end(k [sha256.Size]byte) {
	if s := g.sessions[k]; s != nil {
		close(s.done)
		delete(g.sessions, k)
	}
}

// cookie is the name of the session's: browsers keep one that begins with __Host-
// to this host, to TLS and to all paths.
func (g *Guard) cookie() string {
	if g.opt.TLS {
		return "__Host-posefuse"
	}
	return "posefuse"
}

func (g *Guard) setCookie(w http.ResponseWriter, value string, age int) {
	//nolint:gosec // without TLS only on loopback, where some browsers keep no cookie that is Secure
	http.SetCookie(w, &http.Cookie{Name: g.cookie(), Value: value, Path: "/", MaxAge: age, Secure: g.opt.TLS, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// signIn asks for the user, unless the address has to wait.
func (g *Guard) signIn(r *http.Request, name, password string) (Visitor, time.Duration, error) {
	address := r.RemoteAddr
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	if wait := g.throttle.try(address, time.Now()); wait > 0 {
		return Visitor{}, wait, ErrLogin
	}
	v, err := g.opt.SignIn(r.Context(), name, password, address)
	if err == nil {
		g.throttle.right(address)
	}
	return v, 0, err
}

func (g *Guard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	v, wait, err := g.signIn(r, r.PostFormValue("user"), r.PostFormValue("password"))
	switch {
	case wait > 0:
		setWait(w, wait)
		g.ask(w, http.StatusTooManyRequests, "slow")
		return
	case err != nil:
		g.ask(w, http.StatusUnauthorized, "wrong")
		return
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	token := base64.RawURLEncoding.EncodeToString(b[:])
	g.mu.Lock()
	if len(g.sessions) >= maxSessions {
		var oldest [sha256.Size]byte
		at := time.Time{}
		for k, s := range g.sessions {
			if at.IsZero() || s.began.Before(at) {
				oldest, at = k, s.began
			}
		}
		g.end(oldest)
	}
	g.sessions[sha256.Sum256([]byte(token))] = &session{visitor: v, began: time.Now(), done: make(chan struct{})}
	g.mu.Unlock()
	g.setCookie(w, token, int(sessionLasts.Seconds()))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (g *Guard) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(g.cookie()); err == nil {
		g.mu.Lock()
		g.end(sha256.Sum256([]byte(c.Value)))
		g.mu.Unlock()
	}
	g.setCookie(w, "", -1)
	w.Header().Set("Clear-Site-Data", `"storage"`) // the list of sets
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// ask shows the login; problem is a word of the page.
func (g *Guard) ask(w http.ResponseWriter, status int, problem string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	secure(w)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(bytes.Replace(g.page, []byte("<body>"), []byte(`<body data-problem="`+problem+`">`), 1)) // a viewer that left is no error
}

func refuse(w http.ResponseWriter, wait time.Duration) {
	if wait > 0 {
		setWait(w, wait)
		http.Error(w, "too many wrong passwords; try again later", http.StatusTooManyRequests)
		return
	}
	http.Error(w, ErrLogin.Error(), http.StatusUnauthorized)
}

func setWait(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
}

// secure sets the headers that every page has.
func secure(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", contentPolicy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
}
