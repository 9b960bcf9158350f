package csi

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Drivers returns the CSI receivers this package reads. A further one is a row
// here and a file of its own with its decoder, settings and, for a stream of
// records, its recordFormat.
func Drivers() []sensors.Driver {
	driver := func(name string, fresh func() sensors.Settings) sensors.Driver {
		return sensors.Driver{Name: name, Modality: modality.CSI, New: fresh, Silent: sensors.CheckPower}
	}
	return []sensors.Driver{
		driver("atheros", func() sensors.Settings { return NewAtherosConfig() }),
		driver("nexmon", func() sensors.Settings { return NewNexmonConfig() }),
	}
}
