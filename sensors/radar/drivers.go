package radar

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// maxFramesHz is above what TI's demos reach over their serial port.
const maxFramesHz = 110

// Drivers returns the radars this package reads. A further one is a row here
// and a file of its own with its settings and source.
func Drivers() []sensors.Driver {
	return []sensors.Driver{
		{Name: "ti_serial", Modality: modality.Radar, MaxHz: maxFramesHz, Outcomes: outcomesOf(),
			Silent: sensors.CheckPower + ", that data_port is the second of its two ports, and that it was told to start (command_port and config_file)",
			New:    func() sensors.Settings { return NewTISerialConfig() }},
	}
}

// outcomesOf describes what the source counts: frames, and bytes of none.
func outcomesOf() map[string]sensors.Outcome {
	o := map[string]sensors.Outcome{
		"junk_bytes":           {Unit: "bytes", Refused: "no frame of a TI demo is in the bytes: check data_baud, and that data_port is the data port"},
		"lost":                 {Unit: "frames"},
		"configuration_reused": {Unit: "times"},
	}
	for reason, advice := range map[Reason]string{
		BadLength:         "the frames' lengths are impossible: check data_baud and layout",
		CutFrame:          "bytes are missing in the frames: check cable and data_baud, and whether the configuration sends more than the line carries",
		BadChecksum:       "the header's checksum is wrong: check layout",
		BadTLV:            "the frames' blocks do not fit: check layout",
		UnsupportedLayout: "the firmware sends blocks that mean something else here: use one of the demos in docs/guide.md",
		PointCount:        "the frames hold another number of points than they say: use one of the demos in docs/guide.md",
		BadValue:          "points are not numbers: check cable and firmware",
	} {
		o[string(reason)] = sensors.Outcome{Refused: advice}
	}
	return o
}
