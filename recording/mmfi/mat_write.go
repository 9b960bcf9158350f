package mmfi

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// matHeaderText is fixed, so that equal data gives equal files.
const matHeaderText = "MATLAB 5.0 MAT-file Platform: posix, Created on: Thu Jan  1 00:00:00 1970"

// WriteMAT writes real double variables as an uncompressed little-endian MAT
// v5 file. Each array needs a name, its dimensions and Re in column-major
// order.
func WriteMAT(w io.Writer, arrays ...*MATArray) error {
	le := binary.LittleEndian
	out := make([]byte, 0, 256)
	out = append(out, matHeaderText...)
	out = append(out, strings.Repeat(" ", 124-len(matHeaderText))...)
	out = le.AppendUint16(out, 0x0100)
	out = append(out, "IM"...)
	for _, a := range arrays {
		if a.Class != MATDouble || a.Im != nil || a.Len() != len(a.Re) || len(a.Dims) < 2 || a.Name == "" {
			return fmt.Errorf("mat: %q is not a named real double array with as many values as its dimensions say", a.Name)
		}
		var body []byte
		body = appendElement(body, miUINT32, le.AppendUint32(le.AppendUint32(nil, uint32(MATDouble)), 0))
		var dims []byte
		for _, d := range a.Dims {
			dims = le.AppendUint32(dims, uint32(d))
		}
		body = appendElement(body, miINT32, dims)
		body = appendElement(body, miINT8, []byte(a.Name))
		values := make([]byte, 0, 8*len(a.Re))
		for _, v := range a.Re {
			values = le.AppendUint64(values, math.Float64bits(v))
		}
		body = appendElement(body, miDOUBLE, values)
		out = appendElement(out, miMATRIX, body)
	}
	if _, err := w.Write(out); err != nil {
		return fmt.Errorf("mat: write: %w", err)
	}
	return nil
}

// appendElement appends a tagged element, padded to 8 bytes.
func appendElement(b []byte, typ uint32, data []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, typ)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, data...)
	for len(b)%8 != 0 { // every element starts at a multiple of 8
		b = append(b, 0)
	}
	return b
}
