package csi

import (
	"fmt"
	"slices"

	"posefuse/sensors"
	"posefuse/sensors/capture"
)

// likely is the least fit that is worth a sentence to the user.
const likely = 50

// looksLike returns the format that some data look like, nil if they are of the
// driver's own or of none.
func looksLike(own string, data []byte) *capture.Format {
	return bestBut(own, &capture.Head{Bytes: data, Capture: capture.Is(data)})
}

func bestBut(own string, h *capture.Head) *capture.Format {
	var best *capture.Format
	fit := likely - 1
	for _, f := range Formats() {
		if n := f.Fits(h); n > fit {
			best, fit = &f, n
		}
	}
	if best == nil || best.Name == own {
		return nil
	}
	return best
}

// wrongFormat is the finding for data of another format than the driver's.
func wrongFormat(own string, f *capture.Format) sensors.Finding {
	return sensors.Finding{Code: "wrong_format", Text: fmt.Sprintf("this looks like %s, not %s: set driver to %s", f.Title, own, f.Name)}
}

// Sizes of what is kept of a sender whose data are not understood.
const (
	firstLook  = 1 << 10
	lastLook   = 32 << 10
	lookAtMost = 16 // datagrams
)

// stranger looks at the first bytes of a sender as long as no record is found in
// them.
type stranger struct {
	own  string
	head []byte
	next int // size at which to look again
	f    sensors.Finding
}

// read takes the bytes of a sender that has given no record yet.
func (s *stranger) read(b []byte, sink sensors.Sink) {
	if s.next == 0 {
		s.next = firstLook
	}
	s.head = append(s.head, b[:min(len(b), lastLook-len(s.head))]...)
	if len(s.head) >= s.next && s.next <= lastLook {
		s.next *= 2
		if f := looksLike(s.own, s.head); f != nil {
			s.f = wrongFormat(s.own, f)
		} else if capture.Is(s.head) {
			s.f = sensors.Finding{Code: "wrong_format", Text: fmt.Sprintf("this is a packet capture (pcap), not %s: set driver to nexmon and give it as pcap_file", s.own)}
		}
	}
	if s.f.Code != "" {
		sensors.Tell(sink, s.f)
	}
}

// datagram takes a datagram to the Nexmon port that is none of Nexmon's.
func (m *datagramMapper) wrongFormat(payload []byte) {
	if m.understood {
		return
	}
	if len(m.refused) < lookAtMost {
		m.refused = append(m.refused, slices.Clone(payload))
		h := capture.Head{Capture: true}
		for _, b := range m.refused {
			h.Datagrams = append(h.Datagrams, capture.Datagram{Payload: b})
		}
		m.stranger = bestBut("nexmon", &h)
	}
	if m.stranger != nil {
		sensors.Tell(m.out.sink, wrongFormat("nexmon", m.stranger))
	}
}
