// Package mcap writes and reads MCAP files, the container of recorded sessions:
// messages on channels in compressed chunks with checksums and indexes, which
// other programs open too. The format is that of the MCAP specification, version
// 0 (https://mcap.dev/spec); the records' names here are its names.
//
// Chunks are written with zstd, and each holds the schemas and channels that it
// uses, so that it can be read without the rest of the file. The reader takes
// files of others, damaged ones included, and says what is lost.
//
// All times are nanoseconds of one epoch that the writer chooses.
package mcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// magic begins and ends a file; its sixth byte is the major version.
const magic = "\x89MCAP0\r\n"

// versionAt is where the version stands in magic.
const versionAt = 5

// Opcodes of records.
const (
	opHeader          = 0x01
	opFooter          = 0x02
	opSchema          = 0x03
	opChannel         = 0x04
	opMessage         = 0x05
	opChunk           = 0x06
	opMessageIndex    = 0x07
	opChunkIndex      = 0x08
	opAttachment      = 0x09
	opAttachmentIndex = 0x0A
	opStatistics      = 0x0B
	opMetadata        = 0x0C
	opMetadataIndex   = 0x0D
	opSummaryOffset   = 0x0E
	opDataEnd         = 0x0F
)

// Sizes of what has a fixed size, bytes.
const (
	prefixSize    = 1 + 8             // opcode and length of a record
	footerSize    = 8 + 8 + 4         // content
	messageHead   = 2 + 4 + 8 + 8     // content before the data
	chunkHead     = 8 + 8 + 8 + 4 + 4 // content before the compression's name
	indexEntry    = 8 + 8
	fileEndSize   = prefixSize + footerSize + len(magic)
	noCompression = ""
	zstdName      = "zstd"
)

// Errors of files that cannot be read at all.
var (
	ErrForeign = errors.New("not an MCAP file")
	ErrVersion = errors.New("MCAP of another major version")
)

// errShort is a field that reaches beyond its record.
var errShort = errors.New("a field reaches beyond its record")

// Schema describes the messages of channels.
type Schema struct {
	ID       uint16 // not 0
	Name     string // e.g. "foxglove.PointCloud"
	Encoding string // e.g. "jsonschema"
	Data     []byte // the schema itself
}

// Channel is a stream of messages of one kind.
type Channel struct {
	ID              uint16
	SchemaID        uint16 // 0: none
	Topic           string
	MessageEncoding string // e.g. "json"
	Metadata        map[string]string
}

// Message is one message of a channel.
type Message struct {
	ChannelID   uint16
	Sequence    uint32
	LogTime     uint64 // when it was recorded, ns
	PublishTime uint64 // when it was made, ns
	Data        []byte
}

// Attachment is a file within the file.
type Attachment struct {
	LogTime    uint64 // ns
	CreateTime uint64 // ns; 0: not known
	Name       string
	MediaType  string
	Data       []byte
}

// Metadata is a named set of strings.
type Metadata struct {
	Name   string
	Values map[string]string
}

// statistics is the content of the record of that name.
type statistics struct {
	messages              uint64
	schemas               uint16
	channels, attachments uint32
	metadata, chunks      uint32
	start, end            uint64
	perChannel            map[uint16]uint64
}

// chunkIndex is the content of the record of that name.
type chunkIndex struct {
	start, end               uint64
	offset, length           uint64
	indexOffsets             map[uint16]uint64
	indexLength              uint64
	compression              string
	compressed, uncompressed uint64
}

var order = binary.LittleEndian

// begin appends the prefix of a record; end fills in its length.
func begin(b []byte, op byte) (out []byte, at int) {
	b = append(b, op, 0, 0, 0, 0, 0, 0, 0, 0)
	return b, len(b)
}

func end(b []byte, at int) []byte {
	order.PutUint64(b[at-8:], uint64(len(b)-at))
	return b
}

func appendString(b []byte, s string) []byte {
	b = order.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, m map[string]string) []byte {
	b = order.AppendUint32(b, 0)
	at := len(b)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendString(appendString(b, k), m[k])
	}
	order.PutUint32(b[at-4:], uint32(len(b)-at))
	return b
}

