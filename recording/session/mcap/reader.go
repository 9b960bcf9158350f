package mcap

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
)

// Options of Read.
type Options struct {
	// From and To bound the log times of messages, ns; To 0 is no bound. Chunks
	// that hold nothing between are not read.
	From, To uint64
	// MaxChunk is the largest content of a chunk, uncompressed bytes, that is
	// taken: four times what the writer makes if 0.
	MaxChunk int
}

// Handler takes what Read finds, in the order of the file. A function that is nil
// is not called; an error of one ends Read. Data is valid until the function
// returns.
type Handler struct {
	Message    func(*Schema, *Channel, *Message) error // the schema may be nil
	Attachment func(*Attachment) error
	Metadata   func(*Metadata) error
}

// Problem is damage at a place of a file.
type Problem struct {
	Offset int64  // of the record, bytes
	Text   string // what is wrong
}

// maxProblems is how many of a file's problems a report lists.
const maxProblems = 100

// Report is what Read found.
type Report struct {
	Profile, Library string // of the header

	Messages   uint64
	PerTopic   map[string]uint64 // messages
	Chunks     int
	Start, End uint64 // log times of the messages, ns

	// Complete says that the file was ended by its writer: a file of which the
	// tail is missing is not.
	Complete bool
	// Lost is how many messages are known to be missing: those that indexes or the
	// statistics name and no whole chunk holds. What a cut tail held nobody knows.
	Lost       uint64
	Problems   []Problem // damage, in the file's order; the first ones
	Damaged    int       // how many problems there are
	unfinished bool      // nothing is wrong but that the writer did not end the file
	// Whole is where the last whole record ends that lies before any damage.
	Whole int64
}

// Intact reports whether the file is complete and nothing of it is damaged.
func (r *Report) Intact() bool { return r.Complete && r.Damaged == 0 && r.Lost == 0 }

// Torn reports whether something is lost of what the file once held, as far as
// that can be seen; of a file that its writer only did not end nothing is.
func (r *Report) Torn() bool { return r.Lost > 0 || r.Damaged > 0 && !r.unfinished }

// Read reads a whole file from its beginning to its end and gives what it holds to
// h. It does not trust the file: of a damaged one it gives every message of a
// chunk that is whole, looks for the next chunk after what makes no sense, and
// reports what is missing. A message whose chunk fails its checksum is not given.
// An error is h's, the storage's, or says that this is no file of version 0:
// ErrForeign, ErrVersion.
func Read(f io.ReaderAt, size int64, opt Options, h Handler) (Report, error) {
	if opt.MaxChunk == 0 {
		opt.MaxChunk = 4 * MaxChunk
	}
	if opt.To == 0 {
		opt.To = math.MaxUint64
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(opt.MaxChunk)+1<<20))
	if err != nil {
		return Report{}, fmt.Errorf("mcap: %w", err)
	}
	defer dec.Close()
	r := &reader{f: f, size: size, opt: opt, h: h, zstd: dec, schemas: map[uint16]*Schema{}, channels: map[uint16]*Channel{}}
	r.PerTopic = map[string]uint64{}
	err = r.file()
	return r.Report, err
}

// reader is one run of Read.
type reader struct {
	Report
	f    io.ReaderAt
	size int64
	opt  Options
	h    Handler
	zstd *zstd.Decoder

	schemas  map[uint16]*Schema
	channels map[uint16]*Channel
	record   []byte
	window   []byte // of resync
	content  []byte // of a chunk
	at       int64
	crc      uint32 // of all before at; holds while sound
	sound    bool
	skipped  bool   // something was not read because of From and To
	lostIn   bool   // the newest chunk is lost
	named    uint64 // messages that the indexes of lost chunks name
	total    statistics
	counted  bool // total is there
	salvaged bool // something of ours was found
	attached uint32
	metas    uint32
}

func (r *reader) problem(at int64, format string, args ...any) {
	r.Damaged++
	r.sound = false
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, Problem{at, fmt.Sprintf(format, args...)})
	}
}

