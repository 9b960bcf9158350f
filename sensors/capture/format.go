package capture

import (
	"posefuse/sensors/modality"
)

// Format describes one format of recorded sensor data. Each room of sensors
// offers its own; a tool ranges over them and knows none by name.
type Format struct {
	Name     string // short and lower case, e.g. "nexmon"
	Modality modality.Kind
	Title    string // for people, e.g. "Nexmon CSI of Broadcom chips"
	// Metadata says what further file the decoder takes, "" if none. Needed
	// says that it does not decode without.
	Metadata       string
	MetadataNeeded bool
	// Fits says how much the start of a file looks like this format: 0 not at
	// all, 100 beyond doubt. It must not take long, and not trust a length.
	Fits func(*Head) int
	// Stream returns a decoder of a file of bytes, Datagrams one of the UDP
	// datagrams of a packet capture; nil if the format has no such files. An
	// error is about the metadata.
	Stream    func(o *Options, out *Output) (StreamDecoder, error)
	Datagrams func(o *Options, out *Output) (DatagramDecoder, error)
}

// Options are what a user can tell a decoder.
type Options struct {
	Metadata     []byte // content of the file of that name, nil if there is none
	MetadataName string
	// Sender is the only one whose frames are wanted, "" for all: the address
	// of a packet capture's datagrams, with the port if the records name it, or
	// the WiFi station's as the records have it.
	Sender string
}

// StreamDecoder takes the bytes of a file, split anyhow.
type StreamDecoder interface {
	Feed(b []byte)
	// Finish says that the file has ended.
	Finish()
}

// DatagramDecoder takes the datagrams of a packet capture.
type DatagramDecoder interface {
	Datagram(d *Datagram)
	// Finish says that the capture has ended.
	Finish()
}

// Head is the start of a file, by which its format is told.
type Head struct {
	Bytes     []byte     // the first bytes of the file
	Capture   bool       // it is a packet capture
	Datagrams []Datagram // the first ones of a packet capture
}

// Share returns how many percent of the head's datagrams a function takes; 0
// if there are none.
func (h *Head) Share(takes func(payload []byte) bool) int {
	n := 0
	for i := range h.Datagrams {
		if takes(h.Datagrams[i].Payload) {
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return 100 * n / len(h.Datagrams)
}

// Record is one decoded frame: a sweep, a radar frame, a WiFi packet.
type Record struct {
	// TimeNS is the device's clock, or else the capture's (Unix time); valid if
	// HasTime.
	TimeNS  int64
	HasTime bool
	// Sender is who sent it: the WiFi station that the decoder tells, else the
	// address of the capture's datagrams; "" if nobody knows.
	Sender string
	// Fields are what else the frame says, for a JSON object.
	Fields map[string]any
	// Values are the frame's points, Width numbers each: x, y, z, in metres,
	// and what follows; or the real and imaginary part of each CSI value, as
	// the device wrote them.
	Values []float64
	Width  int
}

// Output takes what a decoder makes of a file.
type Output struct {
	// Emit takes a frame; it may keep nothing of it.
	Emit func(*Record)
	// Count takes what became of the rest, by a short reason in snake case.
	Count func(reason string, n uint64)
	// Packets counts the datagrams or records of which frames were made.
	Packets func(n uint64)
	// Note takes what is to be said of the whole file: a number or text under a
	// short key in snake case.
	Note func(key string, value any)
}
