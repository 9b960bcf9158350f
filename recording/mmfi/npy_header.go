package mmfi

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// npyHeader is the Python dictionary at the start of an .npy file.
type npyHeader struct {
	descr   string
	fortran bool
	shape   []int
}

// parseNPYHeader reads the dictionary literal: exactly the three keys NumPy
// writes, in any order.
func parseNPYHeader(text string) (npyHeader, error) {
	var h npyHeader
	seen := map[string]bool{}
	p := &literal{rest: text}
	if !p.take('{') {
		return h, errors.New("not a Python dictionary")
	}
	for !p.take('}') {
		key, err := p.str()
		if err != nil {
			return h, err
		}
		if seen[key] {
			return h, fmt.Errorf("key %q appears twice", key)
		}
		seen[key] = true
		if !p.take(':') {
			return h, fmt.Errorf("no colon after key %q", key)
		}
		switch key {
		case "descr":
			if p.peek() == '[' {
				return h, errors.New("structured arrays are not supported")
			}
			if h.descr, err = p.str(); err != nil {
				return h, err
			}
		case "fortran_order":
			switch {
			case p.word("True"):
				h.fortran = true
			case p.word("False"):
			default:
				return h, errors.New("fortran_order is neither True nor False")
			}
		case "shape":
			if h.shape, err = p.tuple(); err != nil {
				return h, err
			}
		default:
			return h, fmt.Errorf("unknown key %q", key)
		}
		if !p.take(',') && p.peek() != '}' {
			return h, fmt.Errorf("no comma after the value of %q", key)
		}
	}
	if p.peek() != 0 {
		return h, errors.New("text after the dictionary")
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return h, fmt.Errorf("key %q is missing", key)
		}
	}
	return h, nil
}

// parseNPYType splits a type string such as "<f8" into byte order and type.
func parseNPYType(descr string) (bigEndian bool, typ string, err error) {
	if code, named := npyTypeNames[strings.TrimLeft(descr, "<>=|")]; named {
		descr = cmp.Or(strings.TrimSuffix(descr, strings.TrimLeft(descr, "<>=|")), "=") + code
	} else if itemSize(descr) > 0 { // no byte order is this machine's, as for NumPy
		descr = "=" + descr
	}
	if len(descr) < 2 {
		return false, "", fmt.Errorf("bad type %q", descr)
	}
	order, typ := descr[0], descr[1:]
	size := itemSize(typ)
	if size == 0 {
		return false, "", fmt.Errorf("type %q is not supported (numbers and booleans only)", descr)
	}
	switch order {
	case '<', '=':
	case '>':
		bigEndian = true
	case '|':
		if size > 1 {
			return false, "", fmt.Errorf("type %q has no byte order", descr)
		}
	default:
		return false, "", fmt.Errorf("bad byte order in type %q", descr)
	}
	return bigEndian, typ, nil
}

// npyTypeNames are other names that NumPy takes for the types.
var npyTypeNames = map[string]string{
	"float64": "f8", "float32": "f4", "float16": "f2", "double": "f8", "single": "f4", "half": "f2", "bool": "b1",
	"int64": "i8", "int32": "i4", "int16": "i2", "int8": "i1", "uint64": "u8", "uint32": "u4", "uint16": "u2", "uint8": "u1",
	"d": "f8", "f": "f4", "e": "f2", "?": "b1", "q": "i8", "i": "i4", "h": "i2", "b": "i1", "Q": "u8", "I": "u4", "H": "u2", "B": "u1",
}

// literal is the rest of a Python literal being read.
type literal struct{ rest string }

// peek returns the next byte after white space, 0 at the end.
func (p *literal) peek() byte {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n\x00")
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *literal) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *literal) word(w string) bool {
	p.peek()
	rest, ok := strings.CutPrefix(p.rest, w)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *literal) str() (string, error) {
	quote := p.peek()
	if quote != '\'' && quote != '"' {
		return "", errors.New("expected a quoted string")
	}
	end := strings.IndexByte(p.rest[1:], quote)
	if end < 0 {
		return "", errors.New("string without closing quote")
	}
	s := p.rest[1 : 1+end]
	p.rest = p.rest[end+2:]
	return s, nil
}

func (p *literal) tuple() ([]int, error) {
	if !p.take('(') {
		return nil, errors.New("shape is not a tuple")
	}
	shape := []int{}
	for !p.take(')') {
		p.peek()
		n := 0
		for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
			n++
		}
		d, err := strconv.Atoi(p.rest[:n])
		if err != nil {
			return nil, errors.New("bad number in shape")
		}
		p.rest = strings.TrimPrefix(p.rest[n:], "L") // Python 2 wrote long integers so
		if len(shape) == maxNPYDims {
			return nil, fmt.Errorf("more than %d dimensions", maxNPYDims)
		}
		shape = append(shape, d)
		if !p.take(',') && p.peek() != ')' {
			return nil, errors.New("no comma between dimensions")
		}
	}
	return shape, nil
}
