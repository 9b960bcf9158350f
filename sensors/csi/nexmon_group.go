package csi

import (
	"errors"
	"fmt"
	"time"

	"posefuse/sensors"
)

// DefaultGroupWindow is how far apart the datagrams of one WiFi frame may
// arrive. Firmware sends them together.
const DefaultGroupWindow = 5 * time.Millisecond

// Limits of grouping.
const (
	maxNexmonCores = 8
	maxGroupWindow = time.Second // sequence numbers come again after 4096 frames
)

const groupMaxOpen = 64 // groups under assembly; more means nothing fits together

// Outcomes of grouping that produced no packet.
const (
	OutcomeIncomplete = "incomplete"    // not all cores came within the window
	OutcomeDuplicate  = "duplicate"     // the same core twice for one frame
	OutcomeOtherPart  = "unused_stream" // a spatial stream or core the model does not take
)

// NexmonGroup is the channel of one WiFi frame at all receive cores.
type NexmonGroup struct {
	MAC         [6]byte
	SequenceCtl uint16
	FirstNS     int64 // arrival of the earliest datagram
	Frames      []*NexmonFrame
}

// Packet joins the group's used tones into one packet, a core per antenna, and
// returns the tones' indices. chip overrides the frames' chip number unless it
// is ChipAuto.
func (g *NexmonGroup) Packet(chip Chip) (*sensors.CSIPacket, []int, error) {
	words := len(g.Frames[0].Words)
	tones := NexmonTones(words)
	p := &sensors.CSIPacket{Antennas: len(g.Frames), Subcarriers: len(tones), H: make([]complex64, 0, len(g.Frames)*len(tones))}
	for _, f := range g.Frames {
		if len(f.Words) != words {
			return nil, nil, NexmonBandwidth
		}
		h, err := f.Values(chip)
		if err != nil {
			return nil, nil, err
		}
		p.H = append(p.H, h...)
	}
	if f := g.Frames[0]; f.New {
		p.RSSIdBm = float64(f.RSSIdBm)
	}
	return p, tones, nil
}

// NexmonGrouper joins the datagrams of one WiFi frame: same sender and
// sequence control, cores 0 to n-1 of spatial stream 0, within a window.
// Senders whose frames all carry sequence 0 are told apart by arrival: a core
// that comes again begins the next group. It is not safe for concurrent use.
type NexmonGrouper struct {
	cores    int
	windowNS int64
	count    func(outcome string, n uint64)
	open     []*openGroup // by arrival
	done     []doneGroup  // completed within the last window, to know duplicates
}

type groupKey struct {
	mac [6]byte
	seq uint16
}

type openGroup struct {
	key     groupKey
	firstNS int64
	frames  []*NexmonFrame // by core; nil until it comes
	have    int
}

type doneGroup struct {
	key    groupKey
	lastNS int64
}

// NewNexmonGrouper returns a grouper for the given number of cores, 1 to 8.
// window is DefaultGroupWindow if 0; a longer one tolerates a busy sender.
// count takes the outcomes that produced no group.
func NewNexmonGrouper(cores int, window time.Duration, count func(outcome string, n uint64)) (*NexmonGrouper, error) {
	if cores < 1 || cores > maxNexmonCores {
		return nil, fmt.Errorf("nexmon: %d receive cores, want 1 to 8", cores)
	}
	if window < 0 || window > maxGroupWindow {
		return nil, fmt.Errorf("nexmon: group window %v, want at most 1s: sequence numbers come again after 4096 frames", window)
	}
	if window == 0 {
		window = DefaultGroupWindow
	}
	return &NexmonGrouper{cores: cores, windowNS: window.Nanoseconds(), count: count}, nil
}

// Add takes one datagram that arrived at nowNS and returns the group it
// completes, or nil. Time must not go backwards by more than the window.
func (g *NexmonGrouper) Add(nowNS int64, f *NexmonFrame) *NexmonGroup {
	g.Expire(nowNS)
	if f.Stream != 0 || f.Core >= g.cores {
		g.count(OutcomeOtherPart, 1)
		return nil
	}
	key := groupKey{f.MAC, f.SequenceCtl}
	at := -1
	for i, o := range g.open {
		if o.key == key {
			at = i
		}
	}
	// Sequence 0 may mean "not numbered": then a late copy cannot be told from
	// the next frame, and arrival decides.
	numbered := f.SequenceCtl != 0
	if at < 0 && numbered {
		for _, d := range g.done {
			if d.key == key {
				g.count(OutcomeDuplicate, 1)
				return nil
			}
		}
	}
	if at >= 0 && g.open[at].frames[f.Core] != nil {
		if numbered {
			g.count(OutcomeDuplicate, 1)
			return nil
		}
		g.count(OutcomeIncomplete, uint64(g.open[at].have))
		g.remove(at)
		at = -1
	}
	if at < 0 {
		if len(g.open) >= groupMaxOpen {
			g.count(OutcomeIncomplete, uint64(g.open[0].have))
			g.remove(0)
		}
		g.open = append(g.open, &openGroup{key: key, firstNS: nowNS, frames: make([]*NexmonFrame, g.cores)})
		at = len(g.open) - 1
	}
	o := g.open[at]
	o.frames[f.Core] = f
	if o.have++; o.have < g.cores {
		return nil
	}
	g.remove(at)
	g.done = append(g.done, doneGroup{key, nowNS})
	return &NexmonGroup{MAC: key.mac, SequenceCtl: key.seq, FirstNS: o.firstNS, Frames: o.frames}
}

// Expire gives up on groups older than the window; each of their datagrams
// counts as incomplete.
func (g *NexmonGrouper) Expire(nowNS int64) {
	for len(g.open) > 0 && nowNS-g.open[0].firstNS > g.windowNS {
		g.count(OutcomeIncomplete, uint64(g.open[0].have))
		g.remove(0)
	}
	for len(g.done) > 0 && nowNS-g.done[0].lastNS > g.windowNS {
		g.done = append(g.done[:0], g.done[1:]...)
	}
}

// Close counts what is still open as incomplete.
func (g *NexmonGrouper) Close() {
	for _, o := range g.open {
		g.count(OutcomeIncomplete, uint64(o.have))
	}
	g.open, g.done = nil, nil
}

func (g *NexmonGrouper) remove(i int) { g.open = append(g.open[:i], g.open[i+1:]...) }

// nexmonOutcome names the counter of an error of ParseNexmon or Packet.
func nexmonOutcome(err error) string {
	var r NexmonReason
	if errors.As(err, &r) {
		return string(r)
	}
	return "bad"
}
