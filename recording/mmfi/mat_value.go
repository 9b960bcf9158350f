package mmfi

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"unicode/utf16"
)

// contents decodes what follows the name of a matrix.
func (p *matParser) contents(a *MATArray, b []byte, count int, isComplex bool, depth int) error {
	switch {
	case a.Class.numeric():
		re, at, err := p.element(b, 0)
		if err != nil {
			return err
		}
		if a.Re, err = p.numbers(re, count); err != nil {
			return fmt.Errorf("real part: %w", err)
		}
		if isComplex {
			im, _, err := p.element(b, at)
			if err != nil {
				return err
			}
			if a.Im, err = p.numbers(im, count); err != nil {
				return fmt.Errorf("imaginary part: %w", err)
			}
		}
	case a.Class == MATChar:
		e, _, err := p.element(b, 0)
		if err != nil {
			return err
		}
		return p.text(a, e, count)
	case a.Class == MATCell:
		return p.cells(a, b, count, depth)
	case a.Class == MATStruct:
		length, at, err := p.element(b, 0)
		if err != nil {
			return err
		}
		if length.typ != miINT32 || len(length.data) != 4 {
			return errors.New("bad field name length")
		}
		width := int(int32(p.order.Uint32(length.data)))
		names, at, err := p.element(b, at)
		if err != nil {
			return err
		}
		if width <= 0 || len(names.data)%width != 0 {
			return fmt.Errorf("%d bytes of field names of %d bytes each", len(names.data), width)
		}
		for i := 0; i < len(names.data); i += width {
			name, _, _ := bytes.Cut(names.data[i:i+width], []byte{0})
			a.Fields = append(a.Fields, string(name))
		}
		return p.cells(a, b[at:], count*len(a.Fields), depth)
	}
	return nil
}

// cells reads n matrices.
func (p *matParser) cells(a *MATArray, b []byte, n, depth int) error {
	if n > len(b)/8 {
		return fmt.Errorf("%d cells in %d bytes: %w", n, len(b), ErrTruncated)
	}
	for at := 0; len(a.Cells) < n; {
		e, next, err := p.element(b, at)
		if err != nil {
			return fmt.Errorf("cell %d: %w", len(a.Cells), err)
		}
		if e.typ != miMATRIX {
			return fmt.Errorf("cell %d: element type %d is not a matrix", len(a.Cells), e.typ)
		}
		c, err := p.matrix(e.data, depth+1)
		if err != nil {
			return fmt.Errorf("cell %d: %w", len(a.Cells), err)
		}
		a.Cells = append(a.Cells, c)
		at = next
	}
	return nil
}

// numbers converts the values of an element of any numeric type.
func (p *matParser) numbers(e matElement, count int) ([]float64, error) {
	size := elementSize(e.typ)
	if size == 0 {
		return nil, fmt.Errorf("element type %d holds no numbers", e.typ)
	}
	if len(e.data) != count*size {
		return nil, fmt.Errorf("%d bytes of type %d, the dimensions need %d values", len(e.data), e.typ, count)
	}
	out := make([]float64, count)
	for i := range out {
		out[i] = p.number(e.typ, e.data[i*size:])
	}
	return out, nil
}

func (p *matParser) number(typ uint32, b []byte) float64 {
	switch typ {
	case miINT8:
		return float64(int8(b[0]))
	case miINT16:
		return float64(int16(p.order.Uint16(b)))
	case miUINT16, miUTF16:
		return float64(p.order.Uint16(b))
	case miINT32:
		return float64(int32(p.order.Uint32(b)))
	case miUINT32, miUTF32:
		return float64(p.order.Uint32(b))
	case miSINGLE:
		return float64(math.Float32frombits(p.order.Uint32(b)))
	case miDOUBLE:
		return math.Float64frombits(p.order.Uint64(b))
	case miINT64:
		return float64(int64(p.order.Uint64(b)))
	case miUINT64:
		return float64(p.order.Uint64(b))
	}
	return float64(b[0]) // miUINT8, miUTF8
}

// text decodes characters stored as UTF-8, or as 16- or 32-bit units.
func (p *matParser) text(a *MATArray, e matElement, count int) error {
	if e.typ == miUTF8 {
		a.Text = string(e.data)
		return nil
	}
	units, err := p.numbers(e, count)
	if err != nil {
		return fmt.Errorf("text: %w", err)
	}
	if elementSize(e.typ) == 4 {
		runes := make([]rune, len(units))
		for i, u := range units {
			runes[i] = rune(u)
		}
		a.Text = string(runes)
		return nil
	}
	u16 := make([]uint16, len(units))
	for i, u := range units {
		u16[i] = uint16(u)
	}
	a.Text = string(utf16.Decode(u16))
	return nil
}
