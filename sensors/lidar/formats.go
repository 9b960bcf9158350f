package lidar

import (
	"time"

	"posefuse/sensors/capture"
	"posefuse/sensors/modality"
)

// Formats returns the recorded data this package reads.
func Formats() []capture.Format {
	return []capture.Format{
		{Name: "ouster", Modality: modality.LiDAR, Title: "Ouster OS0, OS1, OS2, OSDome (packet capture)",
			Metadata: "the sensor's JSON, http://SENSOR/api/v1/sensor/metadata", MetadataNeeded: true,
			Fits: fitsOuster, Datagrams: decodeOuster},
		{Name: "livox", Modality: modality.LiDAR, Title: "Livox SDK2: Mid-360, HAP (packet capture)",
			Fits: fitsLivox, Datagrams: decodeLivox},
	}
}

// fitsOuster knows the sizes of Ouster's packets alone: they carry no magic.
func fitsOuster(h *capture.Head) int {
	return 60 * h.Share(func(b []byte) bool {
		for p := range numProfiles {
			for _, rows := range [...]int{16, 32, 64, 128} {
				f := Format{Profile: p, Rows: rows, Columns: 1024, ColumnsPerPacket: 16}
				if f.PacketSize() == len(b) {
					return true
				}
			}
		}
		return false
	}) / 100
}

// ousterDecoder turns datagrams into the records of sweeps.
type ousterDecoder struct{ *Assembler }

func decodeOuster(o *capture.Options, out *capture.Output) (capture.DatagramDecoder, error) {
	meta, err := ParseMetadata(o.Metadata)
	if err != nil {
		return nil, err
	}
	table := NewXYZTable(meta)
	var xyz []float32
	emit := func(f *Frame) {
		xyz = table.Cloud(xyz[:0], f, new(Box))
		out.Emit(&capture.Record{
			TimeNS: int64(f.MiddleNS), HasTime: true, Values: widen(xyz), Width: 3,
			Fields: map[string]any{"id": f.ID, "columns": f.Valid, "columns_expected": f.Expected},
		})
	}
	return ousterDecoder{NewAssembler(meta, emit, countPackets(out))}, nil
}

// Datagram implements capture.DatagramDecoder.
func (d ousterDecoder) Datagram(g *capture.Datagram) { d.Add(g.Time.UnixNano(), g.Payload) }

// Finish implements capture.DatagramDecoder.
func (d ousterDecoder) Finish() { d.Flush() }

func fitsLivox(h *capture.Head) int {
	var p LivoxPacket
	return 90 * h.Share(func(b []byte) bool { return DecodeLivox(b, &p) == nil }) / 100
}

// livoxDecoder turns datagrams into the records of sweeps.
type livoxDecoder struct{ *SweepAssembler }

func decodeLivox(_ *capture.Options, out *capture.Output) (capture.DatagramDecoder, error) {
	const sweep = 100 * time.Millisecond
	return livoxDecoder{NewSweepAssembler(sweep, new(Box), func(s *Sweep) {
		out.Emit(&capture.Record{
			TimeNS: int64(s.TimeNS), HasTime: true, Values: widen(s.XYZ), Width: 3,
			Fields: map[string]any{"complete": s.Complete},
		})
	}, countPackets(out))}, nil
}

// Datagram implements capture.DatagramDecoder.
func (d livoxDecoder) Datagram(g *capture.Datagram) { d.Add(g.Time.UnixNano(), g.Payload) }

// Finish implements capture.DatagramDecoder.
func (d livoxDecoder) Finish() { d.Flush() }

// countPackets tells the packets of which sweeps were made from the rest.
func countPackets(out *capture.Output) func(outcome string, n uint64) {
	return func(outcome string, n uint64) {
		if outcome == "packet" {
			out.Packets(n)
			return
		}
		out.Count(outcome, n)
	}
}

func widen(xyz []float32) []float64 {
	out := make([]float64, len(xyz))
	for i, v := range xyz {
		out[i] = float64(v)
	}
	return out
}
