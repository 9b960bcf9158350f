package mcap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sample writes a file of 4 chunks with 6 messages each, 3 on each of two topics,
// and an attachment and metadata between the second and the third. It returns
// where each chunk begins.
func sample(t testing.TB) (file []byte, chunks []int64) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, "posefuse", "test")
	if err != nil {
		t.Fatal(err)
	}
	schema, _ := w.AddSchema("a.Thing", "jsonschema", []byte(`{"type":"object"}`))
	var ids []uint16
	for _, topic := range []string{"/a", "/b"} {
		id, _ := w.AddChannel(schema, topic, "json", map[string]string{"unit": "m"})
		ids = append(ids, id)
	}
	for c := range 4 {
		chunks = append(chunks, w.Offset())
		for i := range 6 {
			n := 6*c + i
			err = w.Write(&Message{ChannelID: ids[i%2], Sequence: uint32(n), LogTime: uint64(1000 + n), PublishTime: uint64(900 + n), Data: fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, strings.Repeat("lorem ", 20))})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err = w.Flush(); err != nil {
			t.Fatal(err)
		}
		if c == 1 {
			err = errors.Join(w.Attach(&Attachment{LogTime: 1, Name: "rig.json", MediaType: "application/json", Data: []byte("{}")}),
				w.AddMetadata(&Metadata{Name: "room", Values: map[string]string{"b": "2", "a": "1"}}))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), chunks
}

// readAll returns the sequence numbers that survive, in order.
func readAll(t testing.TB, file []byte) (seqs []int, r Report, err error) {
	t.Helper()
	r, err = Read(bytes.NewReader(file), int64(len(file)), Options{}, Handler{Message: func(s *Schema, c *Channel, m *Message) error {
		if s == nil || s.Name != "a.Thing" || c.Metadata["unit"] != "m" || !bytes.Contains(m.Data, fmt.Appendf(nil, `"n":%d,`, m.Sequence)) {
			t.Fatalf("message %d on %s: %q", m.Sequence, c.Topic, m.Data)
		}
		seqs = append(seqs, int(m.Sequence))
		return nil
	}})
	return seqs, r, err
}

// span lists the numbers of half-open intervals.
func span(bounds ...int) (out []int) {
	for b := 0; b < len(bounds); b += 2 {
		for i := bounds[b]; i < bounds[b+1]; i++ {
			out = append(out, i)
		}
	}
	return out
}

