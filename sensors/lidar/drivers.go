package lidar

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// maxSweepsHz is above what any lidar turns at.
const maxSweepsHz = 45

// Drivers returns the lidars this package reads. A further one is a row here
// and a file of its own with its decoder, settings and assembler.
func Drivers() []sensors.Driver {
	driver := func(name string, fresh func() sensors.Settings) sensors.Driver {
		return sensors.Driver{Name: name, Modality: modality.LiDAR, New: fresh, Silent: silent, MaxHz: maxSweepsHz, Outcomes: outcomesOf()}
	}
	return []sensors.Driver{
		driver("ouster", func() sensors.Settings { return NewOusterConfig() }),
		driver("livox", func() sensors.Settings { return NewLivoxConfig() }),
		driver("velodyne", func() sensors.Settings { return NewVelodyneConfig() }),
	}
}

// silent is the advice where no datagram comes.
const silent = sensors.CheckPower + ", and that it sends to this machine's address and to this port"

// outcomesOf describes what the UDP source and its assemblers count: datagrams,
// but for whole frames that never came.
func outcomesOf() map[string]sensors.Outcome {
	o := map[string]sensors.Outcome{}
	for _, outcome := range []string{"packet", "duplicate", "late", "lost_packet", "no_valid_column", "unverified_crc",
		"socket_overflow", "sweep_limit", "other_source", "position", "imu", "zones"} {
		o[outcome] = sensors.Outcome{Unit: "datagrams"}
	}
	o["lost_frame"] = sensors.Outcome{Unit: "frames"}
	o["restart"] = sensors.Outcome{Unit: "times"}
	for reason, advice := range map[Reason]string{
		BadLength:      "the datagrams have another size than the sensor's settings give them: check driver and metadata of this sensor",
		BadType:        "they are no point packets: check which port of the sensor sends here",
		BadVersion:     "they are of another protocol: check driver of this sensor",
		BadInitID:      "the sensor was reconfigured: fetch its metadata again",
		BadSerial:      "they are of another sensor than the metadata: fetch the metadata of this one, or set from",
		BadCRC:         "they are damaged on their way: check cable and switch",
		BadColumn:      "their columns lie outside the frame: fetch the sensor's metadata again",
		BadBlock:       "they are no data packets: check driver of this sensor",
		UnknownProduct: "the model has no geometry here: a VLP-16, Puck Hi-Res or VLP-32C is read",
		UnsupportedPt:  "they hold points of a type that has no decoder: set the sensor to Cartesian or spherical coordinates",
	} {
		o[string(reason)] = sensors.Outcome{Unit: "datagrams", Refused: advice}
	}
	return o
}
