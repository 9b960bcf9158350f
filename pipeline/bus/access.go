package bus

import (
	"context"
	"crypto/subtle"
	"maps"
	"net"
	"reflect"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/crypto/bcrypt"

	"posefuse/audit"
)

// tallyEvery is how often connections that have ended leave the count.
const tallyEvery = 200 * time.Millisecond

// gate decides who may connect to the embedded server and what they may do
// there. It implements server.Authentication; its calls come from the
// connections' own goroutines.
//
// Only the daemon itself has every right, users or not: nobody else publishes
// poses, status, sensors or models, or reaches the streams that the MQTT side
// keeps its sessions in.
type gate struct {
	ctx      context.Context // ends with the server
	password string          // of internalUser
	prefix   string          // of Home Assistant's discovery; empty: off
	hasher   *hasher
	log      *refusals
	audit    func(audit.Entry)
	// open reports whether a connection still is.
	open func(id uint64) bool

	mu         sync.Mutex
	users      map[string]User
	perAddress int
	inside     map[uint64]guest // the connections that were let in
	counted    time.Time
	refused    map[Refusal]uint64
}

// guest is a connection that was let in.
type guest struct {
	address string
	user    string // "" without users
}

// Check implements server.Authentication.
func (g *gate) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	if o.Username == internalUser {
		if !equal(o.Password, g.password) {
			g.refuse(RefusedLogin, "somebody calls itself the daemon", "", addressOf(c.RemoteAddress()))
			return false
		}
		c.RegisterUser(&server.User{Username: internalUser})
		return true
	}
	address := addressOf(c.RemoteAddress())
	if !g.enter(c.GetID(), address, o.Username) {
		g.refuse(RefusedAddress, "more connections than bus.max_connections_per_address", "", address)
		return false
	}
	u, known, needed := g.user(o.Username)
	if !needed {
		g.connected("", address)
		c.RegisterUser(&server.User{Permissions: discoverable(anyone(), g.prefix)})
		return true
	}
	if !known || !g.right(&u, o.Password, address) {
		name := "" // of a stranger it may be a password in the wrong field
		if known {
			name = u.Name
		}
		g.refuse(RefusedLogin, "wrong user or password", name, address)
		return false
	}
	g.connected(u.Name, address)
	c.RegisterUser(&server.User{Username: u.Name, Permissions: discoverable(permissions(u.Role, u.Rooms), g.prefix)})
	return true
}

// refuse notes that somebody is not let in, in the log and in the audit.
func (g *gate) refuse(by Refusal, why, user, address string) {
	g.mu.Lock()
	g.refused[by]++
	g.mu.Unlock()
	g.log.note(why, address)
	g.audit(audit.Entry{Event: audit.Refused, User: user, Address: address, What: why})
}

// connected notes that somebody is let in; the daemon's own page, inside the
// process, is no news.
func (g *gate) connected(user, address string) {
	if address != "" {
		g.audit(audit.Entry{Event: audit.Connected, User: user, Address: address})
	}
}

// user returns a user of the configuration; needed is false if it has none.
func (g *gate) user(name string) (u User, known, needed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u, known = g.users[name]
	return u, known, len(g.users) > 0
}

// admit replaces the users and the bound, and returns the connections of users
// that are gone or changed.
func (g *gate) admit(cfg *Config) (leave []uint64) {
	users := map[string]User{}
	for _, u := range cfg.Users {
		users[u.Name] = u
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.users
	g.users, g.perAddress = users, cfg.MaxPerAddress
	for id, c := range g.inside {
		if (len(before) == 0) != (len(users) == 0) || !reflect.DeepEqual(before[c.user], users[c.user]) {
			leave = append(leave, id)
		}
	}
	return leave
}

func (g *gate) right(u *User, password, address string) bool {
	if hashed(u.Password) {
		return g.hasher.matches(g.ctx, u.Password, password, address)
	}
	return equal(u.Password, password)
}

// enter counts a connection of an address and reports whether it may have one
// more.
func (g *gate) enter(id uint64, address, user string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); now.Sub(g.counted) >= tallyEvery {
		g.counted = now
		maps.DeleteFunc(g.inside, func(id uint64, _ guest) bool { return !g.open(id) })
	}
	n := 0
	for other, c := range g.inside {
		if c.address == address && other != id { // a client may log in twice
			n++
		}
	}
	if n >= g.perAddress {
		return false
	}
	g.inside[id] = guest{address, user}
	return true
}

// addressOf returns the host of a connection's far end; all of loopback is one.
func addressOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	return sameHost(host)
}

func sameHost(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return "127.0.0.1"
	}
	return host
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// hashed reports whether a password of the configuration is a bcrypt hash.
func hashed(password string) bool {
	_, err := bcrypt.Cost([]byte(password))
	return err == nil
}

// refusals logs who was refused without letting them fill the log: the first of
// a kind at once, the rest as a sum.
type refusals struct {
	warn  func(text string, args ...any)
	every time.Duration

	mu    sync.Mutex
	kinds map[string]*refusedKind
}

type refusedKind struct {
	said  time.Time
	since int // refused and not said yet
	last  string
}

// maxRefusedKinds bounds what strangers can make the log remember.
const maxRefusedKinds = 64

func newRefusals(warn func(string, ...any)) *refusals {
	return &refusals{warn: warn, every: time.Minute, kinds: map[string]*refusedKind{}}
}

// note says that somebody was refused and why, or adds it to what is said later.
func (r *refusals) note(why, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[why]
	if k == nil {
		if len(r.kinds) >= maxRefusedKinds {
			why = "other reasons"
		}
		if k = r.kinds[why]; k == nil {
			k = &refusedKind{}
			r.kinds[why] = k
		}
	}
	k.since++
	k.last = address
	if now := time.Now(); k.said.IsZero() || now.Sub(k.said) >= r.every {
		r.warn("connection refused", "reason", why, "address", address, "count", k.since)
		k.said, k.since = now, 0
	}
}
