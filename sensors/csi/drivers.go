package csi

import (
	"posefuse/sensors"
	"posefuse/sensors/capture"
	"posefuse/sensors/modality"
)

// Drivers returns the CSI receivers this package reads. A further one is a row
// here and a file of its own with its decoder, settings and, for a stream of
// records, its recordFormat.
func Drivers() []sensors.Driver {
	driver := func(name string, fresh func() sensors.Settings, outcomes map[string]sensors.Outcome) sensors.Driver {
		return sensors.Driver{Name: name, Modality: modality.CSI, New: fresh, Silent: silent, Outcomes: outcomes,
			Common: func() sensors.Common { return NewReceptionConfig() }}
	}
	return []sensors.Driver{
		driver("atheros", func() sensors.Settings { return NewAtherosConfig() }, streamOutcomes()),
		driver("nexmon", func() sensors.Settings { return NewNexmonConfig() }, nexmonOutcomes()),
		driver("intel5300", func() sensors.Settings { return NewIntelConfig() }, streamOutcomes()),
		driver("esp32", func() sensors.Settings { return NewESP32Config() }, streamOutcomes()),
		driver("feitcsi", func() sensors.Settings { return NewFeitConfig() }, streamOutcomes()),
	}
}

// silent is the advice where nothing comes at all.
const silent = sensors.CheckPower + ", that the CSI tool runs on it, and that something sends it WiFi packets, such as a ping a hundred times a second"

// packetOutcomes describes what becomes of packets in every driver.
func packetOutcomes() map[string]sensors.Outcome {
	return map[string]sensors.Outcome{
		OutcomeDeadAntenna:      {Unit: "antennas"},
		OutcomeOtherMAC:         {Refused: "no packet is of the sender in mac: correct it, or leave it empty to follow the busiest sender"},
		OutcomeAllDead:          {Refused: "every antenna measures nothing: check the antennas' cables and the firmware's parameters"},
		OutcomeFewAntennas:      {Refused: "the receiver has fewer antennas than the model and the setting antennas is absent: set it to zero or repeat"},
		OutcomeUnsupportedShape: {Refused: "the packets do not have the model's 114 tones: set resample to true, or the channel to 40 MHz"},
	}
}

// streamOutcomes describes what a stream of records counts.
func streamOutcomes() map[string]sensors.Outcome {
	o := packetOutcomes()
	o["junk_bytes"] = sensors.Outcome{Unit: "bytes", Refused: "they are no records of this driver: check driver of this sensor and what is written to its input"}
	o[OutcomeLostSync] = sensors.Outcome{Unit: "times", Refused: "the stream is damaged: bytes are lost on the way, or two programs write to it"}
	o[OutcomeBadRecord] = sensors.Outcome{Refused: "the records' CSI is not as long as their shape says: the tool splits it, or the stream is damaged"}
	o["no_csi"] = sensors.Outcome{Refused: "the records hold no CSI: let a station send 802.11n packets, as with ping"}
	o["phy_error"] = sensors.Outcome{Refused: "the receiver could not decode the packets: bring sender and receiver closer"}
	o["sender_lost"] = sensors.Outcome{Unit: "times"}
	o["sender_refused"] = sensors.Outcome{Unit: "connections"}
	o[sensors.OutcomeHTTP] = sensors.HTTPRefused
	o["socket_overflow"] = sensors.Outcome{Unit: "times"}
	o["lost"] = sensors.Outcome{Unit: "packets"}
	o[OutcomeBadMessage] = sensors.Outcome{Unit: "datagrams"}
	o[OutcomeOtherLine] = sensors.Outcome{Unit: "lines", Refused: "no line of CSI is in the text: check baud, that the firmware prints CSI_DATA, and that something sends it WiFi packets"}
	o[OutcomeLongLine] = sensors.Outcome{Unit: "lines", Refused: "no line ends where one must: check baud, and driver of this sensor"}
	damaged := sensors.Outcome{Refused: "the lines of CSI are damaged: check baud and cable, and send fewer packets or shorter lines than the port can carry"}
	for _, err := range []error{errESPFields, errESPLength, errESPValue} {
		o[err.Error()] = damaged
	}
	return o
}

// nexmonOutcomes describes what the capture counts: datagrams, before a WiFi
// packet is made of them.
func nexmonOutcomes() map[string]sensors.Outcome {
	o := packetOutcomes()
	for _, outcome := range []string{OutcomeDuplicate, OutcomeOtherPart, "kernel_dropped", "old_record",
		capture.OutcomeOtherTraffic, capture.OutcomeFragment, capture.OutcomeLostFragment, capture.OutcomeRepeated, capture.OutcomeCutPacket} {
		o[outcome] = sensors.Outcome{Unit: "datagrams"}
	}
	for outcome, advice := range map[string]string{
		OutcomeIncomplete:          "cores of each WiFi frame are missing: set cores to 0, which finds out how many there are, or window_ms higher",
		string(NexmonShort):        "they are no Nexmon datagrams: check driver of this sensor and what sends to this port",
		string(NexmonMagic):        "they are no Nexmon datagrams: check driver of this sensor and what sends to this port",
		string(NexmonLength):       "they hold neither 64, 128 nor 256 tones: set the firmware to 20, 40 or 80 MHz",
		string(NexmonBandwidth):    "their length and channel disagree: set the firmware's parameters again",
		capture.OutcomeTruncated:   "the capture keeps less of each packet than was sent: capture with a larger snap length",
		capture.OutcomeUnknownLink: "the capture has a link type that is not read: capture on an Ethernet or WiFi interface, or on any",
	} {
		o[outcome] = sensors.Outcome{Unit: "datagrams", Refused: advice}
	}
	return o
}
