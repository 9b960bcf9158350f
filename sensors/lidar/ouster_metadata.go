package lidar

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Metadata is what an Ouster sensor says about itself. Its packets cannot be
// read without it.
type Metadata struct {
	Format       Format
	ProductLine  string // e.g. "OS-1-32-G"
	Serial       uint64 // 0 if unknown
	InitID       uint32 // 0 if unknown
	RateHz       float64
	ColumnWindow [2]int // first and last column measured; may wrap
	UDPPort      int    // 7502, the sensor's default, if not said
	// PixelShift destaggers the image view. It is nil if unknown: then
	// destaggering is off. Point clouds do not need it.
	PixelShift []int
	// Beam angles per row, degrees; altitude up, azimuth as in the metadata.
	AltitudeDeg, AzimuthDeg []float64
	BeamToLidar             [16]float64 // row-major, translation in mm
	LidarToSensor           [16]float64 // row-major, translation in mm
}

// maxMetadataBytes bounds a metadata file.
const maxMetadataBytes = 1 << 20

type metaFormat struct {
	ColumnsPerFrame  *int    `json:"columns_per_frame"`
	ColumnsPerPacket *int    `json:"columns_per_packet"`
	PixelsPerColumn  *int    `json:"pixels_per_column"`
	PixelShift       []int   `json:"pixel_shift_by_row"`
	ColumnWindow     []int   `json:"column_window"`
	ProfileLidar     string  `json:"udp_profile_lidar"`
	HeaderType       string  `json:"header_type"`
	FPS              float64 `json:"fps"`
}

type metaBeams struct {
	Altitude    []float64 `json:"beam_altitude_angles"`
	Azimuth     []float64 `json:"beam_azimuth_angles"`
	OriginMM    *float64  `json:"lidar_origin_to_beam_origin_mm"`
	BeamToLidar []float64 `json:"beam_to_lidar_transform"`
}

type metaSensor struct {
	ProductLine string       `json:"prod_line"`
	Serial      serialNumber `json:"prod_sn"`
	InitID      uint32       `json:"initialization_id"`
}

type metaConfig struct {
	LidarMode string `json:"lidar_mode"`
	UDPPort   int    `json:"udp_port_lidar"`
}

// flat layout, of firmware up to 2.x
type metaFlat struct {
	metaSensor
	metaBeams
	metaConfig
	LidarToSensor []float64   `json:"lidar_to_sensor_transform"`
	Format        *metaFormat `json:"data_format"`
}

// nested layout
type metaNested struct {
	Sensor     *metaSensor `json:"sensor_info"`
	Beams      *metaBeams  `json:"beam_intrinsics"`
	Intrinsics *struct {
		LidarToSensor []float64 `json:"lidar_to_sensor_transform"`
	} `json:"lidar_intrinsics"`
	Format *metaFormat `json:"lidar_data_format"`
	Config metaConfig  `json:"config_params"`
}

// serialNumber is a number or a string of digits.
type serialNumber uint64

// UnmarshalJSON accepts both spellings and the empty string.
func (s *serialNumber) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "" || text == "null" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("prod_sn %s is not a number", b)
	}
	*s = serialNumber(n)
	return nil
}

