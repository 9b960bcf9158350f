package lidar

import "time"

// Frame is one turn of an Ouster lidar. A column not in Have did not arrive:
// its ranges are unknown, not "no return".
type Frame struct {
	ID        uint32
	Seq       uint64   // frame id without its wrap
	RangeMM   []uint32 // columns x rows, column-major as measured
	Have      []bool   // per column: arrived and valid
	Valid     int      // columns in Have
	Expected  int      // columns of the window
	ReceiveNS int64    // receive time of its last packet, as given to Add
	FirstNS   uint64   // sensor time of the first valid column
	MiddleNS  uint64   // of the middle valid column
	LastNS    uint64   // of the last valid column
	Restarted bool     // the sensor started over before this frame

	timestamps []uint64
	packets    []bool
	missing    int   // packets of the window that have not arrived
	openedNS   int64 // receive time of its first packet
	place      int   // in the window, of its packet furthest on
	placeNS    int64 // receive time of that packet
}

// When an incomplete frame is given up. Neighbours swapped by the network are
// closer than reorderNS and reorderPackets; a tick must not wait longer for a
// packet that is lost.
const (
	reorderPackets = 8                            // of the next frame
	reorderNS      = int64(3 * time.Millisecond)  // after the next frame began, or after the last packet of its own came
	gapNS          = int64(8 * time.Millisecond)  // after the last packet was due, where the window leaves a pause behind it
	stallNS        = int64(50 * time.Millisecond) // the same, where the next frame follows at once and ends it
)

// forgetAfter is how many frames in a row must lack a packet of the window
// before it is expected no longer: the metadata's window is not the sensor's.
const forgetAfter = 20

// restartNS is how far the sensor's clock must go back to be a restart.
const restartNS = uint64(time.Second)

// Assembler joins packets to frames. It keeps at most two frames open: the
// newest and the one before, for packets that the network reordered. It is not
// safe for concurrent use.
type Assembler struct {
	meta   *Metadata
	emit   func(*Frame)
	count  func(outcome string, n uint64)
	period int64
	window window
	step   int64 // between packets

	cur, prev   *Frame
	started     bool
	curID       uint32 // id of the newest frame, open or not
	curSeq      uint64
	curPackets  int // of the newest frame
	curOpenedNS int64
	newestNS    uint64
	restarted   bool
	crcLive     bool // a checksum has matched since the last init id
	initID      uint32
	serial      uint64 // of the sensor that is followed, 0 if not known yet
	free        []*Frame
	imu         OusterIMU // to tell its packets
}

// NewAssembler returns an assembler for packets of meta. emit gets each closed
// frame, which is reused once emit returns; count gets every outcome that is
// not a frame.
func NewAssembler(meta *Metadata, emit func(*Frame), count func(outcome string, n uint64)) *Assembler {
	a := &Assembler{
		meta: meta, emit: emit, count: count,
		period: int64(1e9 / meta.RateHz),
		window: newWindow(meta),
		initID: meta.InitID, serial: meta.Serial,
	}
	a.step = a.period / int64(meta.Format.PacketsPerFrame())
	return a
}

// Deadline returns when Expire is to be called, 0 if no frame waits.
func (a *Assembler) Deadline() int64 {
	at := int64(0)
	for _, f := range [2]*Frame{a.prev, a.cur} {
		if f == nil {
			continue
		}
		if d := a.due(f); at == 0 || d < at {
			at = d
		}
	}
	return at
}

// due returns when an incomplete frame is given up.
func (a *Assembler) due(f *Frame) int64 {
	left := int64(a.window.packets - 1 - f.place)
	wait := stallNS
	switch {
	case left <= 0:
		left, wait = 0, reorderNS
	case a.window.pause:
		wait = gapNS
	}
	at := min(f.placeNS+left*a.step+wait, f.openedNS+a.period*3/2)
	if f == a.prev {
		at = min(at, a.curOpenedNS+reorderNS)
	}
	return at
}

