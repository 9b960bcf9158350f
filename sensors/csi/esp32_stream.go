package csi

import "bytes"

// Outcomes of a console's text besides those of ParseESP32.
const (
	OutcomeOtherLine = "other_line" // of the boot loader, the log, a header
	OutcomeLongLine  = "long_line"  // longer than any line of CSI
)

// ESP32Decoder takes the lines of CSI out of the text of a console. What it
// decides depends on the bytes alone, not on how they were split. It is not safe
// for concurrent use.
type ESP32Decoder struct {
	emit    func(*ESP32Line)
	count   func(outcome string)
	refused func(err error) // nil, or takes each line of CSI that is refused
	line    []byte
	skip    bool // the rest of a line that is too long
	junk    uint64
	records uint64
}

// NewESP32Decoder returns a decoder for one console. Both functions are called
// from Feed and Finish and must not be nil.
func NewESP32Decoder(emit func(*ESP32Line), count func(outcome string)) *ESP32Decoder {
	return &ESP32Decoder{emit: emit, count: count}
}

// JunkBytes returns how many bytes were in lines too long to keep.
func (d *ESP32Decoder) JunkBytes() uint64 { return d.junk }

// Records returns how many lines of CSI came, good and bad.
func (d *ESP32Decoder) Records() uint64 { return d.records }

// Feed takes the next bytes.
func (d *ESP32Decoder) Feed(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		d.add(part)
		if end < 0 {
			return
		}
		d.end()
		p = p[end+1:]
	}
}

func (d *ESP32Decoder) add(part []byte) {
	if d.skip || len(d.line)+len(part) > MaxESP32Line {
		d.junk += uint64(len(part) + len(d.line))
		d.skip, d.line = true, d.line[:0]
		return
	}
	d.line = append(d.line, part...)
}

// Finish says that the text has ended.
func (d *ESP32Decoder) Finish() {
	if d.skip || len(d.line) > 0 {
		d.end()
	}
}

// end decides about a whole line.
func (d *ESP32Decoder) end() {
	line := bytes.TrimSpace(d.line)
	d.line = d.line[:0]
	if d.skip {
		d.skip = false
		d.count(OutcomeLongLine)
		return
	}
	if len(line) == 0 {
		return
	}
	// A message of the log may have been cut short by the line.
	at := bytes.LastIndex(line, espPrefix)
	if at < 0 {
		d.count(OutcomeOtherLine)
		return
	}
	d.records++
	l, err := ParseESP32(line[at:])
	if err != nil {
		d.count(err.Error())
		if d.refused != nil {
			d.refused(err)
		}
		return
	}
	d.emit(l)
}
