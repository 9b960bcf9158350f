package lidar

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Drivers returns the lidars this package reads. A further one is a row here
// and a file of its own with its decoder, settings and assembler.
func Drivers() []sensors.Driver {
	driver := func(name string, fresh func() sensors.Settings) sensors.Driver {
		return sensors.Driver{Name: name, Modality: modality.LiDAR, New: fresh, Silent: sensors.CheckPower}
	}
	return []sensors.Driver{
		driver("ouster", func() sensors.Settings { return NewOusterConfig() }),
		driver("livox", func() sensors.Settings { return NewLivoxConfig() }),
	}
}