// Add takes one datagram received at nowNS (any monotonic clock).
func (a *Assembler) Add(nowNS int64, b []byte) {
	var p Packet
	if err := a.meta.Format.Decode(b, &p); err != nil {
		switch {
		case DecodeOusterIMU(b, &a.imu) == nil:
			a.count("imu", 1)
		case isOusterZones(b):
			a.count("zones", 1)
		default:
			a.reject(err)
		}
		return
	}
	if err := a.check(&p); err != nil {
		a.reject(err)
		return
	}
	first := p.firstValid()
	if first < 0 {
		a.count("no_valid_column", 1)
		return
	}
	head := p.Column(first)
	p.FrameID = head.FrameID // the first column may be invalid, with any id
	k := head.ID / a.meta.Format.ColumnsPerPacket
	if !consecutive(&p, first, head) {
		a.reject(BadColumn)
		return
	}
	known := a.window.expected[k]
	if !known {
		a.window.widen(&p, k)
	}
	f := a.frame(nowNS, &p, head.TimestampNS)
	if f == nil {
		a.count("late", 1)
		return
	}
	if f.packets[k] {
		a.count("duplicate", 1)
		return
	}
	f.packets[k] = true
	f.ReceiveNS = nowNS
	if place := a.window.place[k]; place > f.place || f.placeNS == 0 {
		f.place, f.placeNS = place, nowNS
	}
	a.fill(f, &p)
	a.newestNS = max(a.newestNS, head.TimestampNS)
	a.count("packet", 1)
	if known {
		f.missing--
	}
	if f.missing == 0 {
		if f == a.cur && a.prev != nil {
			a.close(a.prev)
		}
		a.close(f)
	}
	if a.prev != nil && (a.curPackets >= reorderPackets || nowNS >= a.curOpenedNS+reorderNS) {
		a.close(a.prev)
	}
}

func (a *Assembler) reject(err error) {
	if r, ok := err.(Reason); ok { //nolint:errorlint // decoders return it bare
		a.count(string(r), 1)
	}
}

// check tells packets of other sensors, of an older configuration and damaged
// ones.
func (a *Assembler) check(p *Packet) error {
	if p.InitID != 0 && a.meta.InitID != 0 && p.InitID != a.meta.InitID {
		return BadInitID
	}
	if p.Serial != 0 && a.serial != 0 && p.Serial != a.serial {
		return BadSerial
	}
	if a.serial == 0 {
		a.serial = p.Serial // metadata without a serial number: the first one is followed
	}
	if p.InitID != a.initID {
		a.initID, a.crcLive = p.InitID, false
	}
	if !p.HasCRC() {
		return nil
	}
	switch ok := p.CRCMatches(); {
	case ok:
		a.crcLive = true
	case a.crcLive:
		return BadCRC
	default:
		a.count("unverified_crc", 1)
	}
	return nil
}

func (p *Packet) firstValid() int {
	for i := range p.format.ColumnsPerPacket {
		if p.Column(i).Valid {
			return i
		}
	}
	return -1
}

// consecutive reports whether the packet's valid columns are one behind the
// other in one frame, as those of every sensor are; bytes read in a wrong format
// are not.
func consecutive(p *Packet, first int, head Column) bool {
	for i := range p.format.ColumnsPerPacket {
		c := p.Column(i)
		if c.Status&1 == 1 && c.ID >= p.format.Columns {
			return false
		}
		if c.Valid && i > first && (c.ID != (head.ID+i-first)%p.format.Columns || c.FrameID != head.FrameID) {
			return false
		}
	}
	return true
}