// TestDamage is the table of what is done to the bytes of a file and which of its
// 24 messages survive.
func TestDamage(t *testing.T) {
	whole, chunks := sample(t)
	indexOf := func(c int) int64 { // where the indexes after a chunk begin
		return chunks[c] + prefixSize + int64(order.Uint64(whole[chunks[c]+1:]))
	}
	for _, c := range []struct {
		name   string
		damage func(b []byte) []byte
		want   []int
		lost   uint64 // that the reader knows of
		says   string
	}{
		{"nothing", func(b []byte) []byte { return b }, span(0, 24), 0, ""},
		{"no footer", func(b []byte) []byte { return b[:len(b)-fileEndSize] }, span(0, 24), 0, "footer or the last bytes"},
		{"no summary", func(b []byte) []byte { return b[:indexOf(3)+2*63+prefixSize+4] }, span(0, 24), 0, "ends within its summary"},
		{"last magic cut", func(b []byte) []byte { return b[:len(b)-3] }, span(0, 24), 0, "footer or the last bytes"},
		{"tail cut in a chunk", func(b []byte) []byte { return b[:chunks[3]+60] }, span(0, 18), 0, "length is wrong or the file was cut"},
		{"tail cut in an index", func(b []byte) []byte { return b[:indexOf(2)+12] }, span(0, 18), 0, "a message index of 54 bytes"},
		{"tail cut between chunks", func(b []byte) []byte { return b[:chunks[2]] }, span(0, 12), 0, "ends without its summary"},
		{"only the magic", func(b []byte) []byte { return b[:8] }, nil, 0, "ends without its summary"},
		{"half the magic", func(b []byte) []byte { return b[:4] }, nil, 0, "within its first bytes"},
		{"no bytes", func(b []byte) []byte { return b[:0] }, nil, 0, "within its first bytes"},
		{"bad first magic", func(b []byte) []byte { b[0] ^= 0xff; return b }, span(0, 24), 0, "the first bytes"},
		{"bad last magic", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, span(0, 24), 0, "the last bytes"},
		{"chunk length far too large", func(b []byte) []byte { b[chunks[1]+8] = 0x7f; return b }, span(0, 6, 12, 24), 6, "its length is wrong"},
		{"chunk length too small", func(b []byte) []byte { b[chunks[1]+1] -= 7; return b }, span(0, 6, 12, 24), 6, "a chunk"},
		{"chunk length 0", func(b []byte) []byte { order.PutUint64(b[chunks[1]+1:], 0); return b }, span(0, 6, 12, 24), 6, "a field reaches beyond"},
		{"chunk of another opcode", func(b []byte) []byte { b[chunks[1]] = 0x86; return b }, span(0, 6, 12, 24), 6, "data section fails its checksum"},
		{"bit in a chunk", func(b []byte) []byte { b[indexOf(1)-20] ^= 4; return b }, span(0, 6, 12, 24), 6, "a chunk"},
		{"bad crc", func(b []byte) []byte { b[chunks[1]+prefixSize+24] ^= 1; return b }, span(0, 6, 12, 24), 6, "fails its checksum"},
		{"chunk content zeroed", func(b []byte) []byte { clear(b[chunks[1]+60 : indexOf(1)]); return b }, span(0, 6, 12, 24), 6, "does not unpack"},
		{"chunk zeroed", func(b []byte) []byte { clear(b[chunks[1]:indexOf(1)]); return b }, span(0, 6, 12, 24), 6, "the place is empty"},
		{"chunk and indexes zeroed", func(b []byte) []byte { clear(b[chunks[2]:chunks[3]]); return b }, span(0, 12, 18, 24), 6, "the place is empty"},
		{"two chunks zeroed", func(b []byte) []byte { clear(b[chunks[0]:chunks[1]]); clear(b[chunks[3]:indexOf(3)]); return b }, span(6, 18), 12, "the place is empty"},
		{"chunk zeroed and tail cut", func(b []byte) []byte { clear(b[chunks[1]:indexOf(1)]); return b[:indexOf(3)] }, span(0, 6, 12, 24), 6, "ends without its summary"},
		{"index zeroed", func(b []byte) []byte { clear(b[indexOf(0):chunks[1]]); return b }, span(0, 24), 0, "the place is empty"},
		{"header's length", func(b []byte) []byte { order.PutUint64(b[9:], 1<<40); return b }, span(0, 24), 0, "a header of"},
		{"bytes inserted", func(b []byte) []byte { return slices.Insert(b, int(chunks[2]), 6, 6, 6, 0, 6) }, span(0, 24), 0, "its length is wrong"},
		{"bytes taken out", func(b []byte) []byte { return slices.Delete(b, int(chunks[2]+5), int(chunks[2]+15)) }, span(0, 12, 18, 24), 6, ""},
		{"attachment's bytes", func(b []byte) []byte { i := bytes.Index(b, []byte("rig.json")); b[i] = 'R'; return b }, span(0, 24), 0, `attachment "Rig.json" fails`},
		{"summary", func(b []byte) []byte { b[len(b)-100] ^= 1; return b }, span(0, 24), 0, "summary fails its checksum"},
		{"footer's places", func(b []byte) []byte { b[len(b)-8-12-8] ^= 1; return b }, span(0, 24), 0, "places where the summary is not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seqs, r, err := readAll(t, c.damage(slices.Clone(whole)))
			if err != nil || !slices.Equal(seqs, c.want) || r.Messages != uint64(len(c.want)) || r.Lost != c.lost {
				t.Fatalf("%v: %v (%d, %d lost), want %v, %d lost; %+v", err, seqs, r.Messages, r.Lost, c.want, c.lost, r.Problems)
			}
			if r.Intact() != (c.name == "nothing") {
				t.Errorf("intact: %v, %+v", r.Intact(), r)
			}
			var said []string
			for _, p := range r.Problems {
				said = append(said, fmt.Sprintf("%d: %s", p.Offset, p.Text))
			}
			if !strings.Contains(strings.Join(said, "\n"), c.says) {
				t.Errorf("says %q, want %q", said, c.says)
			}
		})
	}
}

