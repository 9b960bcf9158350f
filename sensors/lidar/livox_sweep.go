package lidar

import (
	"cmp"
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

// When a sweep ends although nothing says so.
const (
	quietNS     = int64(15 * time.Millisecond) // pause behind a sweep that is as long as those before it
	lateNS      = int64(25 * time.Millisecond) // wait for the rest of one that is not, from when it should be over
	spanSlackNS = int64(2 * time.Millisecond)  // by which sweeps differ
	spansKept   = 5
)

// maxCounterGap is the most datagrams in a row that can be lost; a larger jump
// of the counter means that it started over.
const maxCounterGap = 4096

type livoxPart struct {
	counter    int // datagrams since the sweep's first one
	ts         uint64
	start, end int // points
}

// SweepAssembler joins Livox datagrams to sweeps. A sweep ends when the frame
// counter moves on, when the datagram counter starts over, when the next
// datagram is a period later than the sweep's begin, or when Expire says that no
// more of it can be expected. Lidars without a frame counter have sweeps of
// exactly one period each. It is not safe for concurrent use.
type SweepAssembler struct {
	period uint64
	emit   func(*Sweep)
	count  func(outcome string, n uint64)
	box    *Box

	open      bool
	frame     uint8
	beginNS   uint64 // device time at which the sweep began
	firstNS   uint64 // of its earliest datagram
	openedNS  int64  // receive time of its first datagram
	receiveNS int64
	lostAhead int // datagrams missing before the first one
	origin    uint16
	points    []LivoxPoint
	parts     []livoxPart
	seen      map[uint16]uint64 // datagram counter -> time, of the open sweep

	started   bool
	newestNS  uint64
	counter   uint16 // of the newest datagram
	perFrame  bool   // the datagram counter starts over with every sweep
	closed    bool   // a sweep has been emitted
	closedID  uint8
	closedEnd uint64 // device time at which that sweep ended
	cutByTime bool   // and it ended because its period was over
	framed    bool   // the lidar counts its frames
	restarted bool
	seq       uint64
	packet    LivoxPacket

	spans, waits spanMemory // of sweeps, in the lidar's time and in the host's
}

// spanMemory keeps the newest few of a quantity.
type spanMemory struct {
	v [spansKept]int64
	n int
}

func (m *spanMemory) add(v int64) {
	m.v[m.n%spansKept] = v
	m.n++
}

// median returns the middle of the newest, false if there is none.
func (m *spanMemory) median() (int64, bool) {
	v := m.v
	n := min(m.n, spansKept)
	if n == 0 {
		return 0, false
	}
	slices.Sort(v[:n])
	return v[n/2], true
}

// NewSweepAssembler returns an assembler of sweeps of the given period, with
// points outside box left out. emit owns the sweep; count gets every outcome
// that is not a sweep.
func NewSweepAssembler(period time.Duration, box *Box, emit func(*Sweep), count func(outcome string, n uint64)) *SweepAssembler {
	return &SweepAssembler{period: uint64(period), box: box, emit: emit, count: count, seen: make(map[uint16]uint64)}
}

// Deadline returns when Expire is to be called, 0 if no sweep waits. A pause in
// the middle of a sweep does not end it: only behind one that is as long as
// those before it means a short pause that it is over.
func (a *SweepAssembler) Deadline() int64 {
	if !a.open {
		return 0
	}
	span, known := a.spans.median()
	wait, _ := a.waits.median()
	if known && int64(a.newestNS-a.firstNS)+spanSlackNS >= span && a.receiveNS-a.openedNS+spanSlackNS >= wait {
		return a.receiveNS + quietNS
	}
	return a.openedNS + max(int64(a.period), wait) + lateNS
}

// Expire ends the sweep if no more of it is expected at nowNS.
func (a *SweepAssembler) Expire(nowNS int64) {
	at := a.Deadline()
	if at == 0 || nowNS < at {
		return
	}
	a.end(nowNS >= a.openedNS+int64(a.period))
}

// Add takes one datagram received at receiveNS.
func (a *SweepAssembler) Add(receiveNS int64, b []byte) {
	p := &a.packet
	if err := DecodeLivox(b, p); err != nil {
		if r, ok := err.(Reason); ok { //nolint:errorlint // the decoder returns it bare
			a.count(string(r), 1)
		}
		return
	}
	if p.Type == LivoxIMU {
		a.count("imu", 1)
		return
	}
	if a.started && p.TimestampNS+restartNS < a.newestNS {
		a.Flush()
		a.count("restart", 1)
		a.restarted, a.closed, a.started = true, false, false
		a.newestNS = 0
	}
	if a.open {
		if ts, dup := a.seen[p.UDPCounter]; dup && ts == p.TimestampNS && p.Frame == a.frame {
			a.count("duplicate", 1)
			return
		}
	}
	if a.belated(p) {
		a.count("late", 1)
		return
	}
	if a.open && a.begins(p) {
		a.framed = a.framed || p.Frame != a.frame
		a.end(p.Frame == a.frame && p.TimestampNS >= a.beginNS+a.period)
	}
	if !a.open {
		a.begin(receiveNS, p)
	}
	if len(a.points)+len(p.Points) > maxSweepPoints {
		a.count("sweep_limit", 1)
		return
	}
	a.count("packet", 1)
	a.receiveNS = receiveNS
	if !a.started || p.TimestampNS >= a.newestNS {
		a.newestNS, a.counter = p.TimestampNS, p.UDPCounter
	}
	a.started = true
	a.firstNS = min(a.firstNS, p.TimestampNS)
	a.seen[p.UDPCounter] = p.TimestampNS
	start := len(a.points)
	a.points = append(a.points, p.Points...)
	a.parts = append(a.parts, livoxPart{int(int16(p.UDPCounter - a.origin)), p.TimestampNS, start, len(a.points)})
}

// belated reports whether p is of the sweep emitted last: of its frame, if
// frames are counted, and before its end.
func (a *SweepAssembler) belated(p *LivoxPacket) bool {
	if !a.closed || p.Frame != a.closedID || p.TimestampNS >= a.closedEnd {
		return false
	}
	return !a.open || p.Frame != a.frame || a.cutByTime
}

// begin opens a sweep with its first datagram. The datagrams missing between
// the sweep before and this one belong to this one.
func (a *SweepAssembler) begin(receiveNS int64, p *LivoxPacket) {
	a.open, a.frame = true, p.Frame
	a.beginNS, a.firstNS = p.TimestampNS, p.TimestampNS
	// A sweep behind one that was cut by time begins where that ended, so that
	// lost datagrams do not shift the sweeps.
	if a.closed && a.cutByTime && p.Frame == a.closedID && p.TimestampNS-a.closedEnd < a.period {
		a.beginNS = a.closedEnd
	}
	a.openedNS, a.origin, a.lostAhead = receiveNS, p.UDPCounter, 0
	if !a.started {
		return // nobody knows how the sweep began
	}
	ahead := int(p.UDPCounter - a.counter) // modulo the counter's width
	switch {
	case ahead == 0 || ahead > maxCounterGap:
		a.perFrame = true
	case !a.perFrame || p.UDPCounter != 0 && a.cutByTime:
		a.perFrame = false
		a.lostAhead = ahead - 1
		return
	}
	if p.UDPCounter < maxCounterGap {
		a.lostAhead = int(p.UDPCounter)
	}
}

// begins reports whether p is not of the open sweep.
func (a *SweepAssembler) begins(p *LivoxPacket) bool {
	if p.Frame != a.frame || p.TimestampNS >= a.beginNS+a.period {
		return true
	}
	if _, again := a.seen[p.UDPCounter]; again {
		return true
	}
	// The counter starts over at 0 with a new sweep, or because it is full. Where
	// frames are counted it may start over at any place.
	return !a.framed && p.UDPCounter == 0 && p.TimestampNS > a.newestNS && p.UDPCounter-a.counter > maxCounterGap
}

// Flush emits the open sweep.
func (a *SweepAssembler) Flush() {
	if a.open {
		a.end(false)
	}
}

// end emits the open sweep; byTime says that its period was over.
func (a *SweepAssembler) end(byTime bool) {
	a.open = false
	// Datagrams without a counter of their own frame keep their time order.
	slices.SortStableFunc(a.parts, func(x, y livoxPart) int {
		return cmp.Or(cmp.Compare(x.ts, y.ts), cmp.Compare(x.counter, y.counter))
	})
	if len(a.parts) == 0 {
		return // its only datagram was beyond the limit of points
	}
	first, last := a.parts[0], a.parts[len(a.parts)-1]
	a.closed, a.closedID, a.cutByTime, a.closedEnd = true, a.frame, byTime, a.beginNS+a.period
	if !byTime && !a.framed {
		a.closedEnd = last.ts + 1
	}
	low, high := 0, 0
	xyz := make([]float32, 0, 3*len(a.points))
	for _, part := range a.parts {
		low, high = min(low, part.counter), max(high, part.counter)
		xyz = a.appendPoints(xyz, a.points[part.start:part.end])
	}
	sent := max(a.lostAhead+low, 0) + high - low + 1
	if lost := sent - len(a.parts); lost > 0 {
		a.count("lost_packet", uint64(lost))
	}
	a.seq++
	s := &Sweep{
		Seq: a.seq, ReceiveNS: a.receiveNS, XYZ: xyz, Restarted: a.restarted,
		TimeNS:   first.ts + (last.ts-first.ts)/2,
		Span:     time.Duration(last.ts - first.ts),
		Complete: min(1, float64(len(a.parts))/float64(sent)),
	}
	a.spans.add(int64(last.ts - first.ts))
	a.waits.add(a.receiveNS - a.openedNS)
	a.restarted = false
	a.points, a.parts = a.points[:0], a.parts[:0]
	clear(a.seen)
	a.emit(s)
}

// appendPoints appends the points inside the box, in metres.
func (a *SweepAssembler) appendPoints(xyz []float32, points []LivoxPoint) []float32 {
	for _, x := range points {
		if x.X == 0 && x.Y == 0 && x.Z == 0 {
			continue // no return
		}
		p := [3]float64{float64(x.X) / 1000, float64(x.Y) / 1000, float64(x.Z) / 1000}
		if a.box.Contains(p) {
			xyz = append(xyz, float32(p[0]), float32(p[1]), float32(p[2]))
		}
	}
	return xyz
}
