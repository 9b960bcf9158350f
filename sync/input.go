package timesync

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

const (
	historyLen = 32 // samples remembered to tell duplicates
	recentLen  = 17 // capture times kept to measure period and phase
)

// input is the state of one sensor of an aligner.
type input struct {
	cfg      SensorConfig
	centre   int64
	period   int64 // configured or measured
	jitter   int64
	maxGap   int64
	tick     int64 // tick period
	measured bool

	q    queue
	outs Outcomes

	seen        bool
	lastArrival int64 // of the newest accepted sample
	newest      int64 // newest capture time accepted
	state       State
	skew        int64
	window      []*sensors.Sample
	times       [CSIWindow]int64

	inserted    uint64 // samples queued so far
	announced   uint64 // inserted when the sensor was last announced as settled
	announcedNS int64  // the tick it was announced for

	history  [historyLen]stamp
	historyN int
	recent   [recentLen]int64 // newest capture times, oldest first, all increasing
	recentN  int
}

type stamp struct {
	seq    uint64
	device int64
	at     int64
}

func newInput(cfg SensorConfig, all Config) *input {
	in := &input{
		cfg: cfg, centre: int64(cfg.Centre), period: int64(cfg.Period), jitter: int64(cfg.Jitter),
		maxGap: int64(all.MaxGap), tick: int64(all.Period), state: Stale,
	}
	if in.period == 0 {
		in.period, in.measured = int64(all.Period), true
	}
	in.q = queue{ring: make([]entry, cfg.Queue), outs: &in.outs}
	switch cfg.Modality {
	case modality.Camera:
		in.window = make([]*sensors.Sample, CameraWindow)
	case modality.CSI:
		in.window = make([]*sensors.Sample, CSIWindow)
	case modality.LiDAR, modality.Radar: // one sample
	}
	return in
}

// duplicate reports whether the sample came before, and remembers it.
func (in *input) duplicate(s *sensors.Sample, at int64) bool {
	dev := at
	if s.HasDevice {
		dev = s.DeviceNS
	}
	for i := range min(in.historyN, historyLen) {
		h := &in.history[i]
		if h.seq != s.Seq || s.Restarted {
			continue
		}
		// Without a device clock the two arrivals get two capture times.
		if h.device == dev || (!s.HasDevice && abs(h.at-at) < in.period/2) {
			return true
		}
	}
	in.history[in.historyN%historyLen] = stamp{s.Seq, dev, at}
	in.historyN++
	return false
}

// observe keeps the newest capture times for period and phase.
func (in *input) observe(at, tick int64) {
	switch {
	case in.recentN > 0 && at <= in.recent[in.recentN-1]:
		if in.recent[in.recentN-1]-at > tick {
			in.recentN = 0 // the sensor's time went back
			in.newest = at
		}
		return
	case in.recentN > 0 && at-in.recent[in.recentN-1] > 5*tick:
		in.recentN = 0
	}
	in.seen = true
	in.newest = at
	if in.recentN == recentLen {
		copy(in.recent[:], in.recent[1:])
		in.recentN--
	}
	in.recent[in.recentN] = at
	in.recentN++
	if in.measured && in.recentN >= 4 {
		in.period = min(max(in.medianInterval(), 1e6), 1e9)
	}
}

func (in *input) medianInterval() int64 {
	var d [recentLen]int64
	n := 0
	for i := 1; i < in.recentN; i++ {
		d[n] = in.recent[i] - in.recent[i-1]
		n++
	}
	return median(d[:n])
}

// median sorts d, a few values, in place and returns the middle one.
func median(d []int64) int64 {
	for i := 1; i < len(d); i++ {
		for j := i; j > 0 && d[j-1] > d[j]; j-- {
			d[j-1], d[j] = d[j], d[j-1]
		}
	}
	return d[len(d)/2]
}

func abs(x int64) int64 {
	if x < 0 {
		return -x
	}
	return x
}

// live reports whether the sensor delivered something usable lately.
func (in *input) live(now, stale int64) bool {
	return in.seen && now-in.lastArrival <= stale
}

