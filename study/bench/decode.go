package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"time"

	"posefuse/sensors/lidar"
	"posefuse/sensors/radar"
)

// Decode times the decoders of LiDARs and radars against what the sensors send.
type Decode struct {
	For  time.Duration `default:"500ms" help:"How long to measure each row."`
	JSON bool          `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (Decode) Help() string {
	return "Packets made by the encoders are decoded, joined to frames and turned into points, on one core.\n" +
		"\"times the line\" is how much faster that is than the sensor sends.\n\nExample:\n\n  posefuse bench decode"
}

// decodeRow is one format.
type decodeRow struct {
	Format string  `json:"format"`
	Bytes  int     `json:"frame_bytes"`
	LineMB float64 `json:"line_mb_per_s"` // what the sensor sends
	MB     float64 `json:"mb_per_s"`
	Times  float64 `json:"times_the_line"`
	Allocs float64 `json:"allocations_per_frame"`
	Points int     `json:"points_per_frame"`
}

// decodeCase is a format with a stream to decode.
type decodeCase struct {
	name   string
	lineHz float64  // frames a second
	frame  [][]byte // the datagrams of one frame
	decode func(k int, b []byte) int
	stamp  func(k int, frame [][]byte) // makes frame k of the one given
}

// decodeName is the width of the first column.
const decodeName = "%-44s"

// Run measures every format.
func (c Decode) Run(out io.Writer) error {
	cases, err := decodeCases()
	if err != nil {
		return err
	}
	table := newTable(out, c.JSON, fmt.Sprintf(decodeName, "format"), "frame kB", "line MB/s", "MB/s", "times the line", "allocations", "points")
	for i := range cases {
		r := cases[i].measure(c.For)
		table.add(r, fmt.Sprintf(decodeName, r.Format), fmt.Sprintf("%.1f", float64(r.Bytes)/1e3), fmt.Sprintf("%.2f", r.LineMB), fmt.Sprintf("%.0f", r.MB),
			fmt.Sprintf("%.0f", r.Times), fmt.Sprintf("%.1f", r.Allocs), fmt.Sprint(r.Points))
	}
	return table.end()
}

// warmFrames are decoded before the measurement, so that buffers have grown.
const warmFrames = 5

func (d *decodeCase) measure(limit time.Duration) decodeRow {
	r := decodeRow{Format: d.name}
	for _, b := range d.frame {
		r.Bytes += len(b)
	}
	k := 0
	next := func() int {
		d.stamp(k, d.frame)
		points := 0
		for _, b := range d.frame {
			points += d.decode(k, b)
		}
		k++
		return points
	}
	for range warmFrames {
		r.Points = next()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, frames := time.Now(), 0
	for time.Since(start) < limit {
		next()
		frames++
	}
	spent := time.Since(start)
	runtime.ReadMemStats(&after)
	r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(frames)
	r.LineMB = float64(r.Bytes) * d.lineHz / 1e6
	r.MB = float64(r.Bytes) * float64(frames) / spent.Seconds() / 1e6
	r.Times = r.MB / r.LineMB
	return r
}

func decodeCases() ([]decodeCase, error) {
	var cases []decodeCase
	for _, o := range []struct {
		name    string
		profile lidar.Profile
		rows    int
	}{
		{"Ouster OS1-32", lidar.ProfileLegacy, 32}, {"Ouster OS1-128", lidar.ProfileLegacy, 128},
		{"Ouster OS1-128", lidar.ProfileRNG15, 128}, {"Ouster OS1-128", lidar.ProfileRNG19Dual, 128}, {"Ouster OS1-32", lidar.ProfileRNG19Zone, 32},
	} {
		c, err := ousterCase(o.name, o.profile, o.rows)
		if err != nil {
			return nil, err
		}
		cases = append(cases, c)
	}
	for _, add := range []func() ([]decodeCase, error){ousterMotionCase, livoxCases, velodyneCases, radarCases} {
		more, err := add()
		if err != nil {
			return nil, err
		}
		cases = append(cases, more...)
	}
	return cases, nil
}

const lidarHz = 10

// ousterCase is a sweep of 1024 columns with a return in every pixel.
func ousterCase(name string, profile lidar.Profile, rows int) (decodeCase, error) {
	f := lidar.Format{Profile: profile, Rows: rows, ColumnsPerPacket: 16, Columns: 1024}
	m := &lidar.Metadata{Format: f, RateHz: lidarHz, ColumnWindow: [2]int{0, f.Columns - 1},
		LidarToSensor: [16]float64{-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 36.18, 0, 0, 0, 1}}
	m.BeamToLidar[3] = 15.806
	for i := range rows {
		m.AltitudeDeg = append(m.AltitudeDeg, 22.5-45*float64(i)/float64(rows))
		m.AzimuthDeg = append(m.AzimuthDeg, float64(i%4)-1.5)
	}
	c := decodeCase{name: fmt.Sprintf("%s %s", name, profile), lineHz: lidarHz}
	for first := 0; first < f.Columns; first += f.ColumnsPerPacket {
		p := lidar.EncodePacket{}
		for col := first; col < first+f.ColumnsPerPacket; col++ {
			pixels := make([]lidar.Pixel, rows)
			for r := range pixels {
				pixels[r] = lidar.Pixel{RangeMM: uint32(2000 + 10*r + col), Reflectivity: 20, Signal: 300, NearInfrared: 160}
			}
			p.Columns = append(p.Columns, lidar.EncodeColumn{ID: col, Valid: true, Pixels: pixels})
		}
		b, err := f.Encode(nil, &p)
		if err != nil {
			return c, err
		}
		c.frame = append(c.frame, b)
	}
	table, xyz := lidar.NewXYZTable(m), make([]float32, 0, 3*rows*f.Columns)
	points := 0
	asm := lidar.NewAssembler(m, func(g *lidar.Frame) {
		xyz = table.Cloud(xyz[:0], g, &lidar.Box{})
		points = len(xyz) / 3
	}, func(string, uint64) {})
	c.decode = func(k int, b []byte) int {
		points = 0
		asm.Add(int64(k)*1e8, b)
		return points
	}
	header := 0
	if profile != lidar.ProfileLegacy {
		header = 32
	}
	column := (f.PacketSize() - 2*header) / f.ColumnsPerPacket
	c.stamp = func(k int, frame [][]byte) {
		for n, b := range frame {
			if header > 0 {
				binary.LittleEndian.PutUint16(b[2:], uint16(k))
			}
			for i := range f.ColumnsPerPacket {
				col := b[header+i*column:]
				binary.LittleEndian.PutUint64(col, uint64(k)*1e8+uint64(n*f.ColumnsPerPacket+i)*97_656)
				if header == 0 {
					binary.LittleEndian.PutUint16(col[10:], uint16(k))
				}
			}
		}
	}
	return c, nil
}

// unstamped leaves a frame as it is.
func unstamped(int, [][]byte) {}

func ousterMotionCase() ([]decodeCase, error) {
	var out []decodeCase
	for _, p := range []struct {
		name string
		hz   float64
		in   lidar.OusterIMU
	}{
		{"Ouster IMU legacy", 100, lidar.OusterIMU{Legacy: true, Readings: make([]lidar.OusterReading, 1)}},
		{"Ouster IMU ACCEL32_GYRO32_NMEA", 80, lidar.OusterIMU{Readings: make([]lidar.OusterReading, 8)}},
	} {
		b, err := lidar.EncodeOusterIMU(nil, &p.in)
		if err != nil {
			return nil, err
		}
		var got lidar.OusterIMU
		out = append(out, decodeCase{name: p.name, lineHz: p.hz, frame: [][]byte{b}, stamp: unstamped, decode: func(_ int, b []byte) int {
			if lidar.DecodeOusterIMU(b, &got) != nil {
				return 0
			}
			return len(got.Readings)
		}})
	}
	return out, nil
}

func livoxCases() ([]decodeCase, error) {
	const packets = 208 // of a Mid-360 in 100 ms
	var out []decodeCase
	for _, t := range []lidar.LivoxType{lidar.LivoxCartesianMM, lidar.LivoxCartesianCM, lidar.LivoxSpherical, lidar.LivoxIMU} {
		c := decodeCase{name: fmt.Sprintf("Livox type %d", t), lineHz: lidarHz}
		for k := range packets {
			p := lidar.LivoxPacket{Type: t, UDPCounter: uint16(k)}
			if t != lidar.LivoxIMU {
				for i := range lidar.LivoxPointsPerPacket {
					p.Points = append(p.Points, lidar.LivoxPoint{X: int32(2000 + i), Y: int32(10 * k), Z: 500, Reflectivity: 30})
				}
			}
			b, err := lidar.EncodeLivox(nil, &p)
			if err != nil {
				return nil, err
			}
			c.frame = append(c.frame, b)
		}
		c.stamp = func(k int, frame [][]byte) {
			for n, b := range frame {
				b[9] = uint8(k)
				binary.LittleEndian.PutUint64(b[28:], uint64(k)*1e8+uint64(n)*480_000)
			}
		}
		var p lidar.LivoxPacket
		c.decode = func(_ int, b []byte) int {
			if lidar.DecodeLivox(b, &p) != nil {
				return 0
			}
			return len(p.Points)
		}
		out = append(out, c)
	}
	return out, nil
}

func velodyneCases() ([]decodeCase, error) {
	const packets = 76 // of a VLP-16 in a tenth of a second
	var out []decodeCase
	for _, v := range []struct {
		product lidar.VelodyneProduct
		mode    lidar.VelodyneMode
		hz      float64
	}{{lidar.VLP16, lidar.VelodyneStrongest, lidarHz}, {lidar.VLP16, lidar.VelodyneDual, 2 * lidarHz}, {lidar.VLP32C, lidar.VelodyneStrongest, 2 * lidarHz}} {
		c := decodeCase{name: fmt.Sprintf("Velodyne %s mode %#x", v.product, uint8(v.mode)), lineHz: v.hz, stamp: unstamped}
		for k := range packets {
			p := lidar.VelodynePacket{TimestampUS: uint32(1327 * k), Mode: v.mode, Product: v.product}
			var blocks [12]lidar.VelodyneBlock
			for i := range blocks {
				blocks[i].Azimuth = uint16((k*12 + i) * 39 % 36000)
				for n := range blocks[i].Returns {
					blocks[i].Returns[n] = lidar.VelodyneReturn{Distance: uint16(1000 + 10*n + i), Reflectivity: 40}
				}
			}
			b, err := lidar.EncodeVelodyne(nil, &p, &blocks)
			if err != nil {
				return nil, err
			}
			c.frame = append(c.frame, b)
		}
		geometry, xyz := lidar.NewVelodyneGeometry(v.product, nil), make([]float32, 0, 3*12*32)
		var p lidar.VelodynePacket
		c.decode = func(_ int, b []byte) int {
			xyz = xyz[:0]
			if lidar.DecodeVelodyne(b, &p) == nil {
				for i := range 12 {
					xyz = geometry.Block(xyz, &p, i, &lidar.Box{})
				}
			}
			return len(xyz) / 3
		}
		out = append(out, c)
	}
	b, err := lidar.EncodeVelodynePosition(nil, &lidar.VelodynePosition{NMEA: []byte("$GPRMC,214106,A,3707.8178,N,12139.2690,W,010.3,188.2,230715,013.8,E,D*05")})
	if err != nil {
		return nil, err
	}
	var at lidar.VelodynePosition
	return append(out, decodeCase{name: "Velodyne position", lineHz: 200, frame: [][]byte{b}, stamp: unstamped, decode: func(_ int, b []byte) int {
		_ = lidar.DecodeVelodynePosition(b, &at) // it was encoded a moment ago
		return 0
	}}), nil
}

// radarCases are frames of 100 points, ten a second.
func radarCases() ([]decodeCase, error) {
	frame := &radar.Frame{Version: radar.VersionSDK36, Platform: radar.PlatformIWR6843, TargetIndex: make([]uint8, 100), Targets: make([]radar.Target, 2)}
	for i := range 100 {
		frame.Points = append(frame.Points, radar.Point{X: 0.01 * float32(i), Y: 2, Z: 0.5, Doppler: 0.1, SNRdB: 12})
		frame.Spherical = append(frame.Spherical, radar.SphericalPoint{RangeM: 2, AzimuthRad: 0.01 * float32(i), DopplerMPS: 0.1, SNR: 12})
	}
	var out []decodeCase
	for _, f := range []struct {
		name   string
		layout radar.Layout
		encode func(dst []byte) ([]byte, error)
	}{
		{"TI out-of-box SDK 3.x", radar.Layout40, func(dst []byte) ([]byte, error) { return radar.AppendFrame(dst, frame) }},
		{"TI out-of-box SDK 2.x", radar.Layout36, func(dst []byte) ([]byte, error) { return radar.AppendFrameAs(dst, radar.Layout36, frame) }},
		{"TI 3D People Tracking", radar.Layout40, func(dst []byte) ([]byte, error) { return radar.AppendFrameAs(dst, radar.Layout40, frame) }},
		{"TI 3D People Counting", radar.Layout48, func(dst []byte) ([]byte, error) { return radar.AppendFrameAs(dst, radar.Layout48, frame) }},
		{"TI 2D People Counting", radar.Layout52, func(dst []byte) ([]byte, error) { return radar.AppendFrameAs(dst, radar.Layout52, frame) }},
	} {
		b, err := f.encode(nil)
		if err != nil {
			return nil, err
		}
		points := 0
		d := radar.NewDecoder(f.layout, func(g *radar.Frame) { points = len(g.Points) }, func(radar.Reason) {})
		out = append(out, decodeCase{name: f.name, lineHz: lidarHz, frame: [][]byte{b}, stamp: unstamped, decode: func(k int, b []byte) int {
			d.Feed(int64(k), b)
			d.Flush(int64(k))
			return points
		}})
	}
	return out, nil
}
