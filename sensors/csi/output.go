package csi

import (
	"fmt"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Outcomes of packets that the model has no use for.
const (
	OutcomeUnsupportedShape = "unsupported_shape" // not 114 tones, and resampling is off or not possible
	OutcomeFewAntennas      = "few_antennas"      // fewer than the model's, and the setting antennas is absent
)

// tellEvery is how often findings are repeated while they stand, ns.
const tellEvery = int64(5e8)

// output is where the packets of one run go: it chooses the sender, leaves out
// what measures nothing and brings the rest to the model's shape.
type output struct {
	name     string
	rule     string // of missing antennas
	resample bool   // map packets with another number of tones to 114
	sink     sensors.Sink
	senders  senders
	live     liveness
	mapper   resampler
	seq      uint64
	toldNS   int64
	told     uint64 // sign of what was told
}

func (o *output) count(outcome string, n uint64) { o.sink.Count(outcome, n) }

// receive takes one packet. It becomes a sample or is counted.
func (o *output) receive(r *reception) {
	outcome, switched := o.senders.take(r.sender, r.receiveNS)
	if outcome != "" {
		o.count(outcome, 1)
		o.tell(r, 0)
		return
	}
	if switched {
		o.live = liveness{}
	}
	o.live.look(r)
	rows := o.living()
	p := o.fit(r, rows)
	o.tell(r, len(rows))
	if p == nil {
		return // counted
	}
	o.sink.Emit(&sensors.Sample{
		Sensor: o.name, Modality: modality.CSI, Seq: o.seq, CSI: p,
		DeviceNS: r.deviceNS, HasDevice: r.hasDevice, ReceiveNS: r.receiveNS, Restarted: r.restarted,
	})
	o.seq++
}

// living returns the rows of at most three living antennas, and counts the dead.
func (o *output) living() []int {
	rows := make([]int, 0, ModelAntennas)
	dead := uint64(0)
	for i, alive := range o.live.alive {
		switch {
		case !alive:
			dead++
		case len(rows) < ModelAntennas:
			rows = append(rows, i)
		}
	}
	if dead > 0 {
		o.count(OutcomeDeadAntenna, dead)
	}
	return rows
}

// fit brings living antennas to the model's shape; nil, counted, if that is not
// possible.
func (o *output) fit(r *reception, rows []int) *sensors.CSIPacket {
	switch {
	case len(rows) == 0:
		o.count(OutcomeAllDead, 1)
		return nil
	case len(rows) < ModelAntennas && o.rule == AntennasAbsent:
		o.count(OutcomeFewAntennas, 1)
		return nil
	case len(r.tones) != ModelTones && !o.resample || !o.mapper.prepare(r.tones):
		o.count(OutcomeUnsupportedShape, 1)
		return nil
	}
	p := &sensors.CSIPacket{Antennas: ModelAntennas, Subcarriers: ModelTones, Measured: len(rows), RSSIdBm: r.rssiDBm,
		H: make([]complex64, ModelAntennas*ModelTones)}
	for to, from := range rows {
		h := r.row(from)
		if o.live.any {
			o.live.fill(from, h, r.tones)
		}
		o.mapper.apply(p.H[to*ModelTones:(to+1)*ModelTones], h)
	}
	if o.rule == AntennasRepeat {
		for to := len(rows); to < ModelAntennas; to++ {
			copy(p.H[to*ModelTones:(to+1)*ModelTones], p.H[(to-len(rows))*ModelTones:])
		}
	}
	return p
}

// sign differs where what is to be said differs.
func (o *output) sign(r *reception, measured int) uint64 {
	s := uint64(len(o.senders.seen))<<8 | uint64(measured)<<4 | 1
	if o.live.any {
		s |= 2
	}
	for i, n := range o.live.dead {
		if n >= deadAfter {
			s |= 1 << (16 + i)
		}
	}
	return s | uint64(len(r.tones))<<32
}

// tell says what is to be said of the packets: when it changes, and again while
// it stands.
func (o *output) tell(r *reception, measured int) {
	s := o.sign(r, measured)
	if s == o.told && r.receiveNS-o.toldNS < tellEvery && r.receiveNS >= o.toldNS {
		return
	}
	o.told, o.toldNS = s, r.receiveNS
	if f, ok := o.senders.finding(); ok {
		sensors.Tell(o.sink, f)
	}
	if o.live.tones == len(r.tones) {
		for _, f := range o.live.findings(r.tones) {
			sensors.Tell(o.sink, f)
		}
	}
	if measured > 0 && measured < ModelAntennas {
		sensors.Tell(o.sink, sensors.Finding{Code: "antennas", Note: o.rule != AntennasAbsent, Text: antennaText(o.rule, measured)})
	}
	if len(r.tones) != ModelTones && o.resample {
		sensors.Tell(o.sink, sensors.Finding{Code: "tones", Note: true, Text: fmt.Sprintf("%d tones, mapped to the model's %d", len(r.tones), ModelTones)})
	}
}

// antennaText says what the rule does.
func antennaText(rule string, measured int) string {
	has := fmt.Sprintf("%d of the model's %d antennas", measured, ModelAntennas)
	switch rule {
	case AntennasZero:
		return has + ", the others are zero"
	case AntennasAbsent:
		return has + ", and antennas is absent: WiFi takes no part; set it to zero or repeat"
	}
	return has + ", repeated for the others"
}
