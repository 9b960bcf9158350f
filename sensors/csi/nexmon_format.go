package csi

import (
	"fmt"
	"net"
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
// streams it has, to a record.
type nexmonDecoder struct {
	out    *capture.Output
	frames []*NexmonFrame // of the open record
	since  time.Time
	dead   deadRows
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
	if len(d.frames) > 0 && !d.continues(f, g.Time) {
		d.emit()
	}
	if len(d.frames) == 0 {
		d.since = g.Time
	}
	d.frames = append(d.frames, f)
	d.out.Packets(1)
}

// continues reports whether a datagram is of the open record.
func (d *nexmonDecoder) continues(f *NexmonFrame, at time.Time) bool {
	first := d.frames[0]
	if f.MAC != first.MAC || f.SequenceCtl != first.SequenceCtl || len(f.Words) != len(first.Words) || at.Sub(d.since).Abs() > maxGroupWindow {
		return false
	}
	for _, have := range d.frames {
		if have.Core == f.Core && have.Stream == f.Stream {
			return false
		}
	}
	return true
}

// Finish implements capture.DatagramDecoder.
func (d *nexmonDecoder) Finish() {
	if len(d.frames) > 0 {
		d.emit()
	}
	d.dead.note(d.out)
}

// emit gives the open record out: the words of each datagram in the order of
// the FFT, nothing left out.
func (d *nexmonDecoder) emit() {
	f := d.frames[0]
	r := capture.Record{TimeNS: d.since.UnixNano(), HasTime: !d.since.IsZero(), Width: 2, Fields: map[string]any{
		"mac": net.HardwareAddr(f.MAC[:]).String(), "sequence": f.Sequence(), "chip": f.Chip, "chanspec": f.Chanspec,
		"bandwidth_mhz": f.BandwidthMHz(), "tones": len(f.Words),
	}}
	var parts [][2]int
	for _, f := range d.frames {
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
	d.frames = d.frames[:0]
	d.out.Emit(&r)
}
