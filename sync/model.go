package timesync

import (
	"math"
	"sync"
	"time"

	"posefuse/sensors"
)

// Defaults of ModelConfig.
const (
	DefaultWindow        = 45 * time.Second
	DefaultMaxDriftPPM   = 200
	DefaultStepThreshold = 50 * time.Millisecond
	DefaultStepSamples   = 5
)

const (
	envelopeNS   = int64(10 * time.Second) // the intercept follows the minima of this long
	minSlopeBins = 8                       // per-second minima needed before a slope is fitted
	maxDelayNS   = int64(time.Second)      // no transport delays a sample longer
	stepAfterNS  = int64(2 * time.Second)  // suspects that disagree still force a reset after this
	binNS        = int64(time.Second)
	stuckStamps  = 3 // equal device stamps in a row that mean the device clock stands
)

// ModelConfig configures a ClockModel. Zero values take the defaults.
type ModelConfig struct {
	// NominalPeriod, if set, gives sensors without device time one: frame
	// number x period. Without it their receive time is used.
	NominalPeriod time.Duration
	// FixedLatency lies between capture and the earliest possible reception
	// or, for a device clock, its stamp: half the exposure, UART time, half a
	// LiDAR turn. It is subtracted from every capture time.
	FixedLatency  time.Duration
	Window        time.Duration // span of the line fit, 30..60 s, default 45 s
	MaxDriftPPM   float64       // limit of the fitted slope, default 200
	StepThreshold time.Duration // residual that makes a sample suspect, default 50 ms
	StepSamples   int           // suspects in a row that reset the model, default 5
}

// ModelState says how much a ClockModel knows.
type ModelState string

// States of a clock model.
const (
	ModelEmpty       ModelState = "empty"        // no sample yet
	ModelReceiveOnly ModelState = "receive_only" // no device time: capture = receive - latency
	ModelLearning    ModelState = "learning"     // offset known, drift not yet
	ModelLocked      ModelState = "locked"       // offset and drift fitted
	ModelSuspect     ModelState = "suspect"      // device time disagrees, a reset is near
	ModelNoStamp     ModelState = "no_stamp"     // device stamps are zero or stand still
)

// ModelStatus is a snapshot of a ClockModel.
type ModelStatus struct {
	State           ModelState
	OffsetNS        int64   // room clock minus device clock at the newest sample; 0 without device time
	DriftPPM        float64 // room seconds gained per device second, parts per million
	DriftLimited    bool    // the fit wanted more than MaxDriftPPM
	Discontinuities uint64  // resets: steps, restarts
}

// ClockModel maps one sensor's device time to the room clock by a running
// lower-envelope fit of receive - device: transport delays are never negative,
// so the minimum tracks the offset (reference sensors.md 12). It is usable
// from the first sample. Safe for concurrent use.
type ClockModel struct {
	cfg ModelConfig

	mu      sync.Mutex
	started bool // at least one sample
	mapped  bool // the map below is valid
	state   ModelState
	discont uint64

	base    int64 // device ns at the map's origin; offsets are relative to it
	offset0 int64 // receive - device of the map's first sample
	bins    []bin // per-second minima, oldest first, bounded by Window
	slope   float64
	line    float64 // y = line + slope*x: the envelope, y = receive-device-offset0, x = device-base
	limited bool

	suspects    int
	suspectMin  int64 // smallest receive - device among the suspects
	suspectMax  int64
	suspectAt   int64 // receive time of the first suspect
	suspectBack bool  // the run began with device time going back

	prevDev    int64 // device time of the previous sample
	stuck      int
	maxDev     int64 // newest mapped device time
	maxCapture int64 // its capture time

	jumps [jumpsKept]int64 // receive times of the newest discontinuities, by number
}

// jumpsKept is how many discontinuities are remembered with their times.
const jumpsKept = 16

type bin struct{ second, x, y int64 }

