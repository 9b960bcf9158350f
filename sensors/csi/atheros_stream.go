package csi

import (
	"encoding/binary"
	"errors"
)

// atherosRun is how many records in a row prove a byte order, or a place to
// resume after damage if the first of them has no CSI.
const atherosRun = 3

// AtherosDecoder turns the byte stream of an Atheros log into records. It
// finds the byte order by itself, skips junk before the first record and
// resynchronises after damage. What it decides depends on the bytes alone, not
// on how they were split. It is not safe for concurrent use.
//
// A record carries no checksum: if bytes are lost inside one, it is delivered
// with wrong contents and the damage is noticed at the next.
type AtherosDecoder struct {
	emit   func(*AtherosRecord)
	reject func(outcome string)

	buf     []byte
	order   binary.ByteOrder // nil until found
	locked  bool             // buf starts with a record
	junk    uint64
	records uint64
}

// Outcomes of the Atheros decoder besides a record.
const (
	OutcomeLostSync  = "lost_sync"  // the stream does not continue with a record
	OutcomeBadRecord = "bad_record" // its length is right and its CSI is not: split over records, or damaged
)

// errUndecided means that more bytes are needed.
var errUndecided = errors.New("more bytes needed")

// NewAtherosDecoder returns a decoder for one stream. Both functions are
// called from Feed and Finish and must not be nil.
func NewAtherosDecoder(emit func(*AtherosRecord), reject func(outcome string)) *AtherosDecoder {
	return &AtherosDecoder{emit: emit, reject: reject}
}

// JunkBytes returns how many bytes belonged to no record.
func (d *AtherosDecoder) JunkBytes() uint64 { return d.junk }

// Records returns how many records were found, good and bad.
func (d *AtherosDecoder) Records() uint64 { return d.records }

// Feed takes the next bytes of the stream.
func (d *AtherosDecoder) Feed(p []byte) {
	for len(p) > 0 {
		n := min(len(p), 4*MaxAtherosRecord)
		d.buf = append(d.buf, p[:n]...)
		p = p[n:]
		d.process(false)
	}
}

// Finish says that the stream has ended: what the search still holds back is
// decided from the records at hand.
func (d *AtherosDecoder) Finish() { d.process(true) }

func (d *AtherosDecoder) process(end bool) {
	pos := 0
	defer func() {
		if pos > 0 {
			n := copy(d.buf, d.buf[pos:])
			d.buf = d.buf[:n]
		}
	}()
	for {
		if !d.locked {
			n, ok := d.search(d.buf[pos:], end)
			pos += n
			d.junk += uint64(n)
			if !ok {
				return
			}
			d.locked = true
		}
		n, err := recordAt(d.buf[pos:], d.order, false)
		switch {
		case errors.Is(err, errUndecided):
			return
		case err != nil:
			d.reject(OutcomeLostSync)
			d.locked = false
			pos++
			d.junk++
			continue
		}
		r, err := ParseAtheros(d.buf[pos+atherosLenField:pos+n], d.order)
		if err != nil {
			d.reject(OutcomeBadRecord)
		} else {
			d.emit(r)
		}
		d.records++
		pos += n
	}
}

// recordAt returns the length, with its length field, of the record that b
// starts with; errUndecided if b is too short to hold or tell.
func recordAt(b []byte, order binary.ByteOrder, strict bool) (int, error) {
	if len(b) < atherosLenField {
		return 0, errUndecided
	}
	n := int(order.Uint16(b))
	if n < atherosHeaderLen || n > MaxAtherosRecord {
		return 0, errors.New("impossible length")
	}
	if len(b) < atherosLenField+atherosHeaderLen {
		return 0, errUndecided
	}
	if !readAtherosHeader(b[atherosLenField:], order).framed(n, strict) {
		return 0, errors.New("not a record")
	}
	if len(b) < atherosLenField+n {
		return 0, errUndecided
	}
	return atherosLenField + n, nil
}

// search returns how many bytes of b to skip, and whether a run of records
// starts there. It tries little-endian first at each place, or only the order
// already known.
func (d *AtherosDecoder) search(b []byte, end bool) (int, bool) {
	orders := []binary.ByteOrder{binary.LittleEndian, binary.BigEndian}
	if d.order != nil {
		orders = []binary.ByteOrder{d.order}
	}
	for i := range b {
		undecided := false
		for _, o := range orders {
			ok, wait := d.startsAt(b[i:], o, end)
			if ok && !undecided {
				d.order = o
				return i, true
			}
			undecided = undecided || wait || ok
		}
		if undecided {
			return i, false
		}
	}
	return len(b), false
}

// startsAt reports whether b starts with a record to go on with, or could yet.
// Once the byte order is known, one whose CSI is as long as its shape says is
// enough: this does not happen by chance, and where every second record is
// damaged there is no run.
func (d *AtherosDecoder) startsAt(b []byte, order binary.ByteOrder, end bool) (ok, wait bool) {
	if d.order != nil && len(b) >= atherosLenField+atherosHeaderLen {
		h := readAtherosHeader(b[atherosLenField:], order)
		if n := int(order.Uint16(b)); n <= MaxAtherosRecord && h.framed(n, true) && h.hasCSI() {
			return true, false
		}
	}
	return runAt(b, order, end)
}

// runAt reports whether b starts with atherosRun records, or could yet. At the
// end of a stream one whole record is enough if only a cut one follows.
func runAt(b []byte, order binary.ByteOrder, end bool) (ok, wait bool) {
	for i := range atherosRun {
		n, err := recordAt(b, order, true)
		switch {
		case errors.Is(err, errUndecided):
			if end {
				return i > 0, false
			}
			return false, true
		case err != nil:
			return false, false
		}
		b = b[n:]
	}
	return true, false
}
