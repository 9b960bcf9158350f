package lidar

import (
	"fmt"
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
		{Name: "velodyne", Modality: modality.LiDAR, Title: "Velodyne VLP-16, Puck Hi-Res, VLP-32C (packet capture, or its payloads of 1206 bytes alone)",
			Metadata: "angles of this unit's lasers, YAML or XML; without it those of the manual",
			Fits:     fitsVelodyne, Datagrams: decodeVelodyneDatagrams, Stream: decodeVelodyneStream},
	}
}

// fitsOuster knows the sizes of Ouster's packets alone: they carry no magic.
func fitsOuster(h *capture.Head) int {
	var imu OusterIMU
	return 60 * h.Share(func(b []byte) bool {
		for p := range numProfiles {
			for _, rows := range [...]int{16, 32, 64, 128} {
				f := Format{Profile: p, Rows: rows, Columns: 1024, ColumnsPerPacket: 16}
				if f.PacketSize() == len(b) {
					return true
				}
			}
		}
		return isOusterZones(b) || DecodeOusterIMU(b, &imu) == nil && (!imu.Legacy || looksLikeOusterIMU(b))
	}) / 100
}

// ousterDecoder turns datagrams into the records of sweeps.
type ousterDecoder struct {
	*Assembler
	out  *capture.Output
	imu  OusterIMU
	seen uint64 // IMU packets
}

func decodeOuster(o *capture.Options, out *capture.Output) (capture.DatagramDecoder, error) {
	meta, err := ParseMetadata(o.Metadata)
	if err != nil {
		return nil, err
	}
	var table *XYZTable // with the first frame: a capture may have many senders
	var xyz []float32
	emit := func(f *Frame) {
		if table == nil {
			table = NewXYZTable(meta)
		}
		xyz = table.Cloud(xyz[:0], f, new(Box))
		returns, sum := 0, uint64(0)
		for _, r := range f.RangeMM {
			if r > 0 {
				returns++
			}
			sum += uint64(r)
		}
		out.Emit(&capture.Record{
			TimeNS: int64(f.MiddleNS), HasTime: true, Values: float64s(xyz), Width: 3,
			Fields: map[string]any{"id": f.ID, "columns": f.Valid, "columns_expected": f.Expected, "returns": returns, "sum_range_mm": sum},
		})
	}
	return &ousterDecoder{Assembler: NewAssembler(meta, emit, countPackets(out)), out: out}, nil
}

// Datagram implements capture.DatagramDecoder.
func (d *ousterDecoder) Datagram(g *capture.Datagram) {
	if d.seen == 0 && DecodeOusterIMU(g.Payload, &d.imu) == nil {
		r := d.imu.Readings[0]
		d.out.Note("imu_first", map[string]any{"time_ns": d.imu.TimeNS, "acceleration": r.Accel, "angular_rate": r.Gyro, "legacy": d.imu.Legacy, "nmea": d.imu.NMEA})
		d.seen++
	}
	d.Add(g.Time.UnixNano(), g.Payload)
}

// Finish implements capture.DatagramDecoder.
func (d *ousterDecoder) Finish() { d.Flush() }

func fitsLivox(h *capture.Head) int {
	var p LivoxPacket
	return 90 * h.Share(func(b []byte) bool { return DecodeLivox(b, &p) == nil }) / 100
}

// livoxDecoder turns datagrams into the records of sweeps.
type livoxDecoder struct{ *SweepAssembler }

func decodeLivox(_ *capture.Options, out *capture.Output) (capture.DatagramDecoder, error) {
	const sweep = 100 * time.Millisecond
	return livoxDecoder{NewSweepAssembler(sweep, new(Box), emitSweeps(out), countPackets(out))}, nil
}

// Datagram implements capture.DatagramDecoder.
func (d livoxDecoder) Datagram(g *capture.Datagram) { d.Add(g.Time.UnixNano(), g.Payload) }

// Finish implements capture.DatagramDecoder.
func (d livoxDecoder) Finish() { d.Flush() }

func emitSweeps(out *capture.Output) func(*Sweep) {
	return func(s *Sweep) {
		out.Emit(&capture.Record{
			TimeNS: int64(s.TimeNS), HasTime: true, Values: float64s(s.XYZ), Width: 3,
			Fields: map[string]any{"complete": s.Complete},
		})
	}
}