// frame returns the open frame the packet belongs to, nil if that is closed.
func (a *Assembler) frame(nowNS int64, p *Packet, ts uint64) *Frame {
	diff := int64(int16(p.FrameID - a.curID))
	if a.meta.Format.fusa() {
		diff = int64(int32(p.FrameID - a.curID))
	}
	back := ts+restartNS < a.newestNS
	switch {
	case !a.started:
		a.started = true
		a.curSeq = uint64(p.FrameID)
	case back || diff < 0 && ts > a.newestNS:
		a.Flush()
		a.count("restart", 1)
		a.restarted = true
		a.curSeq = uint64(p.FrameID)
		a.newestNS = 0
	case diff == 0:
		if a.cur != nil {
			a.curPackets++
		}
		return a.cur
	case diff < 0:
		if a.prev != nil && a.prev.ID == p.FrameID {
			return a.prev
		}
		return nil
	default:
		if diff > 1 {
			a.count("lost_frame", uint64(diff-1))
		}
		if a.prev != nil {
			a.close(a.prev)
		}
		a.prev = a.cur
		a.curSeq += uint64(diff)
	}
	a.curID = p.FrameID
	a.curPackets, a.curOpenedNS = 1, nowNS
	a.cur = a.newFrame(nowNS)
	return a.cur
}

func (a *Assembler) newFrame(nowNS int64) *Frame {
	f := a.meta.Format
	var x *Frame
	if n := len(a.free); n > 0 {
		x, a.free = a.free[n-1], a.free[:n-1]
		clear(x.RangeMM)
		clear(x.Have)
		clear(x.packets)
	} else {
		x = &Frame{
			RangeMM:    make([]uint32, f.Rows*f.Columns),
			Have:       make([]bool, f.Columns),
			timestamps: make([]uint64, f.Columns),
			packets:    make([]bool, f.PacketsPerFrame()),
		}
	}
	x.ID, x.Seq, x.Valid = a.curID, a.curSeq, 0
	x.Restarted, a.restarted = a.restarted, false
	x.missing, x.openedNS, x.place, x.placeNS = a.window.packets, nowNS, 0, 0
	return x
}

func (a *Assembler) fill(f *Frame, p *Packet) {
	rows := a.meta.Format.Rows
	for i := range p.format.ColumnsPerPacket {
		c := p.Column(i)
		if !c.Valid || f.Have[c.ID] {
			continue
		}
		f.Have[c.ID] = true
		f.Valid++
		f.timestamps[c.ID] = c.TimestampNS
		p.Ranges(i, f.RangeMM[c.ID*rows:(c.ID+1)*rows])
	}
}

// close emits an open frame.
func (a *Assembler) close(f *Frame) {
	if f == a.cur {
		a.cur = nil
	} else {
		a.prev = nil
	}
	if f.Valid == 0 {
		a.restarted = a.restarted || f.Restarted
	} else {
		f.times(a.meta.ColumnWindow[0])
		f.Expected = max(a.window.columns, f.Valid)
		if f.missing > 0 {
			a.count("lost_packet", uint64(f.missing))
		}
		a.window.forget(f.packets)
		a.emit(f)
	}
	a.free = append(a.free, f)
}

// times finds the first, middle and last valid column, in the order of the
// turn, which begins with the window.
func (f *Frame) times(start int) {
	seen, w := 0, len(f.Have)
	for k := range w {
		c := (start + k) % w
		if !f.Have[c] {
			continue
		}
		if seen == 0 {
			f.FirstNS = f.timestamps[c]
		}
		if seen == f.Valid/2 {
			f.MiddleNS = f.timestamps[c]
		}
		f.LastNS = f.timestamps[c]
		seen++
	}
}

// Expire closes frames that are given up at nowNS.
func (a *Assembler) Expire(nowNS int64) {
	for _, f := range [2]*Frame{a.prev, a.cur} {
		if f != nil && nowNS >= a.due(f) {
			a.close(f)
		}
	}
}

// Flush closes all open frames, older first.
func (a *Assembler) Flush() {
	for _, f := range [2]*Frame{a.prev, a.cur} {
		if f != nil {
			a.close(f)
		}
	}
}
