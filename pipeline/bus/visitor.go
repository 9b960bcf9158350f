package bus

import (
	"crypto/tls"
	"reflect"
	"slices"

	"posefuse/audit"
)

// HasUsers reports whether the embedded server asks for a login.
func (b *Bus) HasUsers() bool {
	if b.server == nil {
		return false
	}
	_, _, needed := b.server.gate.user("")
	return needed
}

// SignIn returns the user who comes from an address with a name and password, as
// the server itself would let them in; ErrLogin if there is none, or none who
// may read this room.
func (b *Bus) SignIn(name, password, address string) (User, error) {
	g := b.server.gate
	u, known, _ := g.user(name)
	if !known { // as long as for a name that is known
		u = g.anyHashed()
	}
	right := g.right(&u, password, sameHost(address))
	if !known || !right || u.Role == Camera || len(u.Rooms) > 0 && !slices.Contains(u.Rooms, b.room) {
		name = "" // of a stranger it may be a password in the wrong field
		if known {
			name = u.Name
		}
		g.refuse(RefusedLogin, "wrong user or password on the page", name, address)
		return User{}, ErrLogin
	}
	g.audit(audit.Entry{Event: audit.Connected, User: u.Name, Address: address, What: "page"})
	return u, nil
}

// Knows reports whether a user is still configured as they were when they signed in.
func (b *Bus) Knows(u User) bool {
	now, known, _ := b.server.gate.user(u.Name)
	return known && reflect.DeepEqual(now, u)
}

// anyHashed returns a user whose password is a hash, or one that nobody can give.
func (g *gate) anyHashed() User {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.users {
		if hashed(u.Password) {
			return u
		}
	}
	return User{Password: g.password}
}

// ServerTLS returns what the embedded server's listeners use, nil without TLS.
func (b *Bus) ServerTLS() *tls.Config {
	if b.server == nil || b.server.tls == nil {
		return nil
	}
	return b.server.tls.Clone()
}

// CertificateNames are the names of hosts that the certificate is for.
func (b *Bus) CertificateNames() []string {
	if b.server == nil || b.server.certificates == nil {
		return nil
	}
	return b.server.certificates.current().Leaf.DNSNames
}