// TestRefused: files of which nothing can be read.
func TestRefused(t *testing.T) {
	whole, _ := sample(t)
	later := slices.Clone(whole)
	later[versionAt] = '1'
	for _, c := range []struct {
		name string
		file []byte
		want error
	}{
		{"later version", later, ErrVersion},
		{"rosbag", []byte("#ROSBAG V2.0\n" + strings.Repeat("\x00ABC", 100)), ErrForeign},
		{"zeros", make([]byte, 5000), ErrForeign},
		{"text", []byte("a"), ErrForeign},
	} {
		if _, _, err := readAll(t, c.file); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestEveryCut: of a file cut anywhere every message of a chunk that is whole
// survives, and where the whole part ends is said.
func TestEveryCut(t *testing.T) {
	whole, chunks := sample(t)
	for n := range len(whole) {
		seqs, r, err := readAll(t, whole[:n])
		want := 0
		for _, at := range chunks {
			if int64(n) >= at+prefixSize+int64(order.Uint64(whole[at+1:])) {
				want += 6
			}
		}
		if err != nil || !slices.Equal(seqs, span(0, want)) || r.Intact() || r.Whole > int64(n) {
			t.Fatalf("%d of %d bytes: %v, %v, want %d; %+v", n, len(whole), err, seqs, want, r)
		}
		if _, again, _ := readAll(t, whole[:r.Whole]); n > len(magic) && (again.Messages != r.Messages || again.Damaged > 1) {
			t.Fatalf("%d bytes are whole of %d: %+v", r.Whole, n, again)
		}
	}
}

// generated writes a random file and returns what is in it.
func generated(t *rapid.T) (file []byte, want []secondMessage) {
	var b bytes.Buffer
	w, err := NewWriter(&b, rapid.String().Draw(t, "profile"), "")
	if err != nil {
		t.Fatal(err)
	}
	var topics []string
	for i := range rapid.IntRange(1, 4).Draw(t, "channels") {
		schema := uint16(0)
		if rapid.Bool().Draw(t, "schema") {
			schema, _ = w.AddSchema(fmt.Sprint("s", i), "jsonschema", []byte("{}"))
		}
		topics = append(topics, fmt.Sprintf("/%d%s", i, rapid.String().Draw(t, "topic")))
		if _, err = w.AddChannel(schema, topics[i], "json", map[string]string{rapid.String().Draw(t, "key"): "v"}); err != nil {
			t.Fatal(err)
		}
	}
	for range rapid.IntRange(0, 40).Draw(t, "steps") {
		switch rapid.SampledFrom([]string{"write", "write", "write", "write", "flush", "attach", "metadata"}).Draw(t, "step") {
		case "flush":
			err = w.Flush()
		case "attach":
			err = w.Attach(&Attachment{Name: fmt.Sprint("f", w.Offset()), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "file")})
		case "metadata":
			err = w.AddMetadata(&Metadata{Name: rapid.String().Draw(t, "name"), Values: map[string]string{"k": ""}})
		default:
			id := rapid.IntRange(1, len(topics)).Draw(t, "channel")
			m := Message{ChannelID: uint16(id), Sequence: rapid.Uint32().Draw(t, "seq"), LogTime: rapid.Uint64().Draw(t, "log"), PublishTime: rapid.Uint64().Draw(t, "published"), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")}
			err = w.Write(&m)
			want = append(want, secondMessage{topics[id-1], m.Sequence, m.LogTime, m.PublishTime, string(m.Data)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), want
}

func sorted(m []secondMessage) []secondMessage {
	m = slices.Clone(m)
	slices.SortFunc(m, func(a, b secondMessage) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.log, b.log), cmp.Compare(a.seq, b.seq), cmp.Compare(a.pub, b.pub), strings.Compare(a.data, b.data))
	})
	return m
}

// TestBothReaders: whatever is written, the package's reader gives in the order of
// writing, and the second one, from the indexes, the same.
func TestBothReaders(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		file, want := generated(rt)
		var got []secondMessage
		r, err := Read(bytes.NewReader(file), int64(len(file)), Options{}, Handler{Message: func(_ *Schema, c *Channel, m *Message) error {
			got = append(got, secondMessage{c.Topic, m.Sequence, m.LogTime, m.PublishTime, string(m.Data)})
			return nil
		}})
		if err != nil || !r.Intact() || !slices.Equal(got, want) || r.Whole != int64(len(file)) {
			rt.Fatalf("%v, %+v\n%v\nwant %v", err, r, got, want)
		}
		if other := readSecond(t, file); !slices.Equal(sorted(other.messages), sorted(want)) {
			rt.Fatalf("the second reader has %v\nwant %v", other.messages, want)
		}
		var again bytes.Buffer
		if r, err = Recover(bytes.NewReader(file), int64(len(file)), &again); err != nil || !r.Intact() {
			rt.Fatalf("recover: %v, %+v", err, r)
		}
		if other := readSecond(t, again.Bytes()); !slices.Equal(sorted(other.messages), sorted(want)) {
			rt.Fatalf("the recovered file has %v\nwant %v", other.messages, want)
		}
	})
}

