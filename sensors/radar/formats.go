package radar

import (
	"bytes"
	"fmt"

	"posefuse/sensors/capture"
	"posefuse/sensors/modality"
)

// Formats returns the recorded data this package reads.
func Formats() []capture.Format {
	return []capture.Format{
		{Name: "ti", Modality: modality.Radar, Title: "TI mmWave: out-of-box demos, people counting and tracking (bytes of the data port)",
			Fits: fitsTI, Stream: decodeTI},
	}
}

// fitsTI looks for the magic: a recording may start inside a frame.
func fitsTI(h *capture.Head) int {
	switch bytes.Count(h.Bytes, magic) {
	case 0:
		return 0
	case 1:
		return 80
	}
	return 95
}

// tiDecoder turns the bytes of a data port into records.
type tiDecoder struct {
	*Decoder
	out    *capture.Output
	sumX   float64 // of the points in TI's axes: x right, y along boresight
	sumY   float64
	points int
	last   uint32 // frame number
	frames int
	back   int // steps back of the frame number
}

func decodeTI(_ *capture.Options, out *capture.Output) (capture.StreamDecoder, error) {
	t := &tiDecoder{out: out}
	emit := func(f *Frame) {
		if t.frames > 0 && int32(f.FrameNumber-t.last) < 0 {
			t.back++
		}
		t.last = f.FrameNumber
		t.frames++
		const width = 5
		values := make([]float64, 0, width*len(f.Points))
		for _, p := range f.Points {
			s := p.Sensor()
			t.sumX += float64(p.X)
			t.sumY += float64(p.Y)
			t.points++
			values = append(values, float64(s.X), float64(s.Y), float64(s.Z), float64(s.Doppler), float64(s.SNRdB))
		}
		out.Packets(1)
		out.Emit(&capture.Record{Values: values, Width: width, Fields: map[string]any{
			"layout": f.Layout.String(), "number": f.FrameNumber, "bytes": f.Bytes, "targets": len(f.Targets),
		}})
	}
	t.Decoder = NewDecoder(LayoutAuto, emit, func(r Reason) { out.Count(string(r), 1) })
	return t, nil
}

// Feed implements capture.StreamDecoder.
func (d *tiDecoder) Feed(b []byte) { d.Decoder.Feed(0, b) }

// Finish implements capture.StreamDecoder.
func (d *tiDecoder) Finish() {
	d.End(0)
	d.out.Count("junk_bytes", d.JunkBytes())
	if d.back >= manyRestarts {
		d.out.Note("two_senders", fmt.Sprintf("the frame counter goes back %d times in %d frames: two radars write to one port, or the radar restarts all the time", d.back, d.frames))
	}
	if d.points > 0 {
		d.out.Note("ti_axes", map[string]any{"sum_x": d.sumX, "sum_y": d.sumY})
	}
}
