package lidar

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"math"

	"go.yaml.in/yaml/v3"

	"posefuse/sensors"
)

// VelodyneLaser is what a calibration says of one laser.
type VelodyneLaser struct {
	ElevationRad float64 // up
	AzimuthRad   float64 // added to the azimuth of the block, which is clockwise
	DistanceM    float64 // added to the distance
}

// maxCalibrationBytes bounds a calibration file.
const maxCalibrationBytes = 1 << 20

// calibrationYAML is the form that ROS drivers have: radians, metres, the
// azimuth's correction subtracted.
type calibrationYAML struct {
	Lasers []struct {
		ID        *int     `yaml:"laser_id"`
		Elevation *float64 `yaml:"vert_correction"`
		Azimuth   float64  `yaml:"rot_correction"`
		Distance  float64  `yaml:"dist_correction"`
	} `yaml:"lasers"`
}

// calibrationXML is the form that the vendor's viewer has: degrees,
// centimetres.
type calibrationXML struct {
	Lasers []struct {
		ID        int     `xml:"id_"`
		Azimuth   float64 `xml:"rotCorrection_"`
		Elevation float64 `xml:"vertCorrection_"`
		Distance  float64 `xml:"distCorrection_"`
	} `xml:"DB>points_>item>px"`
}

// ParseVelodyneCalibration reads a calibration in the YAML form of ROS drivers
// or the XML form of the vendor's viewer. The lasers come back in the order of
// their numbers; one that is missing, twice there or impossible is an error.
func ParseVelodyneCalibration(b []byte) ([]VelodyneLaser, error) {
	if len(b) > maxCalibrationBytes {
		return nil, fmt.Errorf("velodyne calibration: %d bytes, at most %d", len(b), maxCalibrationBytes)
	}
	byID := map[int]VelodyneLaser{}
	var err error
	if text := bytes.TrimSpace(b); len(text) > 0 && text[0] == '<' {
		err = readXML(b, byID)
	} else {
		err = readYAML(b, byID)
	}
	if err != nil {
		return nil, fmt.Errorf("velodyne calibration: %w", err)
	}
	out := make([]VelodyneLaser, len(byID))
	for i := range out {
		l, ok := byID[i]
		if !ok {
			return nil, fmt.Errorf("velodyne calibration: %d lasers, but none has the number %d", len(byID), i)
		}
		if !sensors.Finite(l.ElevationRad, l.AzimuthRad, l.DistanceM) || math.Abs(l.ElevationRad) > math.Pi/2 || math.Abs(l.AzimuthRad) > math.Pi || math.Abs(l.DistanceM) > 10 {
			return nil, fmt.Errorf("velodyne calibration: laser %d has elevation %g, azimuth %g rad, distance %g m, which no laser has", i, l.ElevationRad, l.AzimuthRad, l.DistanceM)
		}
		out[i] = l
	}
	if n := len(out); n != 16 && n != velodyneChannels {
		return nil, fmt.Errorf("velodyne calibration: %d lasers, want 16 or %d; it is of another product", n, velodyneChannels)
	}
	return out, nil
}

func readYAML(b []byte, byID map[int]VelodyneLaser) error {
	var c calibrationYAML
	if err := yaml.Unmarshal(b, &c); err != nil {
		return err
	}
	for i, l := range c.Lasers {
		if l.ID == nil || l.Elevation == nil {
			return fmt.Errorf("entry %d of lasers lacks laser_id or vert_correction", i)
		}
		if _, twice := byID[*l.ID]; twice {
			return fmt.Errorf("laser_id %d is there twice", *l.ID)
		}
		byID[*l.ID] = VelodyneLaser{ElevationRad: *l.Elevation, AzimuthRad: -l.Azimuth, DistanceM: l.Distance}
	}
	if len(byID) == 0 {
		return errors.New("no lasers; want YAML with lasers: [{laser_id, vert_correction, rot_correction}] or the vendor's XML")
	}
	return nil
}

func readXML(b []byte, byID map[int]VelodyneLaser) error {
	var c calibrationXML
	if err := xml.Unmarshal(b, &c); err != nil {
		return err
	}
	for _, l := range c.Lasers {
		if _, twice := byID[l.ID]; twice {
			return fmt.Errorf("id_ %d is there twice", l.ID)
		}
		// The viewer lists 64 places, those beyond the product's lasers zero.
		if l.ID >= velodyneChannels && l.Elevation == 0 && l.Azimuth == 0 {
			continue
		}
		byID[l.ID] = VelodyneLaser{ElevationRad: l.Elevation * math.Pi / 180, AzimuthRad: -l.Azimuth * math.Pi / 180, DistanceM: l.Distance / 100}
	}
	if len(byID) == 0 {
		return errors.New("no lasers below boost_serialization, DB, points_")
	}
	return nil
}
