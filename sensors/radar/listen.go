package radar

import (
	"bytes"
	"context"
	"errors"
)

// Heard is what came from a serial port while somebody listened.
type Heard struct {
	Bytes       int
	Frames      int    // of a TI demo
	Layout      Layout // of those
	CommandLine bool   // the prompt of a demo's command line was among the bytes
}

// Listen reads a serial port until ctx ends and sends nothing. The error says
// why it cannot be read and what to do.
func Listen(ctx context.Context, path string, baud int) (h Heard, err error) {
	p, err := openPort(path, baud)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	d := NewDecoder(LayoutAuto, func(f *Frame) { h.Frames, h.Layout = h.Frames+1, f.Layout }, func(Reason) {})
	buf := make([]byte, 4096)
	for ctx.Err() == nil {
		n, err := p.Read(buf)
		if err != nil {
			return h, err
		}
		h.Bytes += n
		d.Feed(0, buf[:n])
		h.CommandLine = h.CommandLine || bytes.Contains(buf[:n], []byte(":/>"))
	}
	d.End(0)
	return h, nil
}
