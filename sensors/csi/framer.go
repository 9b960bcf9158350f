package csi

// verdict says what a place in a stream holds.
type verdict uint8

const (
	noRecord  verdict = iota
	undecided         // more bytes are needed to tell
	isRecord          // its fields agree with each other: this does not happen by chance
	passing           // a length and a kind that may be: believed only where a record is due
	doubtful          // a length that may be, and fields that disagree
)

// framer finds the records of a format in a byte stream, without checksums and
// whatever the damage: where a record is due and none is, it searches for the
// next whose fields agree. What it decides depends on the bytes alone, not on
// how they were split. It is not safe for concurrent use.
type framer struct {
	// judge tells what b starts with, and the record's whole length.
	judge func(b []byte) (n int, v verdict)
	// take gets each whole record, good or passing.
	take   func(record []byte)
	reject func(outcome string)
	most   int // bytes of a record

	buf     []byte
	locked  bool // buf starts where a record is due
	junk    uint64
	records uint64
}

// JunkBytes returns how many bytes belonged to no record.
func (f *framer) JunkBytes() uint64 { return f.junk }

// Records returns how many records were found, good and bad.
func (f *framer) Records() uint64 { return f.records }

// Feed takes the next bytes of the stream.
func (f *framer) Feed(p []byte) {
	for len(p) > 0 {
		n := min(len(p), 4*f.most)
		f.buf = append(f.buf, p[:n]...)
		p = p[n:]
		f.process(false)
	}
}

// Finish says that the stream has ended.
func (f *framer) Finish() {
	f.process(true)
	if f.locked && len(f.buf) > 0 {
		f.reject(OutcomeCutRecord)
	}
}

// OutcomeCutRecord counts a record that the end of a stream cuts.
const OutcomeCutRecord = "cut_record"

// process consumes the buffer as far as its bytes allow a decision.
func (f *framer) process(end bool) {
	pos := 0
	for f.step(&pos, end) {
	}
	f.buf = f.buf[:copy(f.buf, f.buf[pos:])]
}

// step decides about one place and reports whether to go on.
func (f *framer) step(pos *int, end bool) bool {
	b := f.buf[*pos:]
	if len(b) == 0 {
		return false
	}
	n, v := f.judge(b)
	if v == undecided {
		return false
	}
	switch {
	case v == isRecord, v == passing && f.locked:
		if len(b) < n {
			f.locked = true
			return false
		}
		f.take(b[:n])
	case v == doubtful && f.locked:
		// Its length is believed if something follows that may be a record.
		follows := undecided
		if len(b) > n {
			_, follows = f.judge(b[n:])
		}
		switch {
		case follows == undecided && !end:
			return false
		case follows == noRecord, len(b) < n:
			return f.lose(pos)
		}
		f.reject(OutcomeBadRecord)
	case f.locked:
		return f.lose(pos)
	default:
		*pos++
		f.junk++
		return true
	}
	f.locked = true
	f.records++
	*pos += n
	return true
}

// lose begins the search.
func (f *framer) lose(pos *int) bool {
	f.reject(OutcomeLostSync)
	f.locked = false
	*pos++
	f.junk++
	return true
}
