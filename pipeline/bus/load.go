package bus

import "maps"

// Refusal is what kept somebody from connecting to the embedded server.
type Refusal string

// The refusals.
const (
	RefusedLogin   Refusal = "login"   // wrong user or password, on the page too
	RefusedAddress Refusal = "address" // more than bus.max_connections_per_address
	RefusedFull    Refusal = "full"    // more than bus.max_connections
)

// Load is how many use the embedded server and were refused since its start.
type Load struct {
	Connections, MaxConnections int // now, of NATS, MQTT and WebSocket; the daemon's own are among them
	Refused                     map[Refusal]uint64
}

// Load returns the load of the embedded server; false without one.
func (b *Bus) Load() (l Load, embedded bool) {
	if b.server == nil {
		return l, false
	}
	l.Connections, l.MaxConnections = b.server.srv.Load().NumClients(), b.server.options.MaxConn
	g := b.server.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	l.Refused = map[Refusal]uint64{RefusedLogin: 0, RefusedAddress: 0, RefusedFull: b.server.log.full.Load()}
	maps.Copy(l.Refused, g.refused)
	return l, true
}