// ParseMetadata reads metadata in the flat or the nested layout. Missing
// values get the documented defaults (reference sensors.md 1.6); what no
// sensor can have is an error naming the key.
func ParseMetadata(b []byte) (*Metadata, error) {
	if len(b) > maxMetadataBytes {
		return nil, fmt.Errorf("lidar metadata: %d bytes, at most %d", len(b), maxMetadataBytes)
	}
	var n metaNested
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("lidar metadata: %w", err)
	}
	flat := metaFlat{}
	if n.Sensor != nil || n.Beams != nil || n.Format != nil || n.Intrinsics != nil {
		switch {
		case n.Sensor == nil:
			return nil, errors.New("lidar metadata: sensor_info is missing")
		case n.Beams == nil:
			return nil, errors.New("lidar metadata: beam_intrinsics is missing")
		case n.Format == nil:
			return nil, errors.New("lidar metadata: lidar_data_format is missing")
		}
		flat = metaFlat{metaSensor: *n.Sensor, metaBeams: *n.Beams, metaConfig: n.Config, Format: n.Format}
		if n.Intrinsics != nil {
			flat.LidarToSensor = n.Intrinsics.LidarToSensor
		}
	} else if err := json.Unmarshal(b, &flat); err != nil {
		return nil, fmt.Errorf("lidar metadata: %w", err)
	}
	m, err := flat.metadata()
	if err != nil {
		return nil, fmt.Errorf("lidar metadata: %w", err)
	}
	return m, nil
}