// fitsVelodyne knows the flags of the blocks and the factory bytes.
func fitsVelodyne(h *capture.Head) int {
	var p VelodynePacket
	if h.Capture {
		return 95 * h.Share(func(b []byte) bool {
			return DecodeVelodyne(b, &p) == nil || len(b) == velodynePositionSize && DecodeVelodynePosition(b, new(VelodynePosition)) == nil
		}) / 100
	}
	if len(h.Bytes) >= velodyneSize && DecodeVelodyne(h.Bytes[:velodyneSize], &p) == nil {
		return 95
	}
	return 0
}

// velodyneDecoder turns packets into the records of sweeps, from full turn to
// full turn.
type velodyneDecoder struct {
	*VelodyneAssembler
	out     *capture.Output
	buf     []byte // of a stream, what is no whole packet yet
	junk    uint64
	returns uint64
	raw     uint64 // sum of distances, counts of the product's unit
	reflect uint64
	noted   bool // a position
}

func newVelodyneDecoder(o *capture.Options, out *capture.Output) (*velodyneDecoder, error) {
	var lasers []VelodyneLaser
	if len(o.Metadata) > 0 {
		var err error
		if lasers, err = ParseVelodyneCalibration(o.Metadata); err != nil {
			return nil, fmt.Errorf("%s: %w", o.MetadataName, err)
		}
	}
	return &velodyneDecoder{VelodyneAssembler: NewVelodyneAssembler(0, lasers, new(Box), emitSweeps(out), countPackets(out)), out: out}, nil
}

func decodeVelodyneDatagrams(o *capture.Options, out *capture.Output) (capture.DatagramDecoder, error) {
	return newVelodyneDecoder(o, out)
}

func decodeVelodyneStream(o *capture.Options, out *capture.Output) (capture.StreamDecoder, error) {
	return newVelodyneDecoder(o, out)
}

// Datagram implements capture.DatagramDecoder.
func (d *velodyneDecoder) Datagram(g *capture.Datagram) { d.packet(g.Time.UnixNano(), g.Payload) }

func (d *velodyneDecoder) packet(receiveNS int64, b []byte) {
	var p VelodynePacket
	var at VelodynePosition
	if DecodeVelodyne(b, &p) == nil {
		for block := range velodyneBlocks {
			for channel := range velodyneChannels {
				if distance, reflectivity := p.Return(block, channel); distance > 0 {
					d.returns++
					d.raw += uint64(distance)
					d.reflect += uint64(reflectivity)
				}
			}
		}
	} else if !d.noted && DecodeVelodynePosition(b, &at) == nil {
		d.noted = true
		d.out.Note("position_first", map[string]any{"us_past_hour": at.TimestampUS, "nmea": at.NMEA})
	}
	d.Add(receiveNS, b)
}

// Feed implements capture.StreamDecoder. Payloads lie one behind the other; what
// is between them is junk.
func (d *velodyneDecoder) Feed(b []byte) {
	d.buf = append(d.buf, b...)
	rest := d.buf
	var p VelodynePacket
	for len(rest) >= velodyneSize {
		if DecodeVelodyne(rest[:velodyneSize], &p) != nil {
			d.junk++
			rest = rest[1:]
			continue
		}
		d.packet(0, rest[:velodyneSize])
		rest = rest[velodyneSize:]
	}
	d.buf = d.buf[:copy(d.buf, rest)]
}

// Finish implements both decoders.
func (d *velodyneDecoder) Finish() {
	d.Flush()
	d.out.Count("junk_bytes", d.junk+uint64(len(d.buf)))
	if d.returns > 0 {
		d.out.Note("product", d.product.String())
		d.out.Note("returns", d.returns)
		d.out.Note("sum_distance_raw", d.raw)
		d.out.Note("sum_reflectivity", d.reflect)
	}
}

// countPackets tells the packets of which sweeps were made, and those that hold
// something else, from the rest.
func countPackets(out *capture.Output) func(outcome string, n uint64) {
	other := map[string]uint64{}
	return func(outcome string, n uint64) {
		switch outcome {
		case "packet":
			out.Packets(n)
		case "imu", "zones", "position":
			other[outcome] += n
			out.Note(outcome+"_packets", other[outcome])
		default:
			out.Count(outcome, n)
		}
	}
}

func float64s(xyz []float32) []float64 {
	out := make([]float64, len(xyz))
	for i, v := range xyz {
		out[i] = float64(v)
	}
	return out
}
