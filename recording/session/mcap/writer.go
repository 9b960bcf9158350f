package mcap

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// MaxChunk is the largest content of a chunk, uncompressed bytes, that the writer
// makes; a chunk that would become larger is ended before.
const MaxChunk = 64 << 20

// Writer writes one file. After an error it writes nothing more and gives that
// error again. It is used by one goroutine.
type Writer struct {
	w      io.Writer
	offset uint64
	crc    uint32 // of all that was written
	err    error
	closed bool

	schemas  []*Schema // by number less 1
	channels []*Channel
	zstd     *zstd.Encoder

	chunk      []byte // records of the chunk being made
	compressed []byte
	out        []byte
	start, end uint64
	inChunk    uint64           // messages
	entries    [][]messageEntry // by channel's number less 1

	stats       statistics
	indexes     []chunkIndex
	attachments [][]byte // index records
	metadata    [][]byte
}

// messageEntry is where a message lies in its chunk.
type messageEntry struct{ time, offset uint64 }

// NewWriter begins a file. profile and library may be empty; the latter says who
// wrote it.
func NewWriter(w io.Writer, profile, library string) (*Writer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("mcap: %w", err)
	}
	x := &Writer{w: w, zstd: enc, stats: statistics{perChannel: map[uint16]uint64{}}}
	b, at := begin([]byte(magic), opHeader)
	x.write(end(appendString(appendString(b, profile), library), at))
	return x, x.err
}

// Offset returns how many bytes were written so far: where the last whole chunk
// ends after Flush.
func (w *Writer) Offset() int64 { return int64(w.offset) }

// Pending returns the bytes of the chunk being made, uncompressed.
func (w *Writer) Pending() int { return len(w.chunk) }

// AddSchema adds a schema and returns its number.
func (w *Writer) AddSchema(name, encoding string, data []byte) (uint16, error) {
	if len(w.schemas) == math.MaxUint16 {
		return 0, errors.New("mcap: a file has at most 65535 schemas")
	}
	s := &Schema{ID: uint16(len(w.schemas) + 1), Name: name, Encoding: encoding, Data: data}
	w.schemas = append(w.schemas, s)
	return s.ID, w.err
}

// AddChannel adds a channel of a schema of AddSchema, 0 for none, and returns its
// number.
func (w *Writer) AddChannel(schema uint16, topic, messageEncoding string, metadata map[string]string) (uint16, error) {
	if int(schema) > len(w.schemas) {
		return 0, fmt.Errorf("mcap: channel %s: there is no schema %d", topic, schema)
	}
	if len(w.channels) == math.MaxUint16 {
		return 0, errors.New("mcap: a file has at most 65535 channels")
	}
	c := &Channel{ID: uint16(len(w.channels) + 1), SchemaID: schema, Topic: topic, MessageEncoding: messageEncoding, Metadata: metadata}
	w.channels = append(w.channels, c)
	w.entries = append(w.entries, nil)
	return c.ID, w.err
}

