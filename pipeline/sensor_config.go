package pipeline

import (
	"errors"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// SensorsConfig holds one sensor per modality.
type SensorsConfig struct {
	Camera SensorConfig `yaml:"camera"` // modality R
	LiDAR  SensorConfig `yaml:"lidar"`  // modality L
	Radar  SensorConfig `yaml:"radar"`  // modality M
	CSI    SensorConfig `yaml:"csi"`    // modality W
}

// SensorConfig is what every sensor has, and a block of settings per driver
// that can read it.
type SensorConfig struct {
	Enabled     bool    `yaml:"enabled"`
	Driver      string  `yaml:"driver"`
	LatencyMS   float64 `yaml:"latency_ms"`   // fixed time from capture to the sensor's stamp or earliest reception
	StaleMS     int     `yaml:"stale_ms"`     // silence after which the sensor's state is stale
	PeriodMS    float64 `yaml:"period_ms"`    // between samples; 0 measures it
	CentreMS    float64 `yaml:"centre_ms"`    // instant the sensor is matched to, relative to the tick
	ToleranceMS float64 `yaml:"tolerance_ms"` // jitter allowed around half a period; 0 takes the sensor kind's default

	// Common are the settings that all its drivers share, nil if there are none;
	// their keys stand beside the ones above.
	Common sensors.Common `yaml:"-"`
	// Drivers are the blocks, in the order of Drivers; their keys are the
	// drivers' names.
	Drivers []DriverConfig `yaml:"-"`
}

// DriverConfig is one driver's block.
type DriverConfig struct {
	Name     string
	Settings sensors.Settings
}

// newSensorConfig returns the defaults of a kind of sensor: its first driver
// reads it.
func newSensorConfig(m modality.Kind, toleranceMS float64) SensorConfig {
	c := SensorConfig{Enabled: true, StaleMS: 500, ToleranceMS: toleranceMS}
	for _, d := range Drivers() {
		if d.Modality != m {
			continue
		}
		if c.Common == nil && d.Common != nil {
			c.Common = d.Common()
		}
		block := DriverConfig{Name: d.Name, Settings: d.New()}
		if s, ok := block.Settings.(sensors.Sharer); ok {
			s.Share(c.Common)
		}
		c.Drivers = append(c.Drivers, block)
	}
	c.Driver = c.Drivers[0].Name
	return c
}

// DriverSettings returns the block of one type of settings, whichever driver
// is in use. It panics if the sensor has no such driver.
func DriverSettings[T sensors.Settings](c *SensorConfig) T {
	for _, d := range c.Drivers {
		if s, ok := d.Settings.(T); ok {
			return s
		}
	}
	panic(fmt.Sprintf("pipeline: a sensor read by %v has no settings of type %v", c.driverNames(), reflect.TypeFor[T]()))
}

// settings returns the block of the driver in use, nil if there is no such
// driver.
func (c *SensorConfig) settings() sensors.Settings {
	for _, d := range c.Drivers {
		if d.Name == c.Driver {
			return d.Settings
		}
	}
	return nil
}

// Choose enables the sensor with a driver and sets keys of its block; the other
// keys keep what they have.
func (c *SensorConfig) Choose(driver string, keys map[string]any) error {
	doc, err := yaml.Marshal(map[string]any{"enabled": true, "driver": driver, driver: keys})
	if err != nil {
		return fmt.Errorf("driver %s: %w", driver, err)
	}
	if err := checkNode(doc, reflect.ValueOf(c).Elem(), "", false); err != nil {
		return fmt.Errorf("driver %s: %w", driver, err)
	}
	if err := yaml.Unmarshal(doc, c); err != nil {
		return fmt.Errorf("driver %s: %w", driver, yamlError(err))
	}
	return nil
}

func (c *SensorConfig) driverNames() []string {
	var names []string
	for _, d := range c.Drivers {
		names = append(names, d.Name)
	}
	return names
}

// UnmarshalYAML decodes the keys that the document has over those of c, among
// them the drivers' blocks.
func (c *SensorConfig) UnmarshalYAML(n *yaml.Node) error {
	if err := n.Decode(new(map[string]yaml.Node)); err != nil {
		return err // no mapping, or a key given twice
	}
	known := map[string]reflect.Value{}
	for _, k := range keysOf(reflect.ValueOf(c).Elem()) {
		known[k.name] = k.value
	}
	var wrong yaml.TypeError
	for i := 0; i+1 < len(n.Content); i += 2 {
		v, ok := known[n.Content[i].Value]
		if !ok {
			return fmt.Errorf("line %d: %s: no such key", n.Content[i].Line, n.Content[i].Value)
		}
		err := n.Content[i+1].Decode(v.Addr().Interface())
		if t, ok := errors.AsType[*yaml.TypeError](err); ok {
			wrong.Errors = append(wrong.Errors, t.Errors...)
		} else if err != nil {
			return err
		}
	}
	if len(wrong.Errors) > 0 {
		return &wrong
	}
	return nil
}
