package mmfi

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MATClass is the array class of a MAT v5 variable.
type MATClass uint8

// The classes of the format. Sparse, object and later classes are listed by
// name and size only; their contents are not read.
const (
	MATCell   MATClass = 1
	MATStruct MATClass = 2
	MATObject MATClass = 3
	MATChar   MATClass = 4
	MATSparse MATClass = 5
	MATDouble MATClass = 6
	MATSingle MATClass = 7
	MATInt8   MATClass = 8
	MATUint8  MATClass = 9
	MATInt16  MATClass = 10
	MATUint16 MATClass = 11
	MATInt32  MATClass = 12
	MATUint32 MATClass = 13
	MATInt64  MATClass = 14
	MATUint64 MATClass = 15
)

// numeric reports whether the class holds numbers.
func (c MATClass) numeric() bool { return c >= MATDouble && c <= MATUint64 }

// MATArray is one variable of a MAT file, or one cell or field of one. All
// values are column-major, as in MATLAB.
type MATArray struct {
	Name  string
	Class MATClass
	Dims  []int

	Re     []float64   // numeric classes; 64-bit integers beyond 2^53 are rounded
	Im     []float64   // nil unless the array is complex
	Text   string      // MATChar: all characters, column-major
	Cells  []*MATArray // MATCell: one per cell; MATStruct: element by element, each with its fields in order
	Fields []string    // MATStruct
}

// Len returns the number of elements.
func (a *MATArray) Len() int {
	n := 1
	for _, d := range a.Dims {
		n *= d
	}
	return n
}

// Limits of ParseMAT.
const (
	// MaxMATBytes is the largest file, and the largest sum of all inflated
	// variables, that is read.
	MaxMATBytes = 256 << 20

	maxMATDepth    = 16 // cells in cells
	maxMATDims     = 32
	maxMATElements = MaxMATBytes / 8
	// maxDeflateRatio is the largest factor by which zlib can shrink data.
	maxDeflateRatio = 1032
)

// ErrMATv73 marks a MAT v7.3 file, which is an HDF5 container.
var ErrMATv73 = errors.New("mat: this is a MAT v7.3 (HDF5) file, which is not supported: save it again with -v7")

// Data types of the elements.
const (
	miINT8       = 1
	miUINT8      = 2
	miINT16      = 3
	miUINT16     = 4
	miINT32      = 5
	miUINT32     = 6
	miSINGLE     = 7
	miDOUBLE     = 9
	miINT64      = 12
	miUINT64     = 13
	miMATRIX     = 14
	miCOMPRESSED = 15
	miUTF8       = 16
	miUTF16      = 17
	miUTF32      = 18
)

// elementSize returns the bytes per value of an element type, 0 if it is none.
func elementSize(typ uint32) int {
	switch typ {
	case miINT8, miUINT8, miUTF8:
		return 1
	case miINT16, miUINT16, miUTF16:
		return 2
	case miINT32, miUINT32, miSINGLE, miUTF32:
		return 4
	case miDOUBLE, miINT64, miUINT64:
		return 8
	}
	return 0
}

// ParseMAT reads all variables of a MAT v5 file: compressed or not, of either
// byte order, numbers (real or complex, stored in whatever smaller type),
// text, cells and structs. Errors name the offset, inside the file or inside
// the named variable.
func ParseMAT(b []byte) ([]*MATArray, error) {
	hdf5 := []byte("\x89HDF\r\n\x1a\n")
	if bytes.HasPrefix(b, hdf5) || len(b) > 512 && bytes.HasPrefix(b[512:], hdf5) {
		return nil, ErrMATv73
	}
	if len(b) > MaxMATBytes {
		return nil, fmt.Errorf("mat: file exceeds the limit of %d bytes", MaxMATBytes)
	}
	if len(b) < 128 {
		return nil, fmt.Errorf("mat: header needs 128 bytes, file has %d: %w", len(b), ErrTruncated)
	}
	p := matParser{budget: MaxMATBytes}
	switch string(b[126:128]) {
	case "IM":
		p.order = binary.LittleEndian
	case "MI":
		p.order = binary.BigEndian
	default:
		return nil, fmt.Errorf("mat: bad byte order mark %q at offset 126: not a MAT v5 file", b[126:128])
	}
	if v := p.order.Uint16(b[124:]); v != 0x0100 {
		if v == 0x0200 {
			return nil, ErrMATv73
		}
		return nil, fmt.Errorf("mat: unknown version %#04x at offset 124", v)
	}
	var out []*MATArray
	for at := 128; at < len(b); {
		e, next, err := p.element(b, at)
		if err != nil {
			return nil, fmt.Errorf("mat: %w", err)
		}
		switch e.typ {
		case miCOMPRESSED:
			inner, err := p.inflate(e.data)
			if err != nil {
				return nil, fmt.Errorf("mat: compressed variable at offset %d: %w", at, err)
			}
			in, _, err := p.element(inner, 0)
			if err != nil {
				return nil, fmt.Errorf("mat: compressed variable at offset %d: %w", at, err)
			}
			if in.typ == miMATRIX {
				a, err := p.matrix(in.data, 0)
				if err != nil {
					return nil, fmt.Errorf("mat: compressed variable at offset %d: %w", at, err)
				}
				out = append(out, a)
			}
			next = at + 8 + len(e.data) // compressed elements are not padded
		case miMATRIX:
			a, err := p.matrix(e.data, 0)
			if err != nil {
				return nil, fmt.Errorf("mat: variable at offset %d: %w", at, err)
			}
			out = append(out, a)
		}
		at = next
	}
	return out, nil
}

