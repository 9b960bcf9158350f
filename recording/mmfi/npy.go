package mmfi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// MaxNPYBytes is the largest array ReadNPY accepts, bytes of data.
const MaxNPYBytes = 1 << 30

// maxNPYHeader bounds the text header. NumPy itself warns above 10,000 bytes.
const maxNPYHeader = 1 << 16

// maxNPYDims is NumPy's own limit on the number of dimensions of old versions.
const maxNPYDims = 32

var npyMagic = []byte("\x93NUMPY")

// ErrTruncated marks a file that ends before the data its header declares.
var ErrTruncated = errors.New("file is truncated, copy it again")

// Array is a numeric array of an .npy file. Values are in C order (last index
// fastest) whatever the order in the file was.
type Array struct {
	Shape []int  // empty for a scalar
	Type  string // NumPy type without byte order: "f8", "f4", "f2", "i1".."i8", "u1".."u8", "b1"

	data []byte // little-endian, C order
}

// itemSize returns the bytes of one value of a NumPy type code, 0 if the type
// is not supported.
func itemSize(typ string) int {
	switch typ {
	case "b1", "i1", "u1":
		return 1
	case "f2", "i2", "u2":
		return 2
	case "f4", "i4", "u4":
		return 4
	case "f8", "i8", "u8":
		return 8
	}
	return 0
}

// NewFloat64Array returns an array of type f8 with a copy of values, which
// are in C order. It panics if the shape does not hold len(values) values.
func NewFloat64Array(values []float64, shape ...int) *Array {
	a := newArray("f8", len(values), shape)
	for i, v := range values {
		binary.LittleEndian.PutUint64(a.data[8*i:], math.Float64bits(v))
	}
	return a
}

// NewFloat32Array returns an array of type f4 with a copy of values, which
// are in C order. It panics if the shape does not hold len(values) values.
func NewFloat32Array(values []float32, shape ...int) *Array {
	a := newArray("f4", len(values), shape)
	for i, v := range values {
		binary.LittleEndian.PutUint32(a.data[4*i:], math.Float32bits(v))
	}
	return a
}

func newArray(typ string, n int, shape []int) *Array {
	size := itemSize(typ)
	count, err := shapeCount(shape, size, MaxNPYBytes)
	if err != nil || count != n {
		panic(fmt.Sprintf("mmfi: shape %v does not hold %d values", shape, n))
	}
	return &Array{Shape: append([]int(nil), shape...), Type: typ, data: make([]byte, n*size)}
}

// Len returns the number of values.
func (a *Array) Len() int {
	size := itemSize(a.Type)
	if size == 0 {
		return 0
	}
	return len(a.data) / size
}

// Float64 returns all values in C order. Integers beyond 2^53 are rounded.
func (a *Array) Float64() []float64 {
	out := make([]float64, a.Len())
	le := binary.LittleEndian
	switch a.Type {
	case "f8":
		for i := range out {
			out[i] = math.Float64frombits(le.Uint64(a.data[8*i:]))
		}
	case "f4":
		for i := range out {
			out[i] = float64(math.Float32frombits(le.Uint32(a.data[4*i:])))
		}
	case "f2":
		for i := range out {
			out[i] = halfToFloat(le.Uint16(a.data[2*i:]))
		}
	default:
		for i := range out {
			out[i] = intValue(a.Type, a.data[i*itemSize(a.Type):])
		}
	}
	return out
}

// Float32 returns all values in C order, rounded to float32.
func (a *Array) Float32() []float32 {
	out := make([]float32, a.Len())
	if a.Type == "f4" {
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(a.data[4*i:]))
		}
		return out
	}
	for i, v := range a.Float64() {
		out[i] = float32(v)
	}
	return out
}

// intValue converts one little-endian integer or boolean.
func intValue(typ string, b []byte) float64 {
	le := binary.LittleEndian
	switch typ {
	case "i1":
		return float64(int8(b[0]))
	case "i2":
		return float64(int16(le.Uint16(b)))
	case "i4":
		return float64(int32(le.Uint32(b)))
	case "i8":
		return float64(int64(le.Uint64(b)))
	case "u2":
		return float64(le.Uint16(b))
	case "u4":
		return float64(le.Uint32(b))
	case "u8":
		return float64(le.Uint64(b))
	}
	return float64(b[0]) // u1, b1
}

// halfToFloat converts an IEEE 754 binary16 number.
func halfToFloat(h uint16) float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exp, frac := int(h>>10&0x1f), float64(h&0x3ff)
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 31:
		if frac != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

// shapeCount returns the number of values of a shape, or an error if a
// dimension is negative or the array exceeds limit bytes.
func shapeCount(shape []int, size, limit int) (int, error) {
	count := 1
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("negative dimension in shape %v", shape)
		}
		// A zero anywhere makes the array empty, but the others still must not
		// overflow the product.
		if d > 0 && count > limit/size/d {
			return 0, fmt.Errorf("shape %v of %d-byte values exceeds the limit of %d bytes", shape, size, limit)
		}
		if d == 0 {
			return 0, nil
		}
		count *= d
	}
	return count, nil
}