// NewClockModel returns a model without samples.
func NewClockModel(cfg ModelConfig) *ClockModel {
	if cfg.Window <= 0 {
		cfg.Window = DefaultWindow
	}
	if cfg.MaxDriftPPM <= 0 {
		cfg.MaxDriftPPM = DefaultMaxDriftPPM
	}
	if cfg.StepThreshold <= 0 {
		cfg.StepThreshold = DefaultStepThreshold
	}
	if cfg.StepSamples <= 0 {
		cfg.StepSamples = DefaultStepSamples
	}
	return &ClockModel{
		cfg:   cfg,
		state: ModelEmpty,
		bins:  make([]bin, 0, int(cfg.Window/time.Second)+2),
	}
}

// Stamp sets s.CaptureNS from the sample's device and receive times and
// returns it. Call it once per sample, in the order of reception, before the
// sample is shared. Capture times never decrease in the order of device time;
// a sample that the network reordered keeps its place.
func (m *ClockModel) Stamp(s *sensors.Sample) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	dev, ok := s.DeviceNS, s.HasDevice
	if !ok && m.cfg.NominalPeriod > 0 {
		dev, ok = int64(s.Seq)*int64(m.cfg.NominalPeriod), true
	}
	var capture int64
	if ok {
		capture = m.fromDevice(dev, s.ReceiveNS, s.Restarted, s.HasDevice)
	} else {
		m.state = ModelReceiveOnly
		capture = max(s.ReceiveNS, m.maxCapture)
		m.maxCapture = capture
	}
	m.started = true
	s.CaptureNS = capture - int64(m.cfg.FixedLatency)
	return s.CaptureNS
}

// fromDevice returns the capture time before the fixed latency.
func (m *ClockModel) fromDevice(dev, recv int64, restarted, stamped bool) int64 {
	if m.started && dev == m.prevDev {
		m.stuck++
	} else {
		m.stuck = 0
	}
	m.prevDev = dev
	// A zero stamp is what a device without a running clock sends. Were it a
	// true zero, using the receive time for one sample costs little.
	if (stamped && dev == 0) || m.stuck >= stuckStamps-1 {
		m.state = ModelNoStamp
		m.mapped = m.mapped && !restarted
		return m.atReceive(recv)
	}
	switch {
	case !m.mapped:
		m.reset(dev, recv-dev)
	case restarted:
		m.jumped(recv)
		m.reset(dev, recv-dev)
	}
	residual := recv - dev - m.offsetAt(dev)
	threshold := int64(m.cfg.StepThreshold)
	if residual > threshold || residual < -threshold {
		return m.suspect(dev, recv, residual)
	}
	m.suspects = 0
	m.learn(dev, recv)
	return m.place(dev, min(dev+m.offsetAt(dev), recv))
}

// atReceive returns the receive time, kept monotone.
func (m *ClockModel) atReceive(recv int64) int64 {
	m.maxCapture = max(m.maxCapture, recv)
	return m.maxCapture
}

// place keeps capture times monotone in device order.
func (m *ClockModel) place(dev, capture int64) int64 {
	if dev >= m.maxDev {
		m.maxDev = dev
		m.maxCapture = max(m.maxCapture, capture)
		return m.maxCapture
	}
	return min(capture, m.maxCapture)
}

// suspect handles a sample whose device time does not fit the map: a delay, a
// wrong stamp or a step of the device clock.
func (m *ClockModel) suspect(dev, recv, residual int64) int64 {
	raw := recv - dev
	threshold := int64(m.cfg.StepThreshold)
	// A run of suspects is one only while the device clock itself runs on.
	if m.suspects == 0 || (raw > m.suspectMax && raw-m.suspectMin > maxDelayNS) || m.suspectMax-raw > maxDelayNS {
		m.suspects, m.suspectMin, m.suspectMax, m.suspectAt = 0, raw, raw, recv
		m.suspectBack = dev < m.maxDev
	}
	m.suspects++
	m.suspectMin, m.suspectMax = min(m.suspectMin, raw), max(m.suspectMax, raw)
	m.state = ModelSuspect
	// Residuals that disagree are a queue running empty, not a step.
	agree := m.suspectMax-m.suspectMin <= threshold
	if m.suspects >= m.cfg.StepSamples && (agree || recv-m.suspectAt > stepAfterNS) {
		m.jumped(recv)
		m.reset(dev, m.suspectMin)
		m.learn(dev, recv)
		return m.place(dev, min(dev+m.offsetAt(dev), recv))
	}
	if residual > 0 && residual < maxDelayNS && !m.suspectBack {
		return m.place(dev, dev+m.offsetAt(dev)) // late but rightly stamped
	}
	return m.atReceive(recv)
}

