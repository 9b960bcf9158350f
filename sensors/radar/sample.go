package radar

import (
	"math"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// frameMapper turns frames into samples: axes, sequence and device time.
type frameMapper struct {
	name     string
	cpuHz    float64
	periodNS int64 // 0 if unknown
	sink     sensors.Sink

	started  bool
	number   uint32
	subframe uint32
	cycles   uint32
	magicNS  int64
	ticks    int64  // unwrapped cycles since the first frame
	seq      uint64 // unwrapped frame number

	restarts [manyRestarts]int64 // when the counter last went back, room clock
	restartN int
}

// So many steps back of the frame counter within manyRestartsNS are no restarts:
// two radars write to one port.
const (
	manyRestarts   = 3
	manyRestartsNS = int64(10 * time.Second)
)

// wentBack notes a step back of the frame counter.
func (m *frameMapper) wentBack(nowNS int64) {
	oldest := &m.restarts[m.restartN%manyRestarts]
	if m.restartN >= manyRestarts && nowNS-*oldest < manyRestartsNS {
		sensors.Tell(m.sink, sensors.Finding{Code: "two_senders", Text: "the frame counter goes back again and again: two radars write to this port, or the radar restarts all the time; check data_port and the radar's supply"})
	}
	*oldest = nowNS
	m.restartN++
}

// frame takes one decoded frame.
func (m *frameMapper) frame(f *Frame) {
	restarted := false
	if m.started {
		step := int32(f.FrameNumber - m.number) // a wrap of the counter is a small step
		switch {
		case step == 0 && f.Subframe == m.subframe:
			m.sink.Count("duplicate", 1)
			return
		case step < 0:
			restarted = true
			m.wentBack(f.MagicNS)
		case step > 1:
			m.sink.Count("lost", uint64(step-1))
		}
		if !restarted {
			m.seq += uint64(step)
			m.ticks += m.elapsedTicks(f)
		}
	}
	if !m.started || restarted {
		m.started = true
		m.seq, m.ticks = uint64(f.FrameNumber), int64(f.CPUCycles)
	}
	m.number, m.subframe, m.cycles, m.magicNS = f.FrameNumber, f.Subframe, f.CPUCycles, f.MagicNS

	s := &sensors.Sample{
		Sensor: m.name, Modality: modality.Radar, Seq: m.seq,
		ReceiveNS: f.MagicNS, Restarted: restarted,
		Radar: &sensors.RadarFrame{Points: make([]sensors.RadarPoint, len(f.Points))},
	}
	for i, p := range f.Points {
		s.Radar.Points[i] = p.Sensor()
	}
	switch {
	case f.HasCycles:
		s.DeviceNS, s.HasDevice = int64(math.Round(float64(m.ticks)*1e9/m.cpuHz)), true
	case m.periodNS > 0:
		s.DeviceNS, s.HasDevice = int64(m.seq)*m.periodNS, true
	}
	m.sink.Emit(s)
}

// elapsedTicks unwraps the 32-bit cycle counter: the host's clock tells how
// many times it went round since the last frame.
func (m *frameMapper) elapsedTicks(f *Frame) int64 {
	const turn = 1 << 32
	low := int64(f.CPUCycles - m.cycles)
	expect := float64(f.MagicNS-m.magicNS) * m.cpuHz / 1e9
	turns := math.Round((expect - float64(low)) / turn)
	return low + int64(max(turns, 0))*turn
}