func appendCounts(b []byte, m map[uint16]uint64) []byte {
	b = order.AppendUint32(b, uint32(10*len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = order.AppendUint64(order.AppendUint16(b, k), m[k])
	}
	return b
}

func appendSchema(b []byte, s *Schema) []byte {
	b, at := begin(b, opSchema)
	b = order.AppendUint16(b, s.ID)
	b = appendString(appendString(b, s.Name), s.Encoding)
	b = order.AppendUint32(b, uint32(len(s.Data)))
	return end(append(b, s.Data...), at)
}

func appendChannel(b []byte, c *Channel) []byte {
	b, at := begin(b, opChannel)
	b = order.AppendUint16(order.AppendUint16(b, c.ID), c.SchemaID)
	b = appendString(appendString(b, c.Topic), c.MessageEncoding)
	return end(appendStrings(b, c.Metadata), at)
}

func appendMessage(b []byte, m *Message) []byte {
	b, at := begin(b, opMessage)
	b = order.AppendUint32(order.AppendUint16(b, m.ChannelID), m.Sequence)
	b = order.AppendUint64(order.AppendUint64(b, m.LogTime), m.PublishTime)
	return end(append(b, m.Data...), at)
}

// fields reads the fields of a record. After the first that is not there all
// are zero, and err says so.
type fields struct {
	b   []byte
	err error
}

func (f *fields) bytes(n uint64) []byte {
	if f.err != nil || n > uint64(len(f.b)) {
		f.err = errShort
		return nil
	}
	out := f.b[:n]
	f.b = f.b[n:]
	return out
}

func (f *fields) u16() uint16 {
	if b := f.bytes(2); b != nil {
		return order.Uint16(b)
	}
	return 0
}

func (f *fields) u32() uint32 {
	if b := f.bytes(4); b != nil {
		return order.Uint32(b)
	}
	return 0
}

func (f *fields) u64() uint64 {
	if b := f.bytes(8); b != nil {
		return order.Uint64(b)
	}
	return 0
}

func (f *fields) string() string { return string(f.bytes(uint64(f.u32()))) }

func (f *fields) strings() map[string]string {
	in := fields{b: f.bytes(uint64(f.u32()))}
	m := map[string]string{}
	for f.err == nil && len(in.b) > 0 {
		k := in.string()
		m[k] = in.string()
		if in.err != nil {
			f.err = in.err
		}
	}
	return m
}

func (f *fields) counts() map[uint16]uint64 {
	in := fields{b: f.bytes(uint64(f.u32()))}
	m := map[uint16]uint64{}
	for f.err == nil && len(in.b) > 0 {
		k := in.u16()
		m[k] = in.u64()
		if in.err != nil {
			f.err = in.err
		}
	}
	return m
}

func parseSchema(b []byte) (*Schema, error) {
	f := fields{b: b}
	s := &Schema{ID: f.u16(), Name: f.string(), Encoding: f.string()}
	s.Data = slices.Clone(f.bytes(uint64(f.u32())))
	if f.err == nil && s.ID == 0 {
		return nil, errors.New("a schema has the number 0")
	}
	return s, f.err
}

func parseChannel(b []byte) (*Channel, error) {
	f := fields{b: b}
	c := &Channel{ID: f.u16(), SchemaID: f.u16(), Topic: f.string(), MessageEncoding: f.string(), Metadata: f.strings()}
	return c, f.err
}

// parseMessage reads a message, whose data is that of b.
func parseMessage(b []byte, m *Message) error {
	f := fields{b: b}
	*m = Message{ChannelID: f.u16(), Sequence: f.u32(), LogTime: f.u64(), PublishTime: f.u64()}
	m.Data = f.b
	return f.err
}

func parseStatistics(b []byte) (s statistics, err error) {
	f := fields{b: b}
	s = statistics{messages: f.u64(), schemas: f.u16(), channels: f.u32(), attachments: f.u32(), metadata: f.u32(),
		chunks: f.u32(), start: f.u64(), end: f.u64(), perChannel: f.counts()}
	return s, f.err
}

func parseChunkIndex(b []byte) (c chunkIndex, err error) {
	f := fields{b: b}
	c = chunkIndex{start: f.u64(), end: f.u64(), offset: f.u64(), length: f.u64(), indexOffsets: f.counts(), indexLength: f.u64(),
		compression: f.string(), compressed: f.u64(), uncompressed: f.u64()}
	return c, f.err
}

// chunk is the content of a chunk record, still compressed.
type chunk struct {
	start, end   uint64
	uncompressed uint64
	crc          uint32
	compression  string
	records      []byte
}

func parseChunk(b []byte) (c chunk, err error) {
	f := fields{b: b}
	c = chunk{start: f.u64(), end: f.u64(), uncompressed: f.u64(), crc: f.u32(), compression: f.string()}
	c.records = f.bytes(f.u64())
	return c, f.err
}

// opName is the name of a record for people.
func opName(op byte) string {
	names := [...]string{opHeader: "header", opFooter: "footer", opSchema: "schema", opChannel: "channel", opMessage: "message", opChunk: "chunk",
		opMessageIndex: "message index", opChunkIndex: "chunk index", opAttachment: "attachment", opAttachmentIndex: "attachment index",
		opStatistics: "statistics", opMetadata: "metadata", opMetadataIndex: "metadata index", opSummaryOffset: "summary offset", opDataEnd: "data end"}
	if int(op) < len(names) && names[op] != "" {
		return names[op]
	}
	return fmt.Sprintf("record 0x%02x", op)
}