// tolerance is how far from its instant a sample may lie.
func (in *input) tolerance() int64 { return in.period/2 + in.jitter }

// keepFrom returns the capture time from which on samples can matter to ticks
// at or after tickNS.
func (in *input) keepFrom(tickNS int64) int64 {
	target := tickNS + in.centre
	switch in.cfg.Modality {
	case modality.Camera:
		return target - (CameraWindow-1)*in.tick - max(in.tick/2, in.tolerance())
	case modality.CSI:
		return target - in.tick/2 - in.jitter
	case modality.LiDAR, modality.Radar:
	}
	return target - in.tolerance()
}

// delivered reports whether no sample that keeps to the sensor's period and
// jitter can still change what the tick gets, or arrive in time.
func (in *input) delivered(tickNS, tick, hold int64) bool {
	target := tickNS + in.centre
	if in.cfg.Modality == modality.CSI {
		if in.newest >= target+tick/2+in.jitter {
			return true
		}
		lo, hi := in.packets(target)
		if hi-lo < CSIWindow {
			return false
		}
		reach := max(abs(in.q.at(lo).at-target), abs(in.q.at(hi-1).at-target))
		return in.newest+in.period-in.jitter-target >= reach
	}
	if in.newest >= target {
		return true
	}
	next := in.newest + in.period - in.jitter // no sample comes before
	if next > tickNS+hold {
		return true
	}
	i := in.nearestUnused(target)
	return i >= 0 && target-in.q.at(i).at <= next-target
}

// unannounced reports whether the sensor's part of the tick is settled and has
// not been announced, or not with the samples that came since.
func (in *input) unannounced(tickNS, tick, hold int64) bool {
	return (in.announcedNS != tickNS || in.announced != in.inserted) && in.delivered(tickNS, tick, hold)
}

// peek gives the slot what the sensor has for the tick, without taking it; it
// reports whether that is anything.
func (in *input) peek(slot *Slot, tickNS int64) bool {
	*slot = Slot{State: Fused}
	return in.take(slot, tickNS+in.centre, false)
}

// nearestUnused returns the queue index of the nearest sample that no tick
// has used, -1 if there is none.
func (in *input) nearestUnused(target int64) int {
	right := in.q.search(target)
	left := right - 1
	for left >= 0 && in.q.at(left).used {
		left--
	}
	for right < in.q.n && in.q.at(right).used {
		right++
	}
	switch {
	case left < 0 && right == in.q.n:
		return -1
	case right == in.q.n:
		return left
	case left < 0 || in.q.at(right).at-target < target-in.q.at(left).at:
		return right
	}
	return left
}

// fill gives the slot what the sensor has for the tick.
func (in *input) fill(slot *Slot, tickNS, tick, hold int64, live bool) {
	slot.Sample, slot.Window, slot.Filled, slot.SkewNS, slot.LastByteNS = nil, nil, 0, 0, 0
	target := tickNS + in.centre
	switch {
	case in.take(slot, target, true):
		slot.State = Fused
		in.skew = slot.SkewNS
	case !live:
		slot.State = Stale
	case in.newest > target+in.reach(), in.newest+in.period-in.jitter > tickNS+hold:
		slot.State = Gap
	default:
		slot.State = Late
	}
	in.state = slot.State
}

// take gives the slot the sensor's sample and window, if there are any, and
// counts them as fused if use is set.
func (in *input) take(slot *Slot, target int64, use bool) bool {
	if in.cfg.Modality == modality.CSI {
		return in.fillCSI(slot, target, use)
	}
	i := in.nearestUnused(target)
	if i < 0 || abs(in.q.at(i).at-target) > in.tolerance() {
		return false
	}
	e := in.q.at(i)
	slot.Sample, slot.SkewNS, slot.LastByteNS = e.sample, e.at-target, e.sample.ReceiveNS
	if use {
		in.q.use(e)
	}
	if in.cfg.Modality == modality.Camera {
		in.fillCamera(slot, i, target, use)
	}
	return true
}

