package mcap

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
)

// chunk gives the messages of a chunk, if all of it is sound.
func (r *reader) chunk(b []byte) error {
	at := r.at
	r.lostIn = true
	c, err := parseChunk(b)
	if err == nil {
		err = r.unpack(&c)
	}
	var schemas []*Schema
	var channels []*Channel
	if err == nil {
		schemas, channels, err = checkRecords(r.content)
	}
	if err != nil {
		r.problem(at, "a chunk: %v", err)
		return nil
	}
	r.lostIn, r.salvaged = false, true
	r.Chunks++
	for _, s := range schemas {
		r.schemas[s.ID] = s
	}
	for _, c := range channels {
		r.channels[c.ID] = c
	}
	return eachRecord(r.content, func(op byte, b []byte) error {
		if op != opMessage {
			return nil
		}
		var m Message
		if err := parseMessage(b, &m); err != nil {
			return err // checked above
		}
		return r.message(&m, at)
	})
}

// unpack brings the content of a chunk into r.content and checks it.
func (r *reader) unpack(c *chunk) error {
	if c.uncompressed > uint64(r.opt.MaxChunk) {
		return fmt.Errorf("it would unpack to %d bytes, and %d are the most", c.uncompressed, r.opt.MaxChunk)
	}
	switch c.compression {
	case noCompression:
		r.content = append(r.content[:0], c.records...)
	case zstdName:
		var err error
		if r.content, err = r.zstd.DecodeAll(c.records, r.content[:0]); err != nil {
			return fmt.Errorf("it does not unpack: %w", err)
		}
	default:
		return fmt.Errorf("it is compressed with %q; this program reads zstd, so convert the file", c.compression)
	}
	if uint64(len(r.content)) != c.uncompressed {
		return fmt.Errorf("it unpacks to %d bytes and should to %d", len(r.content), c.uncompressed)
	}
	if c.crc != 0 && c.crc != crc32.ChecksumIEEE(r.content) {
		return errors.New("it fails its checksum")
	}
	return nil
}

// eachRecord calls do for the records of a chunk's content.
func eachRecord(b []byte, do func(op byte, content []byte) error) error {
	for len(b) > 0 {
		if len(b) < prefixSize {
			return errShort
		}
		n := order.Uint64(b[1:])
		if n > uint64(len(b)-prefixSize) {
			return errShort
		}
		if err := do(b[0], b[prefixSize:prefixSize+n]); err != nil {
			return err
		}
		b = b[prefixSize+n:]
	}
	return nil
}

// checkRecords goes through a chunk's content before anybody sees it.
func checkRecords(b []byte) (schemas []*Schema, channels []*Channel, err error) {
	err = eachRecord(b, func(op byte, b []byte) error {
		switch op {
		case opSchema:
			s, bad := parseSchema(b)
			schemas = append(schemas, s)
			return bad
		case opChannel:
			c, bad := parseChannel(b)
			channels = append(channels, c)
			return bad
		case opMessage:
			var m Message
			return parseMessage(b, &m)
		}
		return nil
	})
	return schemas, channels, err
}

// message gives one message.
func (r *reader) message(m *Message, at int64) error {
	c := r.channels[m.ChannelID]
	if c == nil {
		r.problem(at, "a message of channel %d, which nothing describes", m.ChannelID)
		r.named++
		return nil
	}
	if m.LogTime < r.opt.From || m.LogTime > r.opt.To {
		r.skipped = true
		return nil
	}
	if r.Messages == 0 {
		r.Start, r.End = m.LogTime, m.LogTime
	}
	r.Start, r.End = min(r.Start, m.LogTime), max(r.End, m.LogTime)
	r.Messages++
	r.PerTopic[c.Topic]++
	if r.h.Message == nil {
		return nil
	}
	return r.h.Message(r.schemas[c.SchemaID], c, m)
}

// index counts the messages of a lost chunk.
func (r *reader) index(b []byte) {
	f := fields{b: b}
	f.u16()
	n := f.u32()
	switch {
	case f.err != nil || uint64(n) > uint64(len(f.b)) || n%indexEntry != 0:
		r.problem(r.at, "a message index: %v", errShort)
	case r.lostIn:
		r.named += uint64(n / indexEntry)
	}
}

// How much of a file is looked through at a time, bytes: little at first, for what
// is sought is often near.
const (
	resyncFirst = 4 << 10
	resyncMost  = 1 << 20
)

// resync moves r.at to the next chunk, data end or index after what makes no
// sense there, and reports false at the end of the file. What lies between is
// lost.
func (r *reader) resync() (found bool, err error) {
	r.lostIn = true
	const look = prefixSize + chunkHead + 4 + 8 // of a chunk, up to its content
	for from, step := r.at+1, int64(resyncFirst); from < r.size-prefixSize; from, step = from+step, min(2*step, resyncMost) {
		n := min(step+look, r.size-from)
		if int64(len(r.window)) < n {
			r.window = make([]byte, n)
		}
		b := r.window[:n]
		if err := r.read(b, from); err != nil {
			return false, err
		}
		for i := range min(step, n) {
			if b[i] != opChunk && b[i] != opDataEnd && b[i] != opMessageIndex {
				continue
			}
			if looksWhole(b[i:], r.size-from-i) {
				r.at = from + i
				return true, nil
			}
		}
	}
	return false, nil
}

// looksWhole reports whether b, of which left bytes are in the file, begins with
// a record that stands up to its own numbers.
func looksWhole(b []byte, left int64) bool {
	if len(b) < prefixSize {
		return false
	}
	n := order.Uint64(b[1:])
	if n > uint64(left-prefixSize) {
		return false
	}
	f := fields{b: b[prefixSize:]}
	switch b[0] {
	case opDataEnd:
		// Followed by the summary's first record or the footer.
		return n == 4 && len(b) > prefixSize+4 && bytes.IndexByte([]byte{opSchema, opChannel, opStatistics, opFooter}, b[prefixSize+4]) >= 0
	case opMessageIndex:
		f.u16()
		entries := f.u32()
		return f.err == nil && n >= 6 && uint64(entries) == n-6 && entries%indexEntry == 0 && entries > 0
	}
	start, end := f.u64(), f.u64()
	f.u64()
	f.u32()
	name := f.u32()
	if f.err != nil || start > end || name > 4 {
		return false
	}
	compression := string(f.bytes(uint64(name)))
	size := f.u64()
	known := compression == noCompression || compression == zstdName || compression == "lz4"
	return f.err == nil && known && n >= chunkHead+uint64(name)+8 && size == n-(chunkHead+uint64(name)+8)
}
