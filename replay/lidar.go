package replay

import (
	"fmt"
	"math"
	"time"

	"posefuse/internal/jsonfile"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
)

// LiDARFormat is the wire format of the fake LiDAR.
type LiDARFormat string

// The formats of LiDARConfig.
const (
	// LiDARLivox sends Livox Cartesian millimetre points: for stored clouds,
	// which have lost the sensor's grid. Works with every clip.
	LiDARLivox LiDARFormat = "livox"
	// LiDAROuster sends Ouster LEGACY packets of 1024x10 and 32 rows, or those
	// that LiDARConfig.Beams says: for
	// simulated scans, which still have the grid. As in the real sensor a sweep
	// takes a whole period around the capture time of its middle column, so its
	// last packet comes half a period late.
	LiDAROuster LiDARFormat = "ouster"
)

// LiDARConfig is the fake LiDAR on UDP.
type LiDARConfig struct {
	Format LiDARFormat // LiDARLivox if empty
	Addr   string      // host:port of the driver
	// MetadataPath, if set, is where the metadata file of the Ouster sensor is
	// written when the sensor is plugged in.
	MetadataPath string
	// Beams of the Ouster sensor, those of the clips' scans; 32 if 0.
	Beams int
}

// scanSource is a clip that hands out sweeps on the sensor's grid.
type scanSource interface {
	Scan(i int, dst *sim.Scan) error
}

// presenceSource is a clip that knows which sensors deliver a frame at all.
type presenceSource interface {
	Present(i int) [modality.Count]bool
}

// absent reports whether the clip says that a sensor is missing in frame i.
func absent(c recording.Clip, m modality.Kind, i int) bool {
	p, ok := c.(presenceSource)
	return ok && !p.Present(i)[m]
}

// lidarFake sends sweeps.
type lidarFake struct {
	*udpOut
	cfg   LiDARConfig
	frame recording.Frame
	scan  sim.Scan
}

// ousterFormat is the fake Ouster's packet layout.
func ousterFormat(beams int) lidar.Format {
	return lidar.Format{Profile: lidar.ProfileLegacy, Rows: beams, ColumnsPerPacket: 16, Columns: sim.ScanColumns}
}

func newLiDARFake(cfg LiDARConfig) (*lidarFake, error) {
	if cfg.Format == "" {
		cfg.Format = LiDARLivox
	}
	if cfg.Format != LiDARLivox && cfg.Format != LiDAROuster {
		return nil, fmt.Errorf("format %q: must be %s or %s", cfg.Format, LiDARLivox, LiDAROuster)
	}
	if cfg.MetadataPath != "" && cfg.Format != LiDAROuster {
		return nil, fmt.Errorf("format %s has no metadata file", cfg.Format)
	}
	if cfg.Beams == 0 {
		cfg.Beams = sim.ScanRows
	}
	if cfg.Beams != sim.ScanRows && cfg.Beams != 4*sim.ScanRows {
		return nil, fmt.Errorf("%d beams: must be %d or %d", cfg.Beams, sim.ScanRows, 4*sim.ScanRows)
	}
	o, err := newUDPOut(cfg.Addr)
	if err != nil {
		return nil, err
	}
	return &lidarFake{udpOut: o, cfg: cfg}, nil
}

func (f *lidarFake) inOrder() bool { return false }

// restart implements fake: both formats number their frames by the time since
// the sensor was switched on.
func (f *lidarFake) restart() {}

func (f *lidarFake) begin(p planned) error {
	if _, ok := p.clip.(scanSource); f.cfg.Format == LiDAROuster && !ok {
		return fmt.Errorf("a stored cloud has no grid of beams any more: choose format %s", LiDARLivox)
	}
	return nil
}

