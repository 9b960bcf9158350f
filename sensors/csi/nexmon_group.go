package csi

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
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

// NexmonGroup is the channel of one WiFi frame at the receive cores.
type NexmonGroup struct {
	MAC     [6]byte
	FirstNS int64          // arrival of the earliest datagram
	Frames  []*NexmonFrame // by core
}

// reception joins the group's used tones into one packet, a core per antenna.
// chip overrides the frames' chip number unless it is ChipAuto.
func (g *NexmonGroup) reception(chip Chip) (*reception, error) {
	first := g.Frames[0]
	r := &reception{receiveNS: g.FirstNS, sender: g.MAC, tones: NexmonTones(len(first.Words))}
	for _, f := range g.Frames {
		if len(f.Words) != len(first.Words) {
			return nil, NexmonBandwidth
		}
		r.h = append(r.h, f.Values(chip)...)
		r.names = append(r.names, f.Core)
	}
	if first.New {
		r.rssiDBm = float64(first.RSSIdBm)
	}
	return r, nil
}

// NexmonGrouper joins the datagrams of one WiFi frame: same sender and
// sequence control, spatial stream 0, within a window. Which cores a frame
// needs is given, or learned from the first frames and then from each further
// run of them: those that come together, however many, or those that come one a
// frame in turn. Senders whose frames all carry sequence 0 are told apart by
// arrival: a core that comes again begins the next group. It is not safe for
// concurrent use.
type NexmonGrouper struct {
	cores    int // 0: learned
	windowNS int64
	emit     func(*NexmonGroup)
	count    func(outcome string, n uint64)
	open     []*openGroup // by arrival
	done     []doneGroup  // completed within the last window, to know duplicates
	learned  coreLearner
	held     []*openGroup // ended before the cores were known
	turn     [maxNexmonCores]turnFrame
}

type groupKey struct {
	mac [6]byte
	seq uint16
}

type openGroup struct {
	key     groupKey
	firstNS int64
	frames  [maxNexmonCores]*NexmonFrame // by core; nil until it comes
	mask    coreMask
}

type doneGroup struct {
	key    groupKey
	lastNS int64
}

// turnFrame is the newest frame of a core that takes turns.
type turnFrame struct {
	frame *NexmonFrame
	key   groupKey
	atNS  int64
}

// NewNexmonGrouper returns a grouper for the given number of cores, 1 to 8, or
// 0 to learn it. window is DefaultGroupWindow if 0; a longer one tolerates a
// busy sender. emit takes the groups, count the outcomes that produced none.
func NewNexmonGrouper(cores int, window time.Duration, emit func(*NexmonGroup), count func(outcome string, n uint64)) (*NexmonGrouper, error) {
	if cores < 0 || cores > maxNexmonCores {
		return nil, fmt.Errorf("nexmon: %d receive cores, want 1 to 8, or 0 to find out", cores)
	}
	if window < 0 || window > maxGroupWindow {
		return nil, fmt.Errorf("nexmon: group window %v, want at most 1s: sequence numbers come again after 4096 frames", window)
	}
	if window == 0 {
		window = DefaultGroupWindow
	}
	g := &NexmonGrouper{cores: cores, windowNS: window.Nanoseconds(), emit: emit, count: count}
	if cores > 0 {
		g.learned.want = 1<<cores - 1
	}
	return g, nil
}

// Add takes one datagram that arrived at nowNS. Time must not go backwards by
// more than the window.
func (g *NexmonGrouper) Add(nowNS int64, f *NexmonFrame) {
	g.Expire(nowNS)
	if f.Stream != 0 || g.cores > 0 && f.Core >= g.cores {
		g.count(OutcomeOtherPart, 1)
		return
	}
	key := groupKey{f.MAC, f.SequenceCtl}
	at := g.find(key)
	// Sequence 0 may mean "not numbered": then a late copy cannot be told from
	// the next frame, and arrival decides.
	numbered := f.SequenceCtl != 0
	if numbered && (at < 0 && g.isDone(key) || at >= 0 && g.open[at].frames[f.Core] != nil) {
		outcome := OutcomeDuplicate
		if g.learned.want&(1<<f.Core) == 0 {
			outcome = OutcomeOtherPart // the packet was complete without it
		}
		g.count(outcome, 1)
		return
	}
	if at >= 0 && g.open[at].frames[f.Core] != nil {
		g.end(at)
		at = -1
	}
	if at < 0 {
		if len(g.open) >= groupMaxOpen {
			g.end(0)
		}
		g.open = append(g.open, &openGroup{key: key, firstNS: nowNS})
		at = len(g.open) - 1
	}
	o := g.open[at]
	o.frames[f.Core] = f
	o.mask |= 1 << f.Core
	if g.learned.want == 0 && bits.OnesCount8(uint8(o.mask)) == ModelAntennas {
		g.learned.want = o.mask // all that the model takes: nothing to wait for
		g.release()
	}
	if want := g.learned.want; want != 0 && (g.learned.turns || o.mask&want == want) {
		g.done = append(g.done, doneGroup{key, nowNS})
		g.end(at)
	}
}

