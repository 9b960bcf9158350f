package csi

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"posefuse/sensors"
)

// mac is the address of a WiFi station; all zero is none.
type mac [6]byte

// String returns the address in the usual form.
func (m mac) String() string { return net.HardwareAddr(m[:]).String() }

// parseMAC reads an address; the empty text is none.
func parseMAC(text string) (m mac, err error) {
	if text == "" {
		return m, nil
	}
	a, err := net.ParseMAC(text)
	if err != nil {
		return m, err
	}
	if len(a) != len(m) {
		return m, fmt.Errorf("%s has %d bytes, want 6", text, len(a))
	}
	return mac(a), nil
}

// Outcomes of packets of other senders.
const (
	OutcomeOtherMAC    = "other_mac"    // not the sender of the setting
	OutcomeOtherSender = "other_sender" // not the one that is followed
)

// Limits of what is remembered of senders.
const (
	maxSenders   = 16
	senderWindow = int64(1e9)     // over which the busiest is chosen, ns
	senderQuiet  = 3 * int64(1e9) // after which another is followed, ns
)

// senders chooses one sender, for the channels of two must not be mixed: they
// stand at different places. Without a setting it is the first that is heard,
// until it falls silent or another sends more than twice as much.
type senders struct {
	only     mac // of the setting
	followed mac
	heardNS  int64 // the followed one, last
	since    int64 // start of the window
	seen     []heardSender
}

// heardSender counts the packets of one sender.
type heardSender struct {
	mac    mac
	n      int // in the window
	before int // in the last one
}

// take reports whether a packet is to be used; else the outcome. switched is
// set for the first packet of another sender than before.
func (s *senders) take(from mac, nowNS int64) (outcome string, switched bool) {
	if s.only != (mac{}) {
		if from != s.only {
			s.note(from, nowNS)
			return OutcomeOtherMAC, false
		}
		return "", false
	}
	if from == (mac{}) { // unknown: nothing to choose by
		return "", false
	}
	s.note(from, nowNS)
	switch {
	case s.followed == (mac{}):
		s.followed = from
	case from != s.followed && (nowNS-s.heardNS > senderQuiet || s.busier(from)):
		s.followed, switched = from, true
	case from != s.followed:
		return OutcomeOtherSender, false
	}
	s.heardNS = nowNS
	return "", switched
}

// note counts a packet of a sender.
func (s *senders) note(from mac, nowNS int64) {
	if nowNS-s.since > senderWindow || nowNS < s.since {
		s.since = nowNS
		kept := s.seen[:0]
		for _, h := range s.seen {
			if h.n > 0 {
				kept = append(kept, heardSender{h.mac, 0, h.n})
			}
		}
		s.seen = kept
	}
	for i := range s.seen {
		if s.seen[i].mac == from {
			s.seen[i].n++
			return
		}
	}
	if len(s.seen) < maxSenders {
		s.seen = append(s.seen, heardSender{mac: from, n: 1})
	}
}

// busier reports whether a sender sent more than twice what the followed one
// did, in the last whole window.
func (s *senders) busier(than mac) bool {
	var mine, followed int
	for _, h := range s.seen {
		switch h.mac {
		case than:
			mine = h.before
		case s.followed:
			followed = h.before
		}
	}
	return mine > 2*followed && mine > 1
}

// finding names the senders, if there are several.
func (s *senders) finding() (f sensors.Finding, ok bool) {
	if s.only != (mac{}) || len(s.seen) < 2 {
		return f, false
	}
	list := slices.Clone(s.seen)
	slices.SortStableFunc(list, func(a, b heardSender) int { return b.n + b.before - a.n - a.before })
	var names []string
	for _, h := range list[:min(len(list), 4)] {
		names = append(names, fmt.Sprintf("%s (%d packets lately)", h.mac, h.n+h.before))
	}
	if len(list) > 4 {
		names = append(names, fmt.Sprintf("%d more", len(list)-4))
	}
	return sensors.Finding{Code: "two_senders", Text: fmt.Sprintf("packets of %d WiFi senders come: %s; only those of %s are used: set mac to choose one for good",
		len(list), strings.Join(names, ", "), s.followed)}, true
}