// read fills b from a place of the file.
func (r *reader) read(b []byte, at int64) error {
	if _, err := r.f.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("mcap: read at byte %d: %w", at, err)
	}
	return nil
}

func (r *reader) file() error {
	head := make([]byte, len(magic))
	if r.size < int64(len(magic)) {
		if r.size > 0 {
			if err := r.read(head[:r.size], 0); err != nil {
				return err
			}
		}
		if string(head[:r.size]) != magic[:r.size] {
			return ErrForeign
		}
		r.problem(0, "the file ends within its first bytes")
		return nil
	}
	if err := r.read(head, 0); err != nil {
		return err
	}
	r.sound = true
	if version := head[versionAt]; version != magic[versionAt] && string(head[:versionAt]) == magic[:versionAt] && version > ' ' && version < 0x7f {
		return fmt.Errorf("%w: %q, and this program reads %q; use a newer one", ErrVersion, version, magic[versionAt])
	}
	if string(head) != magic {
		r.problem(0, "the first bytes are not those of MCAP")
	}
	r.at, r.Whole = int64(len(magic)), int64(len(magic))
	r.crc = crc32.ChecksumIEEE(head)
	err := r.data()
	if err == nil && !r.salvaged && string(head) != magic {
		return ErrForeign
	}
	if err == nil {
		r.account()
	}
	return err
}

// account finds out what is missing.
func (r *reader) account() {
	r.Lost = r.named
	if r.counted && !r.skipped && r.total.messages > r.Messages {
		r.Lost = max(r.Lost, r.total.messages-r.Messages)
	}
}

// data reads the data section and what follows it.
func (r *reader) data() error {
	for {
		op, n, ok, err := r.prefix()
		if err != nil {
			return err
		}
		if !ok {
			r.problem(r.at, "the file ends without its summary: it was cut, or its writer was killed")
			r.unfinished = r.Damaged == 1 && r.size == r.at
			return nil
		}
		if why := r.implausible(op, n); why != "" {
			r.problem(r.at, "%s", why)
			if found, err := r.resync(); err != nil || !found {
				return err
			}
			continue
		}
		if op == opDataEnd || op == opFooter {
			return r.tail()
		}
		if err := r.take(op, int64(n)); err != nil {
			return err
		}
		r.at += prefixSize + int64(n)
		if r.Damaged == 0 {
			r.Whole = r.at
		}
	}
}

// prefix reads opcode and length of the record at r.at; ok is false at the end.
func (r *reader) prefix() (op byte, n uint64, ok bool, err error) {
	if r.size-r.at < prefixSize {
		return 0, 0, false, nil
	}
	var b [prefixSize]byte
	if err := r.read(b[:], r.at); err != nil {
		return 0, 0, false, err
	}
	return b[0], order.Uint64(b[1:]), true, nil
}

// implausible says why a record cannot be one, "" if it can.
func (r *reader) implausible(op byte, n uint64) string {
	switch left := r.size - r.at - prefixSize; {
	case op == 0:
		return "a record of no kind: the place is empty"
	case n > uint64(left):
		return fmt.Sprintf("a %s of %d bytes, and the file has %d more: its length is wrong or the file was cut", opName(op), n, left)
	case op != opAttachment && n > uint64(r.opt.MaxChunk)+uint64(r.opt.MaxChunk)/64+1024:
		return fmt.Sprintf("a %s of %d bytes: that is too large", opName(op), n)
	}
	return ""
}

