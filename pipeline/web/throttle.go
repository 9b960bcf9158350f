package web

import (
	"net"
	"sync"
	"time"
)

// Bounds of guessing passwords.
const (
	freeTries    = 4 // of an address, before the next ones wait
	firstWait    = time.Second
	longestWait  = time.Minute
	forgottenIn  = 15 * time.Minute
	maxAddresses = 1024 // that are remembered; those beyond are one
)

// throttle makes an address that gives wrong passwords wait, twice as long each
// time. A try counts as wrong until it was right, so that many at once are many.
type throttle struct {
	mu sync.Mutex
	by map[string]*tries
}

type tries struct {
	n    int
	last time.Time
	next time.Time // not before
}

// try counts a try of an address; if it comes too early, wait is how long it is to
// wait, and it does not count.
func (t *throttle) try(address string, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.of(address, now)
	if wait = f.next.Sub(now); wait > 0 {
		return wait
	}
	f.n++
	f.last = now
	if f.n >= freeTries {
		f.next = now.Add(min(firstWait<<min(f.n-freeTries, 10), longestWait))
	}
	return 0
}

// right forgets the wrong tries of an address.
func (t *throttle) right(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.by, key(address))
}

func (t *throttle) of(address string, now time.Time) *tries {
	if t.by == nil {
		t.by = map[string]*tries{}
	}
	k := key(address)
	if f := t.by[k]; f != nil && now.Sub(f.last) < forgottenIn {
		return f
	}
	if len(t.by) >= maxAddresses {
		for a, f := range t.by {
			if now.Sub(f.last) >= forgottenIn {
				delete(t.by, a)
			}
		}
	}
	if len(t.by) >= maxAddresses {
		k = ""
		if f := t.by[k]; f != nil {
			return f
		}
	}
	f := &tries{last: now}
	t.by[k] = f
	return f
}

// key is what an address is remembered by: of IPv6 the network that one machine
// has for itself.
func key(address string) string {
	ip := net.ParseIP(address)
	if ip == nil || ip.To4() != nil {
		return address
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}
