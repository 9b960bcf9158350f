package lidar

import "time"

// Times and sizes of a Velodyne's sweeps.
const (
	hourUS            = int64(3_600_000_000)
	velodyneCutSpan   = 18000                         // 1/100 degree: a larger step back of the azimuth is a wrap
	longestSweepNS    = int64(250 * time.Millisecond) // of the slowest motor, and one that stands
	velodyneQuietNS   = int64(15 * time.Millisecond)  // pause that ends a sweep that is nearly whole
	velodynePauseNS   = int64(100 * time.Millisecond) // pause that ends any
	velodyneWhole     = 35500                         // 1/100 degree
	maxVelodyneLost   = 10_000                        // packets; a longer gap is a pause
	maxVelodyneFloats = 3 * 400_000                   // points of a sweep, times three
)

// VelodyneAssembler joins Velodyne packets to sweeps, which end where the
// azimuth passes the cut. It is not safe for concurrent use.
type VelodyneAssembler struct {
	cut         int // 1/100 degree
	calibration []VelodyneLaser
	box         *Box
	emit        func(*Sweep)
	count       func(outcome string, n uint64)

	geometry *VelodyneGeometry // of the product that sends, nil before
	product  VelodyneProduct

	started   bool
	stampUS   uint32 // of the newest packet
	newestNS  int64  // its time on the unwrapped clock
	restarted bool
	azimuth   int // from the cut, of the newest block

	xyz       []float32
	open      bool
	firstNS   int64
	lastNS    int64
	receiveNS int64
	packets   int
	lost      int
	seq       uint64
}

// NewVelodyneAssembler returns an assembler of sweeps that are cut at an
// azimuth, degrees. calibration is that of the user's file, nil if there is
// none. emit owns the sweep; count gets every outcome that is not a sweep.
func NewVelodyneAssembler(cutDeg float64, calibration []VelodyneLaser, box *Box, emit func(*Sweep), count func(outcome string, n uint64)) *VelodyneAssembler {
	return &VelodyneAssembler{cut: int(cutDeg * 100), calibration: calibration, box: box, emit: emit, count: count}
}

// Deadline returns when Expire is to be called, 0 if no sweep waits.
func (a *VelodyneAssembler) Deadline() int64 {
	if !a.open {
		return 0
	}
	if a.azimuth < velodyneWhole {
		return a.receiveNS + velodynePauseNS
	}
	return a.receiveNS + velodyneQuietNS
}

// Expire ends the sweep if no packet came for a while.
func (a *VelodyneAssembler) Expire(nowNS int64) {
	if at := a.Deadline(); at != 0 && nowNS >= at {
		a.Flush()
	}
}

// Add takes one datagram received at receiveNS.
func (a *VelodyneAssembler) Add(receiveNS int64, b []byte) {
	var p VelodynePacket
	if err := DecodeVelodyne(b, &p); err != nil {
		if DecodeVelodynePosition(b, &VelodynePosition{}) == nil {
			a.count("position", 1)
			return
		}
		if r, ok := err.(Reason); ok { //nolint:errorlint // the decoder returns it bare
			a.count(string(r), 1)
		}
		return
	}
	if p.Product != a.product {
		a.Flush()
		a.geometry, a.product = NewVelodyneGeometry(p.Product, a.calibration), p.Product
	}
	if !a.clock(&p) {
		return
	}
	a.count("packet", 1)
	// Blocks at the packet's begin are of the sweep before if the cut is inside.
	first := true
	for block := range velodyneBlocks {
		at := (p.Azimuth(block) - a.cut + 2*(velodyneMaxAzimuth+1)) % (velodyneMaxAzimuth + 1)
		ns := a.newestNS + int64(1000*a.geometry.firingUS(&p, block, 0))
		if a.open && (at < a.azimuth-velodyneCutSpan || ns-a.firstNS > longestSweepNS) {
			a.Flush()
			first = true
		}
		a.azimuth = at
		if !a.open {
			a.open, a.firstNS = true, ns
		}
		if first {
			a.packets++
			first = false
		}
		a.lastNS, a.receiveNS = ns, receiveNS
		if len(a.xyz) < maxVelodyneFloats {
			a.xyz = a.geometry.Block(a.xyz, &p, block, a.box)
		}
	}
}

// clock unwraps the packet's time, which counts from the full hour, and tells
// packets that came twice or too late; false means that the packet is of no use.
func (a *VelodyneAssembler) clock(p *VelodynePacket) bool {
	if !a.started {
		a.started, a.stampUS, a.newestNS = true, p.TimestampUS, 1000*int64(p.TimestampUS)
		return true
	}
	ahead := int64(p.TimestampUS) - int64(a.stampUS)
	switch {
	case ahead < -hourUS/2:
		ahead += hourUS
	case ahead > hourUS/2:
		ahead -= hourUS
	}
	switch {
	case ahead == 0:
		a.count("duplicate", 1)
		return false
	case ahead < 0 && -1000*ahead <= int64(restartNS):
		a.count("late", 1)
		return false
	case ahead < 0:
		a.Flush()
		a.count("restart", 1)
		a.restarted = true
	default:
		period := int64(a.geometry.packetUS(p.Mode))
		if lost := (ahead+period/2)/period - 1; lost > 0 && lost <= maxVelodyneLost {
			a.count("lost_packet", uint64(lost))
			a.lost += int(lost)
		}
	}
	a.stampUS = p.TimestampUS
	a.newestNS += 1000 * ahead
	return true
}

// Flush emits the open sweep.
func (a *VelodyneAssembler) Flush() {
	if !a.open {
		return
	}
	a.open = false
	a.seq++
	s := &Sweep{
		Seq: a.seq, ReceiveNS: a.receiveNS, XYZ: append([]float32(nil), a.xyz...), Restarted: a.restarted,
		TimeNS:   uint64(a.firstNS + (a.lastNS-a.firstNS)/2),
		Span:     time.Duration(a.lastNS - a.firstNS),
		Complete: float64(a.packets) / float64(a.packets+a.lost),
	}
	a.xyz, a.packets, a.lost, a.restarted = a.xyz[:0], 0, 0, false
	a.emit(s)
}
