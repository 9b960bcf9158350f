package radar

import (
	"fmt"

	"posefuse/sensors"
)

// UnmarshalText reads a layout's name as in Layout.String.
func (l *Layout) UnmarshalText(b []byte) error {
	for v := LayoutAuto; v <= Layout52; v++ {
		if v.String() == string(b) {
			*l = v
			return nil
		}
	}
	return fmt.Errorf("frame layout %q is not one of auto, oob36, oob40, people48, people52", b)
}

// SerialDriver is the driver "radar-serial".
func SerialDriver() sensors.Driver {
	return sensors.Driver{
		Name: "radar-serial", Modality: sensors.MmWave,
		Summary: "Texas Instruments mmWave radar on two serial ports",
		New: func(sensor string, decode func(any) error) (sensors.Source, error) {
			var cfg SerialConfig
			if err := decode(&cfg); err != nil {
				return nil, err
			}
			cfg.Name = sensor
			return NewSerialSource(cfg)
		},
	}
}