// jumped counts a discontinuity noticed at recv.
func (m *ClockModel) jumped(recv int64) {
	m.jumps[m.discont%jumpsKept] = recv
	m.discont++
}

// JumpsSince returns how many discontinuities were noticed at or after room
// time ns, at most the newest few.
func (m *ClockModel) JumpsSince(ns int64) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, at := range m.jumps[:min(m.discont, jumpsKept)] {
		if at >= ns {
			n++
		}
	}
	return n
}

// reset starts the map over at device time dev with the given offset.
func (m *ClockModel) reset(dev, offset int64) {
	m.mapped = true
	m.state = ModelLearning
	m.base, m.offset0 = dev, offset
	m.bins = m.bins[:0]
	m.slope, m.line, m.limited = 0, 0, false
	m.suspects = 0
	m.maxDev = dev
}

// offsetAt returns room minus device at device time dev by the map.
func (m *ClockModel) offsetAt(dev int64) int64 {
	return m.offset0 + int64(math.Round(m.line+m.slope*float64(dev-m.base)))
}

// learn adds an accepted sample to the per-second minima and refits.
func (m *ClockModel) learn(dev, recv int64) {
	m.state = ModelLearning
	if len(m.bins) >= minSlopeBins {
		m.state = ModelLocked
	}
	x, y := dev-m.base, recv-dev-m.offset0
	second := recv / binNS
	n := len(m.bins)
	switch {
	case n > 0 && m.bins[n-1].second == second:
		if y >= m.bins[n-1].y {
			return // the envelope is unchanged
		}
		m.bins[n-1].x, m.bins[n-1].y = x, y
	case n > 0 && m.bins[n-1].second > second:
		return
	default:
		m.bins = append(m.bins, bin{second, x, y})
		old := 0
		for old < len(m.bins)-1 && second-m.bins[old].second > int64(m.cfg.Window/time.Second) {
			old++
		}
		m.bins = m.bins[:copy(m.bins, m.bins[old:])]
	}
	m.fit()
}

// fit draws the line: least-squares slope of the minima, limited, then lowered
// until it touches the newest minima from below.
func (m *ClockModel) fit() {
	n := len(m.bins)
	m.state = ModelLearning
	m.slope, m.limited = 0, false
	if n >= minSlopeBins {
		m.state = ModelLocked
		var mx, my float64
		for _, b := range m.bins {
			mx += float64(b.x)
			my += float64(b.y)
		}
		mx /= float64(n)
		my /= float64(n)
		var sxx, sxy float64
		for _, b := range m.bins {
			dx := float64(b.x) - mx
			sxx += dx * dx
			sxy += dx * (float64(b.y) - my)
		}
		if sxx > 0 {
			m.slope = sxy / sxx
		}
		if limit := m.cfg.MaxDriftPPM * 1e-6; math.Abs(m.slope) > limit {
			m.slope, m.limited = math.Copysign(limit, m.slope), true
		}
	}
	// Beyond the slope limit an old minimum pulls the line away from the
	// present, so the shorter the better; inside it a longer look finds
	// better minima.
	look := envelopeNS / binNS
	if m.limited {
		look = 2
	}
	m.line = math.Inf(1)
	newest := m.bins[n-1].second
	for i := n - 1; i >= 0 && newest-m.bins[i].second <= look; i-- {
		m.line = min(m.line, float64(m.bins[i].y)-m.slope*float64(m.bins[i].x))
	}
}

// Status returns the model's offset, drift and state.
func (m *ClockModel) Status() ModelStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := ModelStatus{State: m.state, Discontinuities: m.discont}
	if m.mapped {
		st.OffsetNS = m.offsetAt(m.maxDev)
		st.DriftPPM = m.slope * 1e6
		st.DriftLimited = m.limited
	}
	return st
}
