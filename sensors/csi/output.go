package csi

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// OutcomeUnsupportedShape counts packets that are not 3 x 114 and could not be
// brought to it.
const OutcomeUnsupportedShape = "unsupported_shape"

// output is where the packets of one run go.
type output struct {
	name     string
	resample bool // map packets with another number of tones to 114
	sink     sensors.Sink
	seq      uint64
}

func (o *output) count(outcome string, n uint64) { o.sink.Count(outcome, n) }

// fit brings a packet to the model's shape; nil, counted, if that is not
// possible.
func (o *output) fit(raw *sensors.CSIPacket, tones []int) *sensors.CSIPacket {
	p := modelPacket(raw, tones, o.resample)
	if p == nil {
		o.count(OutcomeUnsupportedShape, 1)
	}
	return p
}

// emit numbers a sample and hands it on in the name of the sensor.
func (o *output) emit(s *sensors.Sample) {
	s.Sensor, s.Modality, s.Seq = o.name, modality.CSI, o.seq
	o.sink.Emit(s)
	o.seq++
}
