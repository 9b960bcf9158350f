package motionfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// blockBytes is the unit in which a C3D file counts.
const blockBytes = 512

// Processor types of C3D files: how numbers lie in them.
const (
	intel = 84 // little endian, IEEE
	dec   = 85 // little endian, VAX F
	mips  = 86 // big endian, IEEE
)

// c3dOrder reads the numbers of a processor type.
type c3dOrder struct {
	order binary.ByteOrder
	vax   bool
}

func orderOf(processor byte) (c3dOrder, error) {
	switch processor {
	case intel:
		return c3dOrder{binary.LittleEndian, false}, nil
	case dec:
		return c3dOrder{binary.LittleEndian, true}, nil
	case mips:
		return c3dOrder{binary.BigEndian, false}, nil
	}
	return c3dOrder{}, fmt.Errorf("processor type is %d, it is 84 (Intel), 85 (DEC) or 86 (MIPS)", processor)
}

func (o c3dOrder) int16(b []byte) int  { return int(int16(o.order.Uint16(b))) }
func (o c3dOrder) uint16(b []byte) int { return int(o.order.Uint16(b)) }
func (o c3dOrder) real(b []byte) float64 {
	if o.vax { // the two words exchanged, the exponent larger by two
		bits := uint32(b[2]) | uint32(b[3])<<8 | uint32(b[0])<<16 | uint32(b[1])<<24
		return float64(math.Float32frombits(bits)) / 4
	}
	return float64(math.Float32frombits(o.order.Uint32(b)))
}

// c3dParam is one parameter of a C3D file.
type c3dParam struct {
	size int   // bytes of an element: -1 text, 1, 2 whole, 4 real
	dims []int // empty: a single value
	data []byte
}

// c3dParams are the parameters by "GROUP:NAME".
type c3dParams struct {
	o  c3dOrder
	by map[string]c3dParam
}

var errParamCut = errors.New("the parameters are cut short")

// readParams reads the parameter section, the four bytes of its own header
// included.
func readParams(b []byte, o c3dOrder) (*c3dParams, error) {
	p := &c3dParams{o: o, by: map[string]c3dParam{}}
	groups := map[int]string{}
	type entry struct {
		group int
		name  string
		c3dParam
	}
	var list []entry
	for at := 4; at+2 <= len(b); {
		n, id := int(int8(b[at])), int(int8(b[at+1]))
		n = max(n, -n) // a negative length marks a locked one
		if n == 0 {
			break
		}
		at += 2
		if at+n+2 > len(b) {
			return nil, errParamCut
		}
		name := strings.ToUpper(strings.TrimSpace(string(b[at : at+n])))
		at += n
		next := o.int16(b[at:])
		body := b[at+2:]
		if next != 0 {
			if next < 2 || at+next > len(b) {
				return nil, fmt.Errorf("parameter %s: the next one is %d bytes on: %w", name, next, errParamCut)
			}
			body = b[at+2 : at+next]
		}
		if id < 0 {
			groups[-id] = name
		} else {
			v, err := paramOf(body)
			if err != nil {
				return nil, fmt.Errorf("parameter %s: %w", name, err)
			}
			list = append(list, entry{id, name, v})
		}
		if next == 0 {
			break
		}
		at += next
	}
	for _, e := range list { // a group may stand after its parameters
		p.by[groups[e.group]+":"+e.name] = e.c3dParam
	}
	return p, nil
}

// paramOf reads what follows a parameter's name.
func paramOf(b []byte) (v c3dParam, err error) {
	if len(b) < 2 {
		return v, errParamCut
	}
	v.size = int(int8(b[0]))
	if v.size != -1 && v.size != 1 && v.size != 2 && v.size != 4 {
		return v, fmt.Errorf("an element has %d bytes", v.size)
	}
	dims := int(b[1])
	if dims > 7 || len(b) < 2+dims {
		return v, errParamCut
	}
	count := max(v.size, -v.size)
	for _, d := range b[2 : 2+dims] {
		v.dims = append(v.dims, int(d))
		if count *= int(d); count > len(b) {
			return v, errParamCut
		}
	}
	if len(b) < 2+dims+count {
		return v, errParamCut
	}
	v.data = b[2+dims : 2+dims+count]
	return v, nil
}

// number gives the element i of a parameter, false if it is not there.
func (p *c3dParams) number(name string, i int) (float64, bool) {
	v, ok := p.by[name]
	if !ok || v.size < 1 || len(v.data) < (i+1)*v.size {
		return 0, false
	}
	b := v.data[i*v.size:]
	switch v.size {
	case 1:
		return float64(b[0]), true
	case 2:
		return float64(p.o.int16(b)), true
	}
	return p.o.real(b), true
}

// unsigned gives element i of a parameter of 16 bits, which counts to 65535.
func (p *c3dParams) unsigned(name string, i int) (int, bool) {
	v, ok := p.number(name, i)
	if !ok || math.IsNaN(v) || math.Abs(v) > math.MaxInt32 {
		return 0, false
	}
	if p.by[name].size == 2 && v < 0 {
		v += 1 << 16
	}
	return int(v), true
}

// texts gives the strings of a parameter and of its continuations NAME2, NAME3.
func (p *c3dParams) texts(name string) (list []string) {
	for k := 1; ; k++ {
		key := name
		if k > 1 {
			key = fmt.Sprintf("%s%d", name, k)
		}
		v, ok := p.by[key]
		if !ok || v.size != -1 {
			return list
		}
		length := len(v.data)
		if len(v.dims) > 0 {
			length = v.dims[0]
		}
		for at := 0; length > 0 && at+length <= len(v.data); at += length {
			list = append(list, strings.TrimRight(string(v.data[at:at+length]), " \x00"))
		}
	}
}
