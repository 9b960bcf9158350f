package mmfi

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Columns of the two kinds of point file.
const (
	LiDARColumns  = 3 // x, y, z
	MmWaveColumns = 5 // x, y, z, Doppler, intensity, as stored
)

// maxPointRows bounds one point file: the largest sweep of any supported
// LiDAR has 128 x 2048 points.
const maxPointRows = 1 << 19

// DecodePoints reads a raw little-endian float64 .bin file of rows with the
// given number of columns into dst, which it grows as needed. A zero-byte
// file holds no points. A length that is not a whole number of rows is an
// error that names the offset of the incomplete row.
func DecodePoints(dst []float64, b []byte, columns int) ([]float64, error) {
	row := 8 * columns
	rows := len(b) / row
	if len(b)%row != 0 {
		return nil, fmt.Errorf("bin: incomplete row at offset %d: %d bytes is not a multiple of %d (%d float64 columns): %w",
			rows*row, len(b), row, columns, ErrTruncated)
	}
	if rows > maxPointRows {
		return nil, fmt.Errorf("bin: %d points exceed the limit of %d", rows, maxPointRows)
	}
	dst = dst[:0]
	for i := 0; i < len(b); i += 8 {
		dst = append(dst, math.Float64frombits(binary.LittleEndian.Uint64(b[i:])))
	}
	return dst, nil
}

// AppendPoints appends values as raw little-endian float64, the inverse of
// DecodePoints.
func AppendPoints(b []byte, values []float64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}
