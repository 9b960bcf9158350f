package session

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Channels of what drivers read, before they decode it. Their messages are protobuf,
// so that bytes stay bytes.
const (
	TopicRawCamera = "/camera/raw"
	TopicRawLiDAR  = "/lidar/raw"
	TopicRawRadar  = "/radar/raw"
	TopicRawCSI    = "/csi/raw"
)

// rawSchema is the full name of the message in protobuf: package posefuse.raw, message
// v1.
const rawSchema = "posefuse.raw.v1"

// Fields of the message.
const (
	rawReceiveNS = 1 // int64, room clock
	rawTransport = 2 // string
	rawFrom      = 3 // string, address and port
	rawBegin     = 4 // bool
	rawLink      = 5 // uint32
	rawName      = 6 // string
	rawData      = 7 // bytes
)

// rawFields describes them for readers: name and type by number less 1. The types'
// numbers are those of google/protobuf/descriptor.proto.
var rawFields = [...]struct {
	name string
	of   uint64
}{{"receive_ns", 3}, {"transport", 9}, {"from", 9}, {"begin", 8}, {"link", 13}, {"name", 9}, {"data", 12}}

// rawDescriptor returns the FileDescriptorSet of the message, which is what MCAP wants
// as a schema.
func rawDescriptor() []byte {
	str := func(b []byte, field protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
	}
	num := func(b []byte, field protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
	}
	message := str(nil, 1, "v1")
	for i, f := range rawFields {
		const optional = 1
		field := num(num(num(str(nil, 1, f.name), 3, uint64(i+1)), 4, optional), 5, f.of)
		message = str(message, 2, string(field))
	}
	file := str(str(str(nil, 1, "posefuse/raw/v1.proto"), 2, "posefuse.raw"), 4, string(message))
	return str(nil, 1, string(str(file, 12, "proto3")))
}

// appendRaw appends the message of what was read.
func appendRaw(b []byte, r *sensors.Raw) []byte {
	str := func(field protowire.Number, v string) {
		b = protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
	}
	num := func(field protowire.Number, v uint64) {
		b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
	}
	num(rawReceiveNS, uint64(r.AtNS))
	str(rawTransport, r.Transport.String())
	if r.From.IsValid() {
		str(rawFrom, netip.AddrPortFrom(r.From.Addr().Unmap(), r.From.Port()).String())
	}
	if r.Begin {
		num(rawBegin, 1)
	}
	if r.Link != 0 {
		num(rawLink, uint64(r.Link))
	}
	if r.Name != "" {
		str(rawName, r.Name)
	}
	return protowire.AppendBytes(protowire.AppendTag(b, rawData, protowire.BytesType), r.Data)
}

// errRaw is the error of a message that is not as appendRaw writes it.
var errRaw = errors.New("it is no message of " + rawSchema)

// parseRaw is the inverse of appendRaw. Data lies in b.
func parseRaw(b []byte) (*sensors.Raw, error) {
	r := &sensors.Raw{}
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, errRaw
		}
		b = b[n:]
		var number uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return nil, errRaw
		}
		b = b[n:]
		if err := setRaw(r, field, number, bytes); err != nil {
			return nil, err
		}
	}
	if r.Transport == 0 {
		return nil, fmt.Errorf("%w: it has no transport", errRaw)
	}
	return r, nil
}

// setRaw takes one field; those of later versions are left out.
func setRaw(r *sensors.Raw, field protowire.Number, number uint64, bytes []byte) (err error) {
	switch int(field) {
	case rawReceiveNS:
		r.AtNS = int64(number)
	case rawTransport:
		r.Transport, err = sensors.ParseTransport(string(bytes))
	case rawFrom:
		r.From, err = netip.ParseAddrPort(string(bytes))
	case rawBegin:
		r.Begin = number != 0
	case rawLink:
		r.Link = uint16(number)
	case rawName:
		r.Name = string(bytes)
	case rawData:
		r.Data = bytes
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errRaw, err)
	}
	return nil
}

// RawTopic returns the channel of a sensor's raw bytes.
func RawTopic(m modality.Kind) string { return channels[kindRaw+int(m)].topic }

// SampleTopic returns the channel of a sensor's samples.
func SampleTopic(m modality.Kind) string { return channels[m].topic }

// rawOf returns whose raw bytes a channel holds.
func rawOf(topic string) (modality.Kind, bool) {
	for m := range modality.Count {
		if RawTopic(m) == topic {
			return m, true
		}
	}
	return 0, false
}

// rawNames are the names of the sensors whose raw bytes can be asked for.
func rawNames() (names []string) {
	for m := range modality.Count {
		names = append(names, m.String())
	}
	return names
}

// checkRaw refuses names that no sensor has, and one that comes twice.
func checkRaw(names []string) (on [modality.Count]bool, err error) {
	for _, name := range names {
		m := slices.Index(rawNames(), name)
		if m < 0 {
			return on, fmt.Errorf("%w: raw: there is no sensor %q: give some of %v", ErrInvalid, name, rawNames())
		}
		if on[m] {
			return on, fmt.Errorf("%w: raw: %s comes twice", ErrInvalid, name)
		}
		on[m] = true
	}
	return on, nil
}

// rawItem is the memory of a raw message on its way.
type rawItem struct{ text []byte }

// rawMemory is of rawItems that are written.
var rawMemory = sync.Pool{New: func() any { return &rawItem{} }}

// rawFiles are the files that the drivers decode by at present: a session begins with
// them.
type rawFiles struct {
	mu    sync.Mutex
	files [modality.Count][]sensors.Raw // one per name
}

// keep takes a file in place of the one of that name.
func (f *rawFiles) keep(m modality.Kind, r *sensors.Raw) {
	own := *r
	own.Data = slices.Clone(r.Data)
	for i := range f.files[m] {
		if f.files[m][i].Name == r.Name {
			f.files[m][i] = own
			return
		}
	}
	f.files[m] = append(f.files[m], own)
}

// Raw takes what the driver of a sensor read. Nothing is kept of the argument.
func (r *Recorder) Raw(m modality.Kind, raw *sensors.Raw) {
	if raw.Transport == sensors.File {
		r.files.mu.Lock()
		defer r.files.mu.Unlock()
		r.files.keep(m, raw)
	}
	if x := r.active.Load(); x != nil {
		x.offerRaw(m, raw)
	}
}

// startRaw makes a session the one that is recorded, which begins with the files of
// its sensors.
func (r *Recorder) startRaw(x *run) {
	r.files.mu.Lock()
	defer r.files.mu.Unlock()
	for m := range modality.Count {
		for i := range r.files.files[m] {
			x.offerRaw(m, &r.files.files[m][i])
		}
	}
	r.active.Store(x)
}

// offerRaw queues what a driver read, if the session is to have it.
func (x *run) offerRaw(m modality.Kind, raw *sensors.Raw) {
	if !x.raw[m] {
		return
	}
	it := rawMemory.Get().(*rawItem)
	it.text = appendRaw(it.text[:0], raw)
	x.offer(item{kind: kindRaw + int(m), atNS: x.r.cfg.Clock.NowNS(), publishNS: raw.AtNS, raw: it, size: int64(len(it.text)) + 1024})
}
