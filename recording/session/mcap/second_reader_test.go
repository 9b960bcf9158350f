package mcap

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// second reads a file the other way round, written from the specification and
// sharing nothing with the package: from the footer to the summary, from there to
// chunks, message indexes and messages. It ends the test at whatever the
// specification does not allow.
type second struct {
	t    testing.TB
	file []byte

	schemas  map[uint16]string // name
	channels map[uint16]string // topic
	messages []secondMessage
	attached map[string]string
	metadata []string
	counts   *cursor // statistics
}

type secondMessage struct {
	topic    string
	seq      uint32
	log, pub uint64
	data     string
}

// cursor takes fields off the front of b.
type cursor struct {
	t testing.TB
	b []byte
}

func (c *cursor) take(n uint64) []byte {
	c.t.Helper()
	if uint64(len(c.b)) < n {
		c.t.Fatalf("%d bytes are left where a field has %d", len(c.b), n)
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}
func (c *cursor) n16() uint16    { return binary.LittleEndian.Uint16(c.take(2)) }
func (c *cursor) n32() uint32    { return binary.LittleEndian.Uint32(c.take(4)) }
func (c *cursor) n64() uint64    { return binary.LittleEndian.Uint64(c.take(8)) }
func (c *cursor) text() string   { return string(c.take(uint64(c.n32()))) }
func (c *cursor) block() *cursor { return &cursor{c.t, c.take(uint64(c.n32()))} }

// record takes a whole record off the front.
func (c *cursor) record() (op byte, content *cursor, length uint64) {
	op = c.take(1)[0]
	n := c.n64()
	return op, &cursor{c.t, c.take(n)}, 9 + n
}

func readSecond(t testing.TB, file []byte) *second {
	t.Helper()
	s := &second{t: t, file: file, schemas: map[uint16]string{}, channels: map[uint16]string{}, attached: map[string]string{}}
	const mark = "\x89MCAP\x30\r\n"
	if !bytes.HasPrefix(file, []byte(mark)) || !bytes.HasSuffix(file, []byte(mark)) {
		t.Fatal("magic")
	}
	foot := &cursor{t, file[len(file)-8-29 : len(file)-8]}
	op, f, _ := foot.record()
	if op != 2 || len(foot.b) != 0 {
		t.Fatalf("the footer is a record 0x%02x", op)
	}
	start, offsets, sum := f.n64(), f.n64(), f.n32()
	if got := crc32.ChecksumIEEE(file[start : len(file)-8-4]); got != sum {
		t.Fatalf("summary crc %08x, in the footer %08x", got, sum)
	}
	end := &cursor{t, file[start-13 : start]}
	op, f, _ = end.record()
	if sum := f.n32(); op != 0x0F || sum != crc32.ChecksumIEEE(file[:start-13]) {
		t.Fatalf("data end: record 0x%02x, crc %08x", op, sum)
	}
	s.groups(start, offsets)
	s.count()
	return s
}

// count compares the statistics with what was found.
func (s *second) count() {
	f := s.counts
	if f == nil {
		s.t.Fatal("no statistics")
	}
	messages, schemas, channels, attached, metas, _ := f.n64(), f.n16(), f.n32(), f.n32(), f.n32(), f.n32()
	if int(messages) != len(s.messages) || int(schemas) != len(s.schemas) || int(channels) != len(s.channels) || int(attached) != len(s.attached) || int(metas) != len(s.metadata) {
		s.t.Fatalf("statistics: %d messages, %d schemas, %d channels, %d attachments, %d metadata; there are %d, %d, %d, %d, %d",
			messages, schemas, channels, attached, metas, len(s.messages), len(s.schemas), len(s.channels), len(s.attached), len(s.metadata))
	}
	first, last := f.n64(), f.n64()
	perTopic := map[string]uint64{}
	for _, m := range s.messages {
		if m.log < first || m.log > last {
			s.t.Fatalf("a message at %d, the statistics say %d to %d", m.log, first, last)
		}
		perTopic[m.topic]++
	}
	for c := f.block(); len(c.b) > 0; {
		topic, n := s.channels[c.n16()], c.n64()
		if perTopic[topic] != n {
			s.t.Fatalf("statistics: %d messages on %s, there are %d", n, topic, perTopic[topic])
		}
	}
}

// groups follows the summary offsets; every byte of the summary is in one group.
func (s *second) groups(start, offsets uint64) {
	t := s.t
	c := &cursor{t, s.file[offsets : len(s.file)-8-29]}
	at := start
	if len(c.b) == 0 {
		t.Fatal("no summary offsets")
	}
	seen := map[byte]bool{}
	for len(c.b) > 0 {
		op, f, _ := c.record()
		group, from, n := f.take(1)[0], f.n64(), uint64(0)
		n = f.n64()
		if op != 0x0E || from != at || seen[group] {
			t.Fatalf("summary offset: record 0x%02x, group 0x%02x at %d, want %d", op, group, from, at)
		}
		seen[group] = true
		for g := (&cursor{t, s.file[from : from+n]}); len(g.b) > 0; {
			op, f, _ := g.record()
			if op != group {
				t.Fatalf("a record 0x%02x in group 0x%02x", op, group)
			}
			s.summary(op, f)
		}
		at += n
	}
	if at != offsets {
		t.Fatalf("the groups end at %d, the summary at %d", at, offsets)
	}
}

func (s *second) summary(op byte, f *cursor) {
	t := s.t
	switch op {
	case 3:
		id := f.n16()
		s.schemas[id] = f.text()
	case 4:
		id, schema := f.n16(), f.n16()
		if _, ok := s.schemas[schema]; schema != 0 && !ok {
			t.Fatalf("channel %d has schema %d, which is not before it", id, schema)
		}
		s.channels[id] = f.text()
	case 8:
		s.chunk(f)
	case 0x0A:
		offset, n, log, created, size := f.n64(), f.n64(), f.n64(), f.n64(), f.n64()
		name, media := f.text(), f.text()
		of, a, length := (&cursor{t, s.file[offset:]}).record()
		covered := a.b[:len(a.b)-4]
		if of != 9 || length != n || a.n64() != log || a.n64() != created || a.text() != name || a.text() != media || a.n64() != size {
			t.Fatalf("attachment %s is not what its index says", name)
		}
		s.attached[name] = string(a.take(size))
		if a.n32() != crc32.ChecksumIEEE(covered) {
			t.Fatalf("attachment %s: crc", name)
		}
	case 0x0D:
		offset, n, name := f.n64(), f.n64(), f.text()
		of, m, length := (&cursor{t, s.file[offset:]}).record()
		if of != 0x0C || length != n || m.text() != name {
			t.Fatalf("metadata %s is not what its index says", name)
		}
		s.metadata = append(s.metadata, name)
	case 0x0B:
		s.counts = f
	default:
		t.Fatalf("a record 0x%02x in the summary", op)
	}
}

// chunk goes from a chunk's index to its messages by the message indexes.
func (s *second) chunk(f *cursor) {
	t := s.t
	start, end, offset, n := f.n64(), f.n64(), f.n64(), f.n64()
	places := f.block()
	indexed, compression, packed, unpacked := f.n64(), f.text(), f.n64(), f.n64()
	op, c, length := (&cursor{t, s.file[offset:]}).record()
	if op != 6 || length != n || c.n64() != start || c.n64() != end || c.n64() != unpacked {
		t.Fatalf("the chunk at %d is not what its index says", offset)
	}
	sum := c.n32()
	if c.text() != compression || compression != "zstd" || c.n64() != packed || uint64(len(c.b)) != packed {
		t.Fatalf("the chunk at %d: compression", offset)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	records, err := d.DecodeAll(c.b, nil)
	if err != nil || uint64(len(records)) != unpacked || crc32.ChecksumIEEE(records) != sum {
		t.Fatalf("the chunk at %d: %v, %d bytes", offset, err, len(records))
	}
	described := map[uint16]bool{}
	inChunk := 0
	for r := (&cursor{t, records}); len(r.b) > 0; {
		switch op, f, _ := r.record(); op {
		case 4:
			described[f.n16()] = true
		case 5:
			if id := f.n16(); !described[id] {
				t.Fatalf("the chunk at %d does not describe channel %d", offset, id)
			}
			inChunk++
		}
	}
	var bytesOfIndexes uint64
	for at := offset + n; len(places.b) > 0; {
		id, place := places.n16(), places.n64()
		if place != at {
			t.Fatalf("message index of channel %d at %d, want %d", id, place, at)
		}
		op, f, length := (&cursor{t, s.file[place:]}).record()
		if op != 7 || f.n16() != id {
			t.Fatalf("at %d is no message index of channel %d", place, id)
		}
		last := uint64(0)
		for e := f.block(); len(e.b) > 0; inChunk-- {
			log, begins := e.n64(), e.n64()
			op, m, _ := (&cursor{t, records[begins:]}).record()
			if op != 5 || m.n16() != id || log < last || log < start || log > end {
				t.Fatalf("the index of channel %d names byte %d", id, begins)
			}
			last = log
			got := secondMessage{topic: s.channels[id], seq: m.n32(), log: m.n64(), pub: m.n64(), data: string(m.b)}
			if got.log != log {
				t.Fatalf("a message of %d is in the index at %d", got.log, log)
			}
			s.messages = append(s.messages, got)
		}
		at, bytesOfIndexes = at+length, bytesOfIndexes+length
	}
	if bytesOfIndexes != indexed || inChunk != 0 {
		t.Fatalf("the chunk at %d: indexes of %d bytes, named %d; %d messages without an entry", offset, bytesOfIndexes, indexed, inChunk)
	}
}