// ReadNPY reads one NumPy array file, format versions 1 to 3: numbers and
// booleans of either byte order, C or Fortran order, at most MaxNPYBytes.
// Structured, complex, string and object arrays are refused by name. Memory
// grows with the bytes really read, not with what the header claims.
func ReadNPY(r io.Reader) (*Array, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("npy: read magic at offset 0: %w", truncated(err))
	}
	if !bytes.Equal(head[:6], npyMagic) {
		return nil, fmt.Errorf("npy: bad magic % x at offset 0, want % x", head[:6], npyMagic)
	}
	var headerLen, start int
	switch major := head[6]; major {
	case 1:
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, fmt.Errorf("npy: read header length at offset 8: %w", truncated(err))
		}
		headerLen, start = int(binary.LittleEndian.Uint16(b[:])), 10
	case 2, 3:
		var b [4]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, fmt.Errorf("npy: read header length at offset 8: %w", truncated(err))
		}
		n := binary.LittleEndian.Uint32(b[:])
		if n > maxNPYHeader {
			return nil, fmt.Errorf("npy: header of %d bytes exceeds the limit of %d", n, maxNPYHeader)
		}
		headerLen, start = int(n), 12
	default:
		return nil, fmt.Errorf("npy: unknown format version %d.%d", head[6], head[7])
	}
	text := make([]byte, headerLen)
	if n, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("npy: read header at offset %d: %w", start+n, truncated(err))
	}
	h, err := parseNPYHeader(string(text))
	if err != nil {
		return nil, fmt.Errorf("npy: header: %w", err)
	}
	bigEndian, typ, err := parseNPYType(h.descr)
	if err != nil {
		return nil, fmt.Errorf("npy: header: %w", err)
	}
	size := itemSize(typ)
	count, err := shapeCount(h.shape, size, MaxNPYBytes)
	if err != nil {
		return nil, fmt.Errorf("npy: header: %w", err)
	}
	var body bytes.Buffer
	if n, err := io.CopyN(&body, r, int64(count*size)); err != nil {
		return nil, fmt.Errorf("npy: data ends at offset %d, shape %v of %s needs %d bytes from offset %d: %w",
			int64(start+headerLen)+n, h.shape, typ, count*size, start+headerLen, truncated(err))
	}
	a := &Array{Shape: h.shape, Type: typ, data: body.Bytes()}
	if bigEndian {
		swapBytes(a.data, size)
	}
	if h.fortran && len(h.shape) > 1 {
		a.data = fortranToC(a.data, h.shape, size)
	}
	return a, nil
}

// truncated turns the two ends of file into ErrTruncated.
func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}

func swapBytes(b []byte, size int) {
	for i := 0; i+size <= len(b); i += size {
		for lo, hi := i, i+size-1; lo < hi; lo, hi = lo+1, hi-1 {
			b[lo], b[hi] = b[hi], b[lo]
		}
	}
}

// fortranToC reorders values from first-index-fastest to last-index-fastest.
func fortranToC(src []byte, shape []int, size int) []byte {
	dst := make([]byte, len(src))
	index := make([]int, len(shape))
	stride := make([]int, len(shape)) // of the C-ordered result, in values
	s := 1
	for i := len(shape) - 1; i >= 0; i-- {
		stride[i] = s
		s *= shape[i]
	}
	at := 0
	for i := 0; i+size <= len(src); i += size {
		copy(dst[at*size:(at+1)*size], src[i:i+size])
		for d := range index {
			index[d]++
			at += stride[d]
			if index[d] < shape[d] {
				break
			}
			at -= index[d] * stride[d]
			index[d] = 0
		}
	}
	return dst
}

// WriteNPY writes a as a version 1.0 file, little-endian, C order.
func WriteNPY(w io.Writer, a *Array) error {
	size := itemSize(a.Type)
	if size == 0 {
		return fmt.Errorf("npy: type %q is not supported", a.Type)
	}
	if count, err := shapeCount(a.Shape, size, MaxNPYBytes); err != nil {
		return fmt.Errorf("npy: %w", err)
	} else if count*size != len(a.data) {
		return fmt.Errorf("npy: shape %v does not hold %d values", a.Shape, a.Len())
	}
	if len(a.Shape) > maxNPYDims {
		return fmt.Errorf("npy: %d dimensions, limit %d", len(a.Shape), maxNPYDims)
	}
	out := AppendNPYHeader(nil, a.Type, a.Shape...)
	if _, err := w.Write(append(out, a.data...)); err != nil {
		return fmt.Errorf("npy: write: %w", err)
	}
	return nil
}

// AppendNPYHeader appends what stands before the little-endian values of a version
// 1.0 file of a type such as "f4", in C order.
func AppendNPYHeader(b []byte, typ string, shape ...int) []byte {
	order := "<"
	if itemSize(typ) == 1 {
		order = "|"
	}
	dims := make([]string, len(shape))
	for i, d := range shape {
		dims[i] = strconv.Itoa(d)
	}
	tuple := strings.Join(dims, ", ")
	if len(dims) == 1 {
		tuple += ","
	}
	header := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", order, typ, tuple)
	// NumPy pads with spaces so that the data starts at a multiple of 64.
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	b = append(append(b, npyMagic...), 1, 0)
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(header))), header...)
}
