package mcap

import "hash/crc32"

// tail reads what follows the data section: its end, the summary, the footer.
func (r *reader) tail() error {
	op, n, _, err := r.prefix()
	if err != nil {
		return err
	}
	at := r.at
	if op == opDataEnd {
		var b [prefixSize + 4]byte
		if n < 4 {
			r.problem(at, "a data end of %d bytes", n)
			return nil
		}
		if err := r.read(b[:], at); err != nil {
			return err
		}
		if sum := order.Uint32(b[prefixSize:]); r.sound && sum != 0 && sum != r.crc {
			r.problem(at, "the data section fails its checksum")
		}
		r.salvaged = true
		r.at += prefixSize + int64(n)
	}
	left := r.size - r.at
	if left < int64(fileEndSize) {
		r.problem(r.at, "the file ends within its summary")
		return nil
	}
	if left > int64(4*MaxChunk) {
		r.problem(r.at, "a summary of %d bytes", left)
		return nil
	}
	b := make([]byte, left)
	if err := r.read(b, r.at); err != nil {
		return err
	}
	foot := len(b) - fileEndSize
	f := fields{b: b[foot:]}
	if op := f.bytes(1)[0]; op != opFooter || f.u64() != footerSize || string(b[len(b)-len(magic):]) != magic {
		r.problem(r.at+int64(foot), "the footer or the last bytes are not those of MCAP")
		return nil
	}
	r.Complete = true
	if r.Damaged == 0 {
		r.Whole = r.size
	}
	summary, offsets, sum := f.u64(), f.u64(), f.u32()
	switch {
	case summary == 0: // there is none
		return nil
	case summary != uint64(r.at) || offsets != 0 && (offsets < summary || offsets > uint64(r.at)+uint64(foot)):
		r.problem(r.at, "the footer names places where the summary is not")
		return nil
	case sum != 0 && sum != crc32.ChecksumIEEE(b[:len(b)-len(magic)-4]):
		r.problem(r.at, "the summary fails its checksum")
		return nil
	}
	r.summary(b[:foot])
	return nil
}

// summary compares the summary with what was read.
func (r *reader) summary(b []byte) {
	at := r.at
	var chunks int
	err := eachRecord(b, func(op byte, b []byte) error {
		switch op {
		case opStatistics:
			s, err := parseStatistics(b)
			r.total, r.counted = s, err == nil
			return err
		case opChunkIndex:
			c, err := parseChunkIndex(b)
			if err == nil && (c.offset > uint64(at) || c.length > uint64(at)-c.offset) {
				r.problem(at, "an index names a chunk where there is none, byte %d", c.offset)
			}
			chunks++
			return err
		}
		return nil
	})
	switch {
	case err != nil:
		r.problem(at, "the summary: %v", err)
	case r.Damaged == 0 && !r.skipped && chunks > 0 && chunks != r.Chunks:
		r.problem(at, "the summary names %d chunks and there are %d", chunks, r.Chunks)
	case r.Damaged == 0 && !r.skipped && r.counted && (r.total.messages != r.Messages || r.total.attachments != r.attached || r.total.metadata != r.metas):
		r.problem(at, "the statistics name %d messages, %d attachments and %d metadata, and there are %d, %d and %d",
			r.total.messages, r.total.attachments, r.total.metadata, r.Messages, r.attached, r.metas)
	}
}