// TestRecoverWritesAWholeFile of what is left of a damaged one.
func TestRecoverWritesAWholeFile(t *testing.T) {
	whole, chunks := sample(t)
	clear(whole[chunks[1]+60 : chunks[1]+200])
	whole = whole[:chunks[3]+70]
	var first, second bytes.Buffer
	r, err := Recover(bytes.NewReader(whole), int64(len(whole)), &first)
	if err != nil || r.Messages != 12 || r.Profile != "posefuse" {
		t.Fatalf("%v, %+v", err, r)
	}
	seqs, again, err := readAll(t, first.Bytes())
	if err != nil || !again.Intact() || !slices.Equal(seqs, span(0, 6, 12, 18)) {
		t.Fatalf("%v, %v, %+v", err, seqs, again)
	}
	if other := readSecond(t, first.Bytes()); other.attached["rig.json"] != "{}" || len(other.metadata) != 1 {
		t.Errorf("%v, %v", other.attached, other.metadata)
	}
	if _, err = Recover(bytes.NewReader(whole), int64(len(whole)), &second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("recovered twice: %v, %d and %d bytes", err, first.Len(), second.Len())
	}
}

func TestReadBetweenTimes(t *testing.T) {
	whole, _ := sample(t)
	var got []int
	r, err := Read(bytes.NewReader(whole), int64(len(whole)), Options{From: 1008, To: 1013}, Handler{Message: func(_ *Schema, _ *Channel, m *Message) error {
		got = append(got, int(m.Sequence))
		return nil
	}})
	if err != nil || !r.Intact() || !slices.Equal(got, span(8, 14)) || r.Chunks != 2 {
		t.Errorf("%v, %v, %+v", err, got, r)
	}
}

// failing takes a number of bytes, then no more.
type failing struct{ left int }

var errFull = errors.New("no space left")

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriterKeepsItsError(t *testing.T) {
	w, err := NewWriter(&failing{left: 40}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	id, _ := w.AddChannel(0, "/a", "json", nil)
	before := w.Offset()
	if err := w.Write(&Message{ChannelID: id, Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"flush": w.Flush(), "write": w.Write(&Message{ChannelID: id}), "close": w.Close(), "attach": w.Attach(&Attachment{})} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.Offset() != before {
		t.Errorf("%d bytes written, %d of them whole", w.Offset(), before)
	}
	if _, err := NewWriter(&failing{}, "", ""); !errors.Is(err, errFull) {
		t.Errorf("begin: %v", err)
	}
}

func TestWriterRefuses(t *testing.T) {
	w, err := NewWriter(&bytes.Buffer{}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddChannel(3, "/a", "json", nil); err == nil {
		t.Error("a channel of a schema that is not there")
	}
	if err := w.Write(&Message{ChannelID: 1}); err == nil {
		t.Error("a message of a channel that is not there")
	}
	id, _ := w.AddChannel(0, "/a", "json", nil)
	if err := w.Write(&Message{ChannelID: id, Data: make([]byte, MaxChunk/2+1)}); err == nil {
		t.Error("a message larger than half a chunk")
	}
	if err := w.Write(&Message{ChannelID: id, Data: []byte("x")}); err != nil {
		t.Error(err)
	}
}

// FuzzRead: whatever the bytes, reading ends, takes bounded memory, and what is
// recovered is whole and holds as many messages.
func FuzzRead(f *testing.F) {
	whole, chunks := sample(f)
	f.Add(whole)
	f.Add(whole[:chunks[3]+20])
	bad := slices.Clone(whole)
	clear(bad[chunks[1]:chunks[2]])
	f.Add(bad)
	f.Add([]byte(magic + "\x06\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		opt := Options{MaxChunk: 1 << 20}
		r, err := Read(bytes.NewReader(file), int64(len(file)), opt, Handler{})
		if err != nil {
			return
		}
		if len(r.Problems) > maxProblems || r.Whole > int64(len(file)) || r.Intact() && r.Damaged > 0 {
			t.Fatalf("%+v", r)
		}
		var out bytes.Buffer
		first, err := Recover(bytes.NewReader(file), int64(len(file)), &out)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read(bytes.NewReader(out.Bytes()), int64(out.Len()), Options{}, Handler{})
		if err != nil || !again.Intact() || again.Messages != first.Messages {
			t.Fatalf("recovered: %v, %+v, of %+v", err, again, first)
		}
	})
}
