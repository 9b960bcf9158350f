package radar

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Drivers returns the radars this package reads. A further one is a row here
// and a file of its own with its settings and source.
func Drivers() []sensors.Driver {
	return []sensors.Driver{
		{Name: "ti_serial", Modality: modality.Radar, Silent: sensors.CheckPower,
			New: func() sensors.Settings { return NewTISerialConfig() }},
	}
}