// Write adds a message to the chunk being made. It copies the data.
func (w *Writer) Write(m *Message) error {
	if w.err != nil {
		return w.err
	}
	if m.ChannelID == 0 || int(m.ChannelID) > len(w.channels) {
		return fmt.Errorf("mcap: there is no channel %d", m.ChannelID)
	}
	if len(m.Data) > MaxChunk/2 {
		return fmt.Errorf("mcap: a message of %d bytes on %s: at most %d", len(m.Data), w.channels[m.ChannelID-1].Topic, MaxChunk/2)
	}
	if len(w.chunk)+len(m.Data) > MaxChunk {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	entries := &w.entries[m.ChannelID-1]
	if len(*entries) == 0 { // the chunk can then be read by itself
		c := w.channels[m.ChannelID-1]
		if c.SchemaID != 0 {
			w.chunk = appendSchema(w.chunk, w.schemas[c.SchemaID-1])
		}
		w.chunk = appendChannel(w.chunk, c)
	}
	*entries = append(*entries, messageEntry{m.LogTime, uint64(len(w.chunk))})
	w.chunk = appendMessage(w.chunk, m)
	if w.inChunk == 0 {
		w.start, w.end = m.LogTime, m.LogTime
	}
	w.start, w.end = min(w.start, m.LogTime), max(w.end, m.LogTime)
	w.inChunk++
	return nil
}

// Flush ends the chunk being made, if it holds a message, and writes it with its
// indexes in one call.
func (w *Writer) Flush() error {
	if w.err != nil || w.inChunk == 0 {
		return w.err
	}
	w.compressed = w.zstd.EncodeAll(w.chunk, w.compressed[:0])
	index := chunkIndex{start: w.start, end: w.end, offset: w.offset, compression: zstdName, indexOffsets: map[uint16]uint64{},
		compressed: uint64(len(w.compressed)), uncompressed: uint64(len(w.chunk))}
	b, at := begin(w.out[:0], opChunk)
	b = order.AppendUint64(order.AppendUint64(b, w.start), w.end)
	b = order.AppendUint64(b, index.uncompressed)
	b = order.AppendUint32(b, crc32.ChecksumIEEE(w.chunk))
	b = order.AppendUint64(appendString(b, zstdName), index.compressed)
	b = end(append(b, w.compressed...), at)
	index.length = uint64(len(b))
	for i, entries := range w.entries {
		if len(entries) == 0 {
			continue
		}
		id := w.channels[i].ID
		index.indexOffsets[id] = w.offset + uint64(len(b))
		slices.SortStableFunc(entries, func(a, b messageEntry) int {
			switch {
			case a.time < b.time:
				return -1
			case a.time > b.time:
				return 1
			}
			return 0
		})
		b, at = begin(b, opMessageIndex)
		b = order.AppendUint16(b, id)
		b = order.AppendUint32(b, uint32(indexEntry*len(entries)))
		for _, e := range entries {
			b = order.AppendUint64(order.AppendUint64(b, e.time), e.offset)
		}
		b = end(b, at)
	}
	index.indexLength = uint64(len(b)) - index.length
	w.out = b
	w.write(b)
	if w.err != nil {
		return w.err
	}
	if w.stats.messages == 0 {
		w.stats.start, w.stats.end = w.start, w.end
	}
	w.stats.start, w.stats.end = min(w.stats.start, w.start), max(w.stats.end, w.end)
	w.stats.chunks++
	w.stats.messages += w.inChunk
	for i, entries := range w.entries {
		if len(entries) > 0 {
			w.stats.perChannel[w.channels[i].ID] += uint64(len(entries))
			w.entries[i] = entries[:0]
		}
	}
	w.indexes = append(w.indexes, index)
	w.chunk, w.inChunk = w.chunk[:0], 0
	return nil
}

// Attach writes a file into the file, after the chunk being made.
func (w *Writer) Attach(a *Attachment) error {
	if err := w.Flush(); err != nil {
		return err
	}
	b, at := begin(nil, opAttachment)
	b = order.AppendUint64(order.AppendUint64(b, a.LogTime), a.CreateTime)
	b = appendString(appendString(b, a.Name), a.MediaType)
	b = order.AppendUint64(b, uint64(len(a.Data)))
	b = append(b, a.Data...)
	b = end(order.AppendUint32(b, crc32.ChecksumIEEE(b[at:])), at)
	i, at := begin(nil, opAttachmentIndex)
	i = order.AppendUint64(order.AppendUint64(i, w.offset), uint64(len(b)))
	i = order.AppendUint64(order.AppendUint64(i, a.LogTime), a.CreateTime)
	i = order.AppendUint64(i, uint64(len(a.Data)))
	i = end(appendString(appendString(i, a.Name), a.MediaType), at)
	w.write(b)
	if w.err == nil {
		w.stats.attachments++
		w.attachments = append(w.attachments, i)
	}
	return w.err
}

// AddMetadata writes a set of strings, after the chunk being made.
func (w *Writer) AddMetadata(m *Metadata) error {
	if err := w.Flush(); err != nil {
		return err
	}
	b, at := begin(nil, opMetadata)
	b = end(appendStrings(appendString(b, m.Name), m.Values), at)
	i, at := begin(nil, opMetadataIndex)
	i = order.AppendUint64(order.AppendUint64(i, w.offset), uint64(len(b)))
	i = end(appendString(i, m.Name), at)
	w.write(b)
	if w.err == nil {
		w.stats.metadata++
		w.metadata = append(w.metadata, i)
	}
	return w.err
}

// Close ends the file with its summary. It does not close what it writes to.
func (w *Writer) Close() error {
	if w.closed {
		return w.err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w.closed = true
	b, at := begin(nil, opDataEnd)
	w.write(end(order.AppendUint32(b, w.crc), at))
	w.write(w.summary(w.offset))
	return w.err
}

// summary returns what follows the data section, for a file of that many bytes.
func (w *Writer) summary(start uint64) []byte {
	used := map[uint16]bool{} // schemas
	for _, c := range w.channels {
		if w.stats.perChannel[c.ID] > 0 {
			w.stats.channels++
			used[c.SchemaID] = true
		}
	}
	delete(used, 0)
	w.stats.schemas = uint16(len(used))
	var b, offsets []byte
	group := func(op byte, add func()) {
		from := uint64(len(b))
		add()
		if n := uint64(len(b)) - from; n > 0 {
			var at int
			offsets, at = begin(offsets, opSummaryOffset)
			offsets = order.AppendUint64(append(offsets, op), start+from)
			offsets = end(order.AppendUint64(offsets, n), at)
		}
	}
	group(opSchema, func() {
		for _, s := range w.schemas {
			if used[s.ID] {
				b = appendSchema(b, s)
			}
		}
	})
	group(opChannel, func() {
		for _, c := range w.channels {
			if w.stats.perChannel[c.ID] > 0 {
				b = appendChannel(b, c)
			}
		}
	})
	group(opStatistics, func() { b = appendStatistics(b, &w.stats) })
	group(opChunkIndex, func() {
		for i := range w.indexes {
			b = appendChunkIndex(b, &w.indexes[i])
		}
	})
	group(opAttachmentIndex, func() { b = append(b, slices.Concat(w.attachments...)...) })
	group(opMetadataIndex, func() { b = append(b, slices.Concat(w.metadata...)...) })
	offsetStart := start + uint64(len(b))
	b = append(b, offsets...)
	b, at := begin(b, opFooter)
	order.PutUint64(b[at-8:], footerSize)
	b = order.AppendUint64(order.AppendUint64(b, start), offsetStart)
	b = order.AppendUint32(b, crc32.ChecksumIEEE(b))
	return append(b, magic...)
}

func appendStatistics(b []byte, s *statistics) []byte {
	b, at := begin(b, opStatistics)
	b = order.AppendUint16(order.AppendUint64(b, s.messages), s.schemas)
	for _, n := range [...]uint32{s.channels, s.attachments, s.metadata, s.chunks} {
		b = order.AppendUint32(b, n)
	}
	b = order.AppendUint64(order.AppendUint64(b, s.start), s.end)
	return end(appendCounts(b, s.perChannel), at)
}

func appendChunkIndex(b []byte, c *chunkIndex) []byte {
	b, at := begin(b, opChunkIndex)
	for _, v := range [...]uint64{c.start, c.end, c.offset, c.length} {
		b = order.AppendUint64(b, v)
	}
	b = order.AppendUint64(appendCounts(b, c.indexOffsets), c.indexLength)
	b = appendString(b, c.compression)
	return end(order.AppendUint64(order.AppendUint64(b, c.compressed), c.uncompressed), at)
}

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = err
		return
	}
	w.crc = crc32.Update(w.crc, crc32.IEEETable, b)
	w.offset += uint64(len(b))
}
