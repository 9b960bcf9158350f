package sensors

import (
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// Driver describes one way to read a kind of sensor. Each driver's package
// offers its own; whoever configures sensors ranges over them and knows none
// by name.
type Driver struct {
	Name     string // value of the sensor's "driver" key, and the key of its settings
	Modality modality.Kind
	// New returns fresh settings with their defaults, a pointer to a struct of
	// exported fields with yaml tags. What the tags say and the defaults are
	// the driver's part of the documented configuration.
	New func() Settings
	// Common returns fresh settings that all drivers of the modality share, nil
	// if there are none; the first driver of the modality says. Their keys lie
	// beside the key "driver".
	Common func() Common
	// Silent says what to look at when the source runs and nothing comes.
	Silent string
	// MaxHz is a rate of samples that no such sensor reaches; 0: not known.
	MaxHz float64
	// Outcomes describes what the driver counts. One that is not in it counts
	// what would have been a sample, and refuses no data.
	Outcomes map[string]Outcome
}

// Outcome describes one outcome of a driver.
type Outcome struct {
	// Unit is what is counted, in the plural: "datagrams", "bytes". Empty means
	// what would have been a sample; such an outcome joins the ledger of samples.
	Unit string
	// Refused says of refused data what they are and what to do. Empty means
	// that the outcome refuses nothing.
	Refused string
}

// CheckPower is the advice for a sensor that says nothing.
const CheckPower = "check the sensor's power and cable"

// Settings is a driver's block of the configuration.
type Settings interface {
	// Check reports everything that cannot work, without any I/O. Keys are
	// relative to the block.
	Check() setting.Problems
	// Source makes the source of the sensor called name from settings in which
	// Check found nothing. It opens nothing.
	Source(name string) Source
}

// Common are settings that the drivers of one modality share: a pointer to a
// struct like that of Settings.
type Common interface {
	// Check reports everything that cannot work, without any I/O. Keys are
	// relative to the sensor.
	Check() setting.Problems
}

// Sharer are settings of a driver that look at the common ones.
type Sharer interface {
	Settings
	// Share says which they are, once, before anything is read into them.
	Share(c Common)
}

// FileSettings are settings that name files which the driver reads when it
// starts.
type FileSettings interface {
	Settings
	// Files returns the paths that are set, by key.
	Files() map[string]string
}