func (f *metaFlat) metadata() (*Metadata, error) {
	m := &Metadata{
		ProductLine: f.ProductLine, Serial: uint64(f.Serial), InitID: f.InitID,
		UDPPort: f.UDPPort, AltitudeDeg: f.Altitude, AzimuthDeg: f.Azimuth,
	}
	if m.UDPPort < 0 || m.UDPPort > 65535 {
		return nil, fmt.Errorf("udp_port_lidar %d is not a port", m.UDPPort)
	}
	if m.UDPPort == 0 {
		m.UDPPort = 7502
	}
	modeColumns, modeHz, err := parseMode(f.LidarMode)
	if err != nil {
		return nil, err
	}
	if err = f.layout(m, modeColumns); err != nil {
		return nil, err
	}
	m.RateHz = 10
	if modeHz > 0 {
		m.RateHz = modeHz
	} else if d := f.Format; d != nil && d.FPS > 0 {
		m.RateHz = d.FPS
	}
	if m.RateHz < 1 || m.RateHz > 100 {
		return nil, fmt.Errorf("frame rate of %g Hz is not possible", m.RateHz)
	}
	if err = f.beams(m); err != nil {
		return nil, err
	}
	m.LidarToSensor = [16]float64{-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 36.18, 0, 0, 0, 1}
	if f.LidarToSensor != nil {
		if m.LidarToSensor, err = transform("lidar_to_sensor_transform", f.LidarToSensor); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (f *metaFlat) layout(m *Metadata, modeColumns int) error {
	m.Format = Format{Profile: ProfileLegacy, Rows: len(f.Altitude), ColumnsPerPacket: 16, Columns: modeColumns}
	d := f.Format
	if d == nil {
		d = &metaFormat{}
	} else if d.ColumnsPerFrame == nil || d.ColumnsPerPacket == nil || d.PixelsPerColumn == nil {
		// Half a data format contradicts itself sooner or later.
		return errors.New("data_format lacks columns_per_frame, columns_per_packet or pixels_per_column; fetch the metadata from the sensor again")
	}
	if d.ColumnsPerFrame != nil {
		m.Format.Columns, m.Format.ColumnsPerPacket, m.Format.Rows = *d.ColumnsPerFrame, *d.ColumnsPerPacket, *d.PixelsPerColumn
	}
	if m.Format.Columns == 0 && f.LidarMode == "" {
		return errors.New("lidar_mode and data_format are both missing")
	}
	if d.ProfileLidar != "" {
		p, err := ParseProfile(d.ProfileLidar)
		if err != nil {
			return err
		}
		m.Format.Profile = p
	}
	m.Format.FUSA = d.HeaderType == "FUSA" && m.Format.Profile != ProfileLegacy
	if err := m.Format.Check(); err != nil {
		return err
	}
	m.ColumnWindow = [2]int{0, m.Format.Columns - 1}
	if d.ColumnWindow != nil {
		if len(d.ColumnWindow) != 2 {
			return fmt.Errorf("column_window has %d numbers, not 2", len(d.ColumnWindow))
		}
		for _, c := range d.ColumnWindow {
			if c < 0 || c >= m.Format.Columns {
				return fmt.Errorf("column_window %v is outside 0..%d", d.ColumnWindow, m.Format.Columns-1)
			}
		}
		m.ColumnWindow = [2]int(d.ColumnWindow)
	}
	if d.PixelShift != nil && len(d.PixelShift) != m.Format.Rows {
		return fmt.Errorf("pixel_shift_by_row has %d numbers for %d rows", len(d.PixelShift), m.Format.Rows)
	}
	m.PixelShift = d.PixelShift
	return nil
}

func (f *metaFlat) beams(m *Metadata) error {
	if err := checkAngles("beam_altitude_angles", f.Altitude, m.Format.Rows); err != nil {
		return err
	}
	if err := checkAngles("beam_azimuth_angles", f.Azimuth, m.Format.Rows); err != nil {
		return err
	}
	origin := defaultOrigin(f.ProductLine)
	if f.OriginMM != nil {
		origin = *f.OriginMM
	}
	if math.Abs(origin) > 1000 {
		return fmt.Errorf("lidar_origin_to_beam_origin_mm %g is not possible", origin)
	}
	m.BeamToLidar = [16]float64{1, 0, 0, origin, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
	if f.BeamToLidar != nil {
		var err error
		if m.BeamToLidar, err = transform("beam_to_lidar_transform", f.BeamToLidar); err != nil {
			return err
		}
	}
	return nil
}

// parseMode reads "1024x10"; an empty mode is 0 x 0.
func parseMode(mode string) (columns int, hz float64, err error) {
	if mode == "" {
		return 0, 0, nil
	}
	c, r, ok := strings.Cut(mode, "x")
	columns, err1 := strconv.Atoi(c)
	rate, err2 := strconv.Atoi(r)
	if !ok || err1 != nil || err2 != nil || columns < 1 || rate < 1 {
		return 0, 0, fmt.Errorf("lidar_mode %q is not COLUMNSxHZ, e.g. 1024x10", mode)
	}
	return columns, float64(rate), nil
}

// checkAngles demands one possible angle per row. All zero means that the
// sensor was asked before it was ready. Old 16- and 32-row sensors list 64
// angles; their unused rows are zero.
func checkAngles(key string, deg []float64, rows int) error {
	if len(deg) != rows {
		return fmt.Errorf("%s has %d numbers for %d rows", key, len(deg), rows)
	}
	zero := true
	for i, a := range deg {
		if math.Abs(a) > 360 {
			return fmt.Errorf("%s: row %d has %g degrees", key, i, a)
		}
		zero = zero && a == 0
	}
	if zero {
		return fmt.Errorf("%s is all zero; fetch the metadata again once the sensor runs", key)
	}
	return nil
}

func transform(key string, v []float64) ([16]float64, error) {
	if len(v) != 16 {
		return [16]float64{}, fmt.Errorf("%s has %d numbers, not 16", key, len(v))
	}
	t := [16]float64(v)
	if t == [16]float64{} {
		return t, fmt.Errorf("%s is all zero; fetch the metadata again once the sensor runs", key)
	}
	if t[12] != 0 || t[13] != 0 || t[14] != 0 || t[15] != 1 {
		return t, fmt.Errorf("%s: the last row is %v, not 0 0 0 1", key, t[12:])
	}
	return t, nil
}

// defaultOrigin is the distance between the lidar's axis and its beams' origin
// for metadata that lacks it, mm.
func defaultOrigin(product string) float64 {
	switch {
	case strings.HasPrefix(product, "OS-0"):
		return 27.67
	case strings.HasPrefix(product, "OS-2"):
		return 13.762
	case product == "OS-1-16-A0" || product == "OS-1-16-A1" || product == "OS-1-64":
		return 12.163 // first generation
	case strings.HasPrefix(product, "OS-1"):
		return 15.806
	}
	return 12.163 // as the vendor takes a product that it does not know
}
