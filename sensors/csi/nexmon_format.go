package csi

import (
	"fmt"
	"slices"
	"time"

	"posefuse/sensors/capture"
)

// fitsNexmon wants the magic and a length of words. Other traffic may lie
// between the datagrams.
func fitsNexmon(h *capture.Head) int {
	share := h.Share(func(b []byte) bool {
		_, err := ParseNexmon(b)
		return err == nil
	})
	if share == 0 {
		return 0
	}
	return 60 + 39*share/100
}

// nexmonDecoder joins the datagrams of one WiFi frame, whatever cores and
// streams it has, to a record. Those of several stations may lie between each
// other.
type nexmonDecoder struct {
	out  *capture.Output
	open []nexmonRecord // of a station at most one, in the order they began
	dead deadRows
}

// nexmonRecord is a WiFi frame of which more datagrams may come.
type nexmonRecord struct {
	frames []*NexmonFrame
	since  time.Time
}

func decodeNexmon(_ *capture.Options, out *capture.Output) (capture.DatagramDecoder, error) {
	return &nexmonDecoder{out: out}, nil
}

// Datagram implements capture.DatagramDecoder.
func (d *nexmonDecoder) Datagram(g *capture.Datagram) {
	f, err := ParseNexmon(g.Payload)
	if err != nil {
		if g.To.Port() != NexmonPort {
			d.out.Count(capture.OutcomeOtherTraffic, 1)
			return
		}
		d.out.Count(nexmonOutcome(err), 1)
		return
	}
	d.out.Packets(1)
	for len(d.open) > 0 && g.Time.Sub(d.open[0].since).Abs() > maxGroupWindow {
		d.end(0)
	}
	i := slices.IndexFunc(d.open, func(r nexmonRecord) bool { return r.frames[0].MAC == f.MAC })
	if i >= 0 && d.open[i].continues(f) {
		d.open[i].frames = append(d.open[i].frames, f)
		return
	}
	switch {
	case i >= 0:
		d.end(i)
	case len(d.open) == maxSenders:
		d.end(0)
	}
	d.open = append(d.open, nexmonRecord{[]*NexmonFrame{f}, g.Time})
}

// continues reports whether a datagram of the same station is of the record.
func (r *nexmonRecord) continues(f *NexmonFrame) bool {
	first := r.frames[0]
	if f.SequenceCtl != first.SequenceCtl || len(f.Words) != len(first.Words) {
		return false
	}
	for _, have := range r.frames {
		if have.Core == f.Core && have.Stream == f.Stream {
			return false
		}
	}
	return true
}

// end gives an open record out.
func (d *nexmonDecoder) end(i int) {
	d.emit(&d.open[i])
	d.open = slices.Delete(d.open, i, i+1)
}

// Finish implements capture.DatagramDecoder.
func (d *nexmonDecoder) Finish() {
	for i := range d.open {
		d.emit(&d.open[i])
	}
	d.open = nil
	d.dead.note(d.out)
}

// emit gives a record out: the words of each datagram in the order of
// the FFT, nothing left out.
func (d *nexmonDecoder) emit(open *nexmonRecord) {
	f := open.frames[0]
	from := mac(f.MAC).String()
	r := capture.Record{TimeNS: open.since.UnixNano(), HasTime: !open.since.IsZero(), Sender: from, Width: 2, Fields: map[string]any{
		"mac": from, "sequence": f.Sequence(), "chip": f.Chip, "chanspec": f.Chanspec,
		"bandwidth_mhz": f.BandwidthMHz(), "tones": len(f.Words),
	}}
	var parts [][2]int
	for _, f := range open.frames {
		h := f.RawValues(ChipAuto)
		parts = append(parts, [2]int{f.Core, f.Stream})
		status := f.statusWords()
		d.dead.look(fmt.Sprintf("core %d stream %d", f.Core, f.Stream), slices.Concat(h[:status[0]], h[status[1]:]))
		r.Values = append(r.Values, pairs(h)...)
	}
	if f.New {
		r.Fields["rssi_dbm"], r.Fields["frame_control"] = f.RSSIdBm, f.FrameControl
	}
	r.Fields["core_stream"] = parts
	d.out.Emit(&r)
}
