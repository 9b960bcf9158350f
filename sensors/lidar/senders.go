package lidar

import (
	"fmt"
	"net/netip"
	"time"

	"posefuse/sensors"
)

// senderIdle is how long the sender that is followed must be silent before
// another one takes its place.
const senderIdle = 2 * time.Second

// senders decides whose datagrams are read: those of one address alone, for the
// clouds and clocks of two lidars must not mix.
type senders struct {
	only     netip.Addr // from the settings, if valid
	followed netip.Addr
	heardNS  int64 // room clock when it was chosen, or of its newest datagram that was of use
}

// accept reports whether a datagram from this address is read.
func (s *senders) accept(from netip.Addr, nowNS int64) bool {
	from = from.Unmap()
	if s.only.IsValid() {
		if from == s.only {
			s.heardNS = nowNS
		}
		return from == s.only
	}
	if from != s.followed && s.followed.IsValid() && nowNS-s.heardNS < int64(senderIdle) {
		return false
	}
	if from != s.followed || !s.followed.IsValid() {
		s.followed, s.heardNS = from, nowNS
	}
	return true
}

// understood notes that the followed sender's datagram was of use: rubbish does
// not keep the port from the next sender.
func (s *senders) understood(nowNS int64) { s.heardNS = nowNS }

// finding says that a second sender is there, if nobody chose one, or that only
// others send and not the chosen one.
func (s *senders) finding(other netip.Addr, nowNS int64) (sensors.Finding, bool) {
	if s.only.IsValid() {
		if s.heardNS != 0 && nowNS-s.heardNS < int64(senderIdle) {
			return sensors.Finding{}, false
		}
		return sensors.Finding{Code: "other_source", Text: fmt.Sprintf(
			"datagrams come from %s, and from names %s, which is silent: correct from", other.Unmap(), s.only)}, true
	}
	return sensors.Finding{Code: "two_senders", Text: fmt.Sprintf(
		"two lidars send to this port: %s is read, %s is not; give each a port of its own, or name the right one in from", s.followed, other.Unmap())}, true
}