// take reads the record at r.at.
func (r *reader) take(op byte, n int64) error {
	at := r.at
	switch op {
	case opChunk:
		if skip, err := r.outside(n); err != nil || skip {
			return err
		}
	case opHeader, opSchema, opChannel, opMessage, opMessageIndex, opAttachment, opMetadata:
	default: // of a later minor version, or somebody's own
		return r.pass(prefixSize + n)
	}
	if op == opAttachment && r.h.Attachment == nil && n > int64(r.opt.MaxChunk) {
		r.attached++
		return r.pass(prefixSize + n)
	}
	b, err := r.whole(prefixSize + n)
	if err != nil {
		return err
	}
	b = b[prefixSize:]
	switch op {
	case opHeader:
		f := fields{b: b}
		r.Profile, r.Library, r.salvaged = f.string(), f.string(), f.err == nil
	case opChunk:
		return r.chunk(b)
	case opMessageIndex:
		r.index(b)
	case opMessage:
		var m Message
		if err := parseMessage(b, &m); err != nil {
			r.problem(at, "a message: %v", err)
			return nil
		}
		return r.message(&m, at)
	case opSchema, opChannel:
		if err := r.define(op, b); err != nil {
			r.problem(at, "a %s: %v", opName(op), err)
		}
	case opAttachment:
		return r.attachment(b)
	case opMetadata:
		f := fields{b: b}
		m := Metadata{Name: f.string(), Values: f.strings()}
		if f.err != nil {
			r.problem(at, "metadata: %v", f.err)
			return nil //nolint:nilerr // damage goes into the report
		}
		r.metas++
		if r.h.Metadata != nil {
			return r.h.Metadata(&m)
		}
	}
	return nil
}

// whole reads n bytes at r.at into the reader's memory.
func (r *reader) whole(n int64) ([]byte, error) {
	if int64(cap(r.record)) < n {
		r.record = make([]byte, n)
	}
	b := r.record[:n]
	if err := r.read(b, r.at); err != nil {
		return nil, err
	}
	if r.sound {
		r.crc = crc32.Update(r.crc, crc32.IEEETable, b)
	}
	return b, nil
}

// pass goes over n bytes at r.at that nobody wants.
func (r *reader) pass(n int64) error {
	if !r.sound {
		return nil
	}
	const step = 1 << 20
	for from := r.at; n > 0; {
		k := min(n, step)
		if int64(cap(r.record)) < k {
			r.record = make([]byte, k)
		}
		b := r.record[:k]
		if err := r.read(b, from); err != nil {
			return err
		}
		r.crc = crc32.Update(r.crc, crc32.IEEETable, b)
		from, n = from+k, n-k
	}
	return nil
}

// outside reports whether the chunk at r.at holds nothing between From and To.
func (r *reader) outside(n int64) (bool, error) {
	if r.opt.From == 0 && r.opt.To == math.MaxUint64 || n < chunkHead {
		return false, nil
	}
	var b [16]byte
	if err := r.read(b[:], r.at+prefixSize); err != nil {
		return false, err
	}
	if order.Uint64(b[:]) > r.opt.To || order.Uint64(b[8:]) < r.opt.From {
		r.skipped, r.sound, r.salvaged = true, false, true
		r.lostIn = false
		return true, nil
	}
	return false, nil
}

func (r *reader) define(op byte, b []byte) error {
	if op == opSchema {
		s, err := parseSchema(b)
		if err == nil {
			r.schemas[s.ID] = s
		}
		return err
	}
	c, err := parseChannel(b)
	if err == nil {
		r.channels[c.ID] = c
	}
	return err
}

func (r *reader) attachment(b []byte) error {
	f := fields{b: b}
	a := Attachment{LogTime: f.u64(), CreateTime: f.u64(), Name: f.string(), MediaType: f.string()}
	a.Data = f.bytes(f.u64())
	covered := len(b) - len(f.b)
	sum := f.u32()
	switch {
	case f.err != nil:
		r.problem(r.at, "an attachment: %v", f.err)
		return nil //nolint:nilerr // damage goes into the report
	case sum != 0 && sum != crc32.ChecksumIEEE(b[:covered]):
		r.problem(r.at, "attachment %q fails its checksum", a.Name)
		return nil
	}
	r.attached++
	if r.h.Attachment != nil {
		return r.h.Attachment(&a)
	}
	return nil
}