// matParser holds what all elements of a file share.
type matParser struct {
	order  binary.ByteOrder
	budget int // bytes that may still be inflated or allocated
}

// matElement is one tagged piece of data.
type matElement struct {
	typ  uint32
	data []byte
}

// element reads the element at offset at of b and returns the offset after it
// and its padding.
func (p *matParser) element(b []byte, at int) (e matElement, next int, err error) {
	if at > len(b) || len(b)-at < 8 {
		return e, 0, fmt.Errorf("element tag at offset %d needs 8 bytes: %w", at, ErrTruncated)
	}
	word := p.order.Uint32(b[at:])
	if small := word >> 16; small != 0 {
		if small > 4 {
			return e, 0, fmt.Errorf("small element of %d bytes at offset %d", small, at)
		}
		return matElement{typ: word & 0xffff, data: b[at+4 : at+4+int(small)]}, at + 8, nil
	}
	n := int(p.order.Uint32(b[at+4:]))
	if n > len(b)-at-8 {
		return e, 0, fmt.Errorf("element of %d bytes at offset %d, only %d left: %w", n, at, len(b)-at-8, ErrTruncated)
	}
	next = min(at+8+(n+7)&^7, len(b)) // some writers leave out the last padding
	return matElement{typ: word, data: b[at+8 : at+8+n]}, next, nil
}

// inflate unpacks one compressed variable. What it may grow to is bounded by
// the zlib ratio, by the budget and, for numbers, by the declared dimensions.
func (p *matParser) inflate(packed []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("zlib: %w", truncated(err))
	}
	var out bytes.Buffer
	const head = 4096 // enough for the tag, flags, dimensions and name
	if _, err := io.CopyN(&out, z, head); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("zlib: %w", truncated(err))
	}
	if out.Len() < 8 {
		return nil, fmt.Errorf("zlib: %d bytes inside: %w", out.Len(), ErrTruncated)
	}
	declared := int(p.order.Uint32(out.Bytes()[4:])) + 8
	if p.order.Uint32(out.Bytes())>>16 != 0 {
		declared = 8
	}
	limit := min(p.budget, maxDeflateRatio*len(packed)+head)
	if n, ok := p.numericBound(out.Bytes()); ok {
		limit = min(limit, n)
	}
	if declared > limit {
		return nil, fmt.Errorf("inflated size of %d bytes exceeds the limit of %d", declared, limit)
	}
	if rest := declared - out.Len(); rest > 0 {
		if n, err := io.CopyN(&out, z, int64(rest)); err != nil {
			return nil, fmt.Errorf("zlib: %d of %d bytes inside: %w", head+n, declared, truncated(err))
		}
	}
	p.budget -= out.Len()
	return out.Bytes(), nil
}

// numericBound returns the largest size an inflated numeric variable can have
// given its dimensions; ok is false if the head does not tell.
func (p *matParser) numericBound(head []byte) (limit int, ok bool) {
	flags, next, err := p.element(head, 8)
	if err != nil || len(flags.data) < 8 || !MATClass(p.order.Uint32(flags.data)&0xff).numeric() {
		return 0, false
	}
	dims, _, err := p.element(head, next)
	if err != nil {
		return 0, false
	}
	_, n, err := p.dims(dims)
	if err != nil {
		return 0, false
	}
	return 2*8*n + 4096, true
}

// dims decodes the dimensions element and returns the number of elements.
func (p *matParser) dims(e matElement) (dims []int, count int, err error) {
	if e.typ != miINT32 || len(e.data)%4 != 0 || len(e.data) < 8 || len(e.data) > 4*maxMATDims {
		return nil, 0, fmt.Errorf("bad dimensions element (type %d, %d bytes)", e.typ, len(e.data))
	}
	for i := 0; i < len(e.data); i += 4 {
		dims = append(dims, int(int32(p.order.Uint32(e.data[i:]))))
	}
	count, err = shapeCount(dims, 8, maxMATElements*8)
	return dims, count, err
}

// matrix decodes the contents of a matrix element.
func (p *matParser) matrix(b []byte, depth int) (*MATArray, error) {
	a := &MATArray{}
	if len(b) == 0 { // MATLAB writes an empty cell so
		a.Class, a.Dims = MATDouble, []int{0, 0}
		return a, nil
	}
	if depth > maxMATDepth {
		return nil, fmt.Errorf("more than %d levels of cells and structs", maxMATDepth)
	}
	flags, at, err := p.element(b, 0)
	if err != nil {
		return nil, err
	}
	if flags.typ != miUINT32 || len(flags.data) < 8 {
		return nil, fmt.Errorf("bad array flags (type %d, %d bytes)", flags.typ, len(flags.data))
	}
	word := p.order.Uint32(flags.data)
	a.Class = MATClass(word & 0xff)
	if a.Class == 0 || a.Class > MATUint64 { // function handles and classes
		return a, nil
	}
	e, at, err := p.element(b, at)
	if err != nil {
		return nil, err
	}
	var count int
	if a.Dims, count, err = p.dims(e); err != nil {
		return nil, err
	}
	if e, at, err = p.element(b, at); err != nil {
		return nil, err
	}
	a.Name = string(e.data)
	if err := p.contents(a, b[at:], count, word&0x0800 != 0, depth); err != nil {
		return nil, fmt.Errorf("%q: %w", a.Name, err)
	}
	return a, nil
}