// reach is how far behind the target the newest sample must be for the
// sensor to have passed the tick.
func (in *input) reach() int64 {
	if in.cfg.Modality == modality.CSI {
		return in.tick/2 - in.period
	}
	return 0
}

// fillCamera builds the window that ends with queue entry current.
func (in *input) fillCamera(slot *Slot, current int, target int64, use bool) {
	w := in.window
	w[CameraWindow-1] = slot.Sample
	oldest, at := CameraWindow-1, in.q.at(current).at
	for i := CameraWindow - 2; i >= 0; i-- {
		w[i] = nil
		grid := target - int64(CameraWindow-1-i)*in.tick
		j := in.q.nearest(grid)
		// The current frame is not always the newest: with few and late frames
		// the tick before may have taken that one.
		for j >= 0 && in.q.at(j).at > at {
			j--
		}
		if j < 0 || abs(in.q.at(j).at-grid) > in.tick/2 {
			if grid < at-in.maxGap-in.tick/2 {
				break // nothing older can be near enough
			}
			continue
		}
		e := in.q.at(j)
		if at-e.at > in.maxGap {
			break
		}
		w[i] = e.sample
		slot.LastByteNS = max(slot.LastByteNS, e.sample.ReceiveNS)
		if use {
			in.q.use(e)
		}
		oldest, at = i, e.at
	}
	for i := range w {
		switch {
		case i < oldest:
			w[i] = w[oldest]
			slot.Filled++
		case w[i] == nil:
			w[i] = w[i-1]
			slot.Filled++
		}
	}
	slot.Window = w
}

// packets returns the range of queue entries that make up a CSI window: the
// CSIWindow nearest to target within half a tick and the jitter.
func (in *input) packets(target int64) (lo, hi int) {
	reach := in.tick/2 + in.jitter
	lo, hi = in.q.search(target-reach), in.q.search(target+reach+1)
	for hi-lo > CSIWindow {
		if target-in.q.at(lo).at >= in.q.at(hi-1).at-target {
			lo++
		} else {
			hi--
		}
	}
	return lo, hi
}

// fillCSI builds the packet window around target.
func (in *input) fillCSI(slot *Slot, target int64, use bool) bool {
	lo, hi := in.packets(target)
	n := hi - lo
	if n < in.cfg.MinPackets || n == 0 {
		return false
	}
	w, times := in.window, &in.times
	var sum int64
	best := lo
	for i := lo; i < hi; i++ {
		e := in.q.at(i)
		w[i-lo], times[i-lo] = e.sample, e.at
		sum += e.at - target
		slot.LastByteNS = max(slot.LastByteNS, e.sample.ReceiveNS)
		if abs(e.at-target) < abs(in.q.at(best).at-target) {
			best = i
		}
		if use {
			in.q.use(e)
		}
	}
	slot.Sample, slot.SkewNS = in.q.at(best).sample, sum/int64(n)
	slot.Filled = CSIWindow - n
	for ; n < CSIWindow; n++ {
		fillWidest(w, times, n, target-in.tick/2, target+in.tick/2, in.period)
	}
	slot.Window = w
	return true
}

// fillWidest repeats, in the widest hole of the first n packets, the packet
// before it (at the start the one after it).
func fillWidest(w []*sensors.Sample, times *[CSIWindow]int64, n int, start, end, period int64) {
	// Packets sit in the middle of their slots, hence half a period at both ends.
	hole, widest, at := 0, times[0]-start+period/2, times[0]-period
	for i := 1; i < n; i++ {
		if d := times[i] - times[i-1]; d > widest {
			hole, widest, at = i, d, times[i-1]+min(period, d/2)
		}
	}
	if d := end + period/2 - times[n-1]; d > widest {
		hole, at = n, times[n-1]+period
	}
	from := max(hole-1, 0)
	s := w[from]
	copy(w[hole+1:n+1], w[hole:n])
	copy(times[hole+1:n+1], times[hole:n])
	w[hole], times[hole] = s, at
}