func (f *lidarFake) open() error {
	if f.cfg.MetadataPath != "" {
		meta := sim.NewOusterMetadataOf(f.cfg.Beams)
		meta.UDPPortLidar = int(f.to.Port())
		// Drivers refuse angles that are all zero, which a sensor reports before
		// its motor runs. A billionth of a degree moves no point.
		for row := range meta.BeamAzimuthDeg {
			meta.BeamAzimuthDeg[row] += 1e-9
		}
		if err := jsonfile.Write(f.cfg.MetadataPath, meta); err != nil {
			return fmt.Errorf("lidar metadata: %w", err)
		}
	}
	return f.udpOut.open()
}

// units implements fake.
func (f *lidarFake) units(dst []unit, c recording.Clip, i int, t *frameTime) ([]unit, error) {
	if absent(c, modality.LiDAR, i) {
		return dst, nil
	}
	if f.cfg.Format == LiDAROuster {
		s, ok := c.(scanSource)
		if !ok {
			return dst, nil // begin has said so
		}
		if err := s.Scan(i, &f.scan); err != nil {
			return dst, err
		}
		if rows := len(f.scan.RangesMM); rows != f.cfg.Beams {
			return dst, fmt.Errorf("clip %s: its scans have %d beams, the fake sensor %d", c.Key(), rows, f.cfg.Beams)
		}
		return f.appendOuster(dst, t)
	}
	if err := readFrame(c, i, modality.Of(modality.LiDAR), &f.frame); err != nil {
		return dst, err
	}
	cloud := livoxPoints(f.frame.LiDAR)
	if len(cloud) == 0 {
		return dst, nil
	}
	packets, err := lidar.EncodeLivoxCloud(cloud, uint8(t.index), uint64(t.deviceNS(0)))
	if err != nil {
		return dst, fmt.Errorf("clip %s frame %d: %w", c.Key(), i+1, err)
	}
	// A stored cloud has one time, so all of it leaves at once; its 16 to 30 kB
	// fit any socket buffer, and no pause looks like the end of the sweep.
	for _, b := range packets {
		dst = append(dst, unit{data: b})
	}
	return dst, nil
}

// livoxPoints returns the points that the wire can carry: finite ones, and not
// at the sensor itself, which means no return.
func livoxPoints(rows []float64) []float32 {
	out := make([]float32, 0, len(rows))
	for ; len(rows) >= mmfi.LiDARColumns; rows = rows[mmfi.LiDARColumns:] {
		largest := max(math.Abs(rows[0]), math.Abs(rows[1]), math.Abs(rows[2])) // NaN stays NaN
		if largest >= 0.0006 && largest < 1e6 {
			out = append(out, float32(rows[0]), float32(rows[1]), float32(rows[2]))
		}
	}
	return out
}

// appendOuster cuts the scan into packets. The middle column is measured at
// the capture time; a packet leaves when its last column is measured.
func (f *lidarFake) appendOuster(dst []unit, t *frameTime) ([]unit, error) {
	columnTime := func(col int) time.Duration { return t.scaled(int64(col-sim.ScanColumns/2), sim.ScanColumns) }
	format, rows := ousterFormat(f.cfg.Beams), f.cfg.Beams
	per := format.ColumnsPerPacket
	pixels := make([]lidar.Pixel, per*rows)
	columns := make([]lidar.EncodeColumn, per)
	for first := 0; first < sim.ScanColumns; first += per {
		for k := range columns {
			col := first + k
			px := pixels[k*rows : (k+1)*rows]
			for row := range px {
				px[row] = lidar.Pixel{RangeMM: f.scan.RangesMM[row][col]}
			}
			columns[k] = lidar.EncodeColumn{TimestampNS: uint64(t.deviceNS(columnTime(col))), ID: col, Valid: true, Pixels: px}
		}
		b, err := format.Encode(make([]byte, 0, format.PacketSize()), &lidar.EncodePacket{
			FrameID: uint32(uint16(t.index)), Columns: columns,
		})
		if err != nil {
			return dst, err
		}
		dst = append(dst, unit{at: columnTime(first + per), data: b})
	}
	return dst, nil
}
