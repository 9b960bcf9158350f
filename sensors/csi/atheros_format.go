package csi

import (
	"encoding/binary"
	"fmt"

	"posefuse/sensors/capture"
)

// fitsAtheros wants a run of records near the start.
func fitsAtheros(h *capture.Head) int {
	b := h.Bytes[:min(len(h.Bytes), 4*MaxAtherosRecord)]
	for i := range min(len(b), 64) {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			if ok, _ := runAt(b[i:], order, true); ok {
				return 90
			}
		}
	}
	return 0
}

// atherosLog turns the bytes of a log into records.
type atherosLog struct {
	*AtherosDecoder
	out  *capture.Output
	dead *deadRows
}

func decodeAtherosLog(_ *capture.Options, out *capture.Output) (capture.StreamDecoder, error) {
	dead := &deadRows{}
	emit := func(r *AtherosRecord) {
		if r.H == nil {
			out.Count("no_csi", 1)
			return
		}
		for chain := range int(r.NR) {
			n := len(r.H) / int(r.NR)
			dead.look(fmt.Sprint("chain ", chain), r.H[chain*n:(chain+1)*n])
		}
		out.Packets(1)
		rec := capture.Record{TimeNS: int64(r.TSFUS) * 1000, HasTime: true, Values: pairs(r.H), Width: 2, Fields: map[string]any{
			"channel_mhz": r.ChannelMHz, "phy_error": r.PHYError, "rate": r.Rate, "tones": r.Tones, "antennas": r.NR, "streams": r.NC,
			"rssi": [4]uint8{r.RSSI, r.RSSIChain[0], r.RSSIChain[1], r.RSSIChain[2]}, "payload_bytes": len(r.Payload),
		}}
		if from := frameSender(r.Payload); from != (mac{}) {
			rec.Sender = from.String()
			rec.Fields["mac"] = rec.Sender
		}
		out.Emit(&rec)
	}
	return &atherosLog{NewAtherosDecoder(emit, func(o string) { out.Count(o, 1) }), out, dead}, nil
}

// Finish implements capture.StreamDecoder.
func (d *atherosLog) Finish() {
	d.AtherosDecoder.Finish()
	d.out.Count("junk_bytes", d.JunkBytes())
	d.dead.note(d.out)
}
