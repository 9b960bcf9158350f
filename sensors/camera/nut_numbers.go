package camera

import (
	"errors"
	"io"
)

// noEOF is for the middle of a picture, where an end is none.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readNUTNumber reads a number of seven bits a byte, highest first.
func readNUTNumber(in io.ByteReader) (uint64, error) {
	var v uint64
	for range 10 {
		b, err := in.ReadByte()
		if err != nil {
			return 0, noEOF(err)
		}
		v = v<<7 | uint64(b&0x7f)
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, badNUT("a number without an end")
}

// nutNumbers reads the numbers of a header.
type nutNumbers struct {
	b   []byte
	bad bool // the header ended before
}

// ReadByte implements io.ByteReader.
func (n *nutNumbers) ReadByte() (byte, error) {
	if len(n.b) == 0 {
		return 0, io.EOF
	}
	v := n.b[0]
	n.b = n.b[1:]
	return v, nil
}

func (n *nutNumbers) u() uint64 {
	v, err := readNUTNumber(n)
	n.bad = n.bad || err != nil
	return v
}

// s reads a signed number: 0, 1, -1, 2, -2 and so on.
func (n *nutNumbers) s() int64 {
	v := n.u() + 1
	if v&1 != 0 {
		return -int64(v >> 1)
	}
	return int64(v >> 1)
}

func (n *nutNumbers) bytes() []byte {
	length := n.u()
	if length > uint64(len(n.b)) {
		n.bad = true
		return nil
	}
	b := n.b[:length]
	n.b = n.b[length:]
	return b
}
