package lidar

import (
	"slices"
	"time"
)

// Sweep is one frame of Livox points.
type Sweep struct {
	Seq       uint64
	ReceiveNS int64         // receive time of its last datagram, as given to Add
	TimeNS    uint64        // middle between the first and the last datagram's time
	XYZ       []float32     // n x 3 metres, sensor frame, in the order sent
	Complete  float64       // share of its datagrams that arrived, as far as their counter tells
	Restarted bool          // the lidar's clock started over before this sweep
	Span      time.Duration // between the first and the last datagram's time
}

// maxSweepPoints bounds the points held for one sweep: ten times what a
// Mid-360 measures in 100 ms.
const maxSweepPoints = 200_000

type livoxPart struct {
	counter    uint16
	ts         uint64
	start, end int // points
}

// SweepAssembler joins Livox datagrams to sweeps. A sweep ends when the frame
// counter moves on, when the datagram counter starts over at 0, when the next
// datagram is a period later than the first, or when the caller's Flush says
// that the line has been quiet. It is not safe for concurrent use.
type SweepAssembler struct {
	period uint64
	emit   func(*Sweep)
	count  func(outcome string, n uint64)
	box    *Box

	open      bool
	frame     uint8
	firstNS   uint64
	receiveNS int64
	points    []LivoxPoint
	parts     []livoxPart
	seen      map[uint16]uint64 // datagram counter -> time, of the open sweep
	started   bool
	newestNS  uint64
	closed    bool // a sweep has been emitted
	closedID  uint8
	closedNS  uint64 // first time of that sweep
	restarted bool
	seq       uint64
	packet    LivoxPacket
}

// NewSweepAssembler returns an assembler of sweeps of the given period, with
// points outside box left out. emit owns the sweep; count gets every outcome
// that is not a sweep.
func NewSweepAssembler(period time.Duration, box *Box, emit func(*Sweep), count func(outcome string, n uint64)) *SweepAssembler {
	return &SweepAssembler{period: uint64(period), box: box, emit: emit, count: count, seen: make(map[uint16]uint64)}
}

// Open reports whether a sweep waits for datagrams.
func (a *SweepAssembler) Open() bool { return a.open }

// Add takes one datagram received at receiveNS.
func (a *SweepAssembler) Add(receiveNS int64, b []byte) {
	p := &a.packet
	if err := DecodeLivox(b, p); err != nil {
		if r, ok := err.(Reason); ok { //nolint:errorlint // the decoder returns it bare
			a.count(string(r), 1)
		}
		return
	}
	if a.started && p.TimestampNS+restartNS < a.newestNS {
		a.Flush()
		a.count("restart", 1)
		a.restarted, a.closed = true, false
		a.newestNS = 0
	}
	a.started = true
	if a.open {
		if ts, dup := a.seen[p.UDPCounter]; dup && ts == p.TimestampNS && p.Frame == a.frame {
			a.count("duplicate", 1)
			return
		}
	}
	// Of the sweep emitted last: its frame counter, and no later than it.
	if a.closed && p.Frame == a.closedID && p.TimestampNS < a.closedNS+a.period && (!a.open || p.Frame != a.frame) {
		a.count("late", 1)
		return
	}
	if a.open && a.begins(p) {
		a.Flush()
	}
	if !a.open {
		a.open, a.frame, a.firstNS = true, p.Frame, p.TimestampNS
	}
	if len(a.points)+len(p.Points) > maxSweepPoints {
		a.count("sweep_limit", 1)
		return
	}
	a.count("packet", 1)
	a.receiveNS = receiveNS
	a.newestNS = max(a.newestNS, p.TimestampNS)
	a.firstNS = min(a.firstNS, p.TimestampNS)
	a.seen[p.UDPCounter] = p.TimestampNS
	start := len(a.points)
	a.points = append(a.points, p.Points...)
	a.parts = append(a.parts, livoxPart{p.UDPCounter, p.TimestampNS, start, len(a.points)})
}

// begins reports whether p is not of the open sweep.
func (a *SweepAssembler) begins(p *LivoxPacket) bool {
	if p.Frame != a.frame || p.TimestampNS >= a.firstNS+a.period {
		return true
	}
	_, again := a.seen[p.UDPCounter]
	return again || p.UDPCounter == 0 && p.TimestampNS > a.newestNS
}

// Flush emits the open sweep.
func (a *SweepAssembler) Flush() {
	if !a.open {
		return
	}
	a.open = false
	a.closed, a.closedID, a.closedNS = true, a.frame, a.firstNS
	// Datagrams without a counter of their own frame keep their time order.
	slices.SortStableFunc(a.parts, func(x, y livoxPart) int {
		switch {
		case x.ts != y.ts && x.ts < y.ts:
			return -1
		case x.ts != y.ts:
			return 1
		}
		return int(x.counter) - int(y.counter)
	})
	first, last := a.parts[0], a.parts[len(a.parts)-1]
	low, high := first.counter, first.counter
	xyz := make([]float32, 0, 3*len(a.points))
	for _, part := range a.parts {
		low, high = min(low, part.counter), max(high, part.counter)
		for _, x := range a.points[part.start:part.end] {
			if x.X == 0 && x.Y == 0 && x.Z == 0 {
				continue
			}
			p := [3]float64{float64(x.X) / 1000, float64(x.Y) / 1000, float64(x.Z) / 1000}
			if a.box.Contains(p) {
				xyz = append(xyz, float32(p[0]), float32(p[1]), float32(p[2]))
			}
		}
	}
	// A sweep cut by time starts at any counter; one cut by frame starts at 0.
	if uint64(low) < uint64(len(a.parts)) {
		low = 0
	}
	a.seq++
	s := &Sweep{
		Seq: a.seq, ReceiveNS: a.receiveNS, XYZ: xyz, Restarted: a.restarted,
		TimeNS:   first.ts + (last.ts-first.ts)/2,
		Span:     time.Duration(last.ts - first.ts),
		Complete: min(1, float64(len(a.parts))/float64(int(high)-int(low)+1)),
	}
	if lost := int(high) - int(low) + 1 - len(a.parts); lost > 0 {
		a.count("lost_packet", uint64(lost))
	}
	a.restarted = false
	a.points, a.parts = a.points[:0], a.parts[:0]
	clear(a.seen)
	a.emit(s)
}