func (g *NexmonGrouper) find(key groupKey) int {
	for i, o := range g.open {
		if o.key == key {
			return i
		}
	}
	return -1
}

func (g *NexmonGrouper) isDone(key groupKey) bool {
	for _, d := range g.done {
		if d.key == key {
			return true
		}
	}
	return false
}

// end takes a group out of assembly.
func (g *NexmonGrouper) end(i int) {
	o := g.open[i]
	g.open = append(g.open[:i], g.open[i+1:]...)
	if g.cores > 0 {
		g.deliver(o)
		return
	}
	if g.learned.want != 0 {
		g.learned.note(o.mask)
		g.deliver(o)
		return
	}
	g.held = append(g.held, o)
	g.learned.note(o.mask)
	if g.learned.want == 0 && o.firstNS-g.held[0].firstNS > learnAtMostNS {
		g.learned.decide()
	}
	if g.learned.want != 0 {
		g.release()
	}
}

// release delivers what waited for the cores to be known.
func (g *NexmonGrouper) release() {
	for _, o := range g.held {
		g.deliver(o)
	}
	g.held = nil
}

// deliver hands a group on, or counts its datagrams as incomplete.
func (g *NexmonGrouper) deliver(o *openGroup) {
	want := g.learned.want
	if g.learned.turns {
		g.deliverTurn(o, want)
		return
	}
	if o.mask&want != want {
		g.count(OutcomeIncomplete, uint64(bits.OnesCount8(uint8(o.mask))))
		return
	}
	if extra := bits.OnesCount8(uint8(o.mask &^ want)); extra > 0 {
		g.count(OutcomeOtherPart, uint64(extra))
	}
	out := &NexmonGroup{MAC: o.key.mac, FirstNS: o.firstNS}
	for core, f := range o.frames {
		if want&(1<<core) != 0 {
			out.Frames = append(out.Frames, f)
		}
	}
	g.emit(out)
}

// deliverTurn makes a packet of a frame that one core received and of the
// newest that the others did.
func (g *NexmonGrouper) deliverTurn(o *openGroup, want coreMask) {
	for core, f := range o.frames {
		if f != nil {
			g.turn[core] = turnFrame{f, o.key, o.firstNS}
		}
	}
	out := &NexmonGroup{MAC: o.key.mac, FirstNS: o.firstNS}
	for core := range g.turn {
		if want&(1<<core) == 0 {
			continue
		}
		t := &g.turn[core]
		if t.frame == nil || t.key.mac != o.key.mac || o.firstNS-t.atNS > turnAtMostNS {
			g.count(OutcomeIncomplete, uint64(bits.OnesCount8(uint8(o.mask))))
			return
		}
		out.Frames = append(out.Frames, t.frame)
	}
	g.emit(out)
}

// Expire ends the groups older than the window.
func (g *NexmonGrouper) Expire(nowNS int64) {
	for len(g.open) > 0 && nowNS-g.open[0].firstNS > g.windowNS {
		g.end(0)
	}
	for len(g.done) > 0 && nowNS-g.done[0].lastNS > g.windowNS {
		g.done = append(g.done[:0], g.done[1:]...)
	}
}

// Close ends what is still open.
func (g *NexmonGrouper) Close() {
	for len(g.open) > 0 {
		g.end(0)
	}
	if len(g.held) > 0 {
		g.learned.decide()
		g.release()
	}
}

// Lost returns the cores that sent once and do not any more.
func (g *NexmonGrouper) Lost() []int { return g.learned.lost.list() }

// nexmonOutcome names the counter of an error of ParseNexmon or reception.
func nexmonOutcome(err error) string {
	var r NexmonReason
	if errors.As(err, &r) {
		return string(r)
	}
	return "bad"
}
