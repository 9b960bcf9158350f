package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Limits of what is read to tell a format.
const (
	headBytes     = 256 << 10
	headDatagrams = 256
)

// leastFit is the least that a format must fit to be chosen.
const leastFit = 50

// File is a file about to be decoded.
type File struct {
	head Head
	in   io.Reader // from the file's start
}

// ErrMetadata says that a format needs a file of metadata and got none.
var ErrMetadata = errors.New("metadata is missing")

// Open reads the head of a file.
func Open(in io.Reader) (*File, error) {
	head := make([]byte, headBytes)
	n, err := io.ReadFull(in, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("the file is empty")
	}
	f := &File{head: Head{Bytes: head[:n], Capture: Is(head[:n])}}
	f.in = io.MultiReader(bytes.NewReader(f.head.Bytes), in)
	if f.head.Capture {
		f.head.Datagrams = firstDatagrams(f.head.Bytes)
	}
	return f, nil
}

func firstDatagrams(head []byte) []Datagram {
	r, err := NewReader(bytes.NewReader(head))
	if err != nil {
		return nil
	}
	d := NewDecoder(func(string, uint64) {})
	var out []Datagram
	for len(out) < headDatagrams {
		p, err := r.Next()
		if err != nil {
			break
		}
		if g, ok := d.UDP(p); ok {
			g.Payload = bytes.Clone(g.Payload)
			out = append(out, g)
		}
	}
	return out
}

// Best returns the format that the file fits best, nil if it fits none.
func (f *File) Best(formats []Format) *Format {
	best, fit := -1, leastFit-1
	for i := range formats {
		if n := formats[i].Fits(&f.head); n > fit {
			best, fit = i, n
		}
	}
	if best < 0 {
		return nil
	}
	return &formats[best]
}

// Looks says in words what the file is if no format fits.
func (f *File) Looks() string {
	if !f.head.Capture {
		b := f.head.Bytes[:min(16, len(f.head.Bytes))]
		return fmt.Sprintf("it begins with the bytes % x", b)
	}
	if len(f.head.Datagrams) == 0 {
		return "it is a packet capture, and no UDP datagram is among its first packets"
	}
	var kinds []string
	for _, d := range f.head.Datagrams {
		kind := fmt.Sprintf("%d bytes to port %d", len(d.Payload), d.To.Port())
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) > 4 {
		kinds = append(kinds[:4], "others")
	}
	return "it is a packet capture of UDP datagrams with " + strings.Join(kinds, ", ")
}

// Decode runs the file through a format's decoder. An error is about the file
// or the metadata; what a decoder refuses is counted in out.
func (f *File) Decode(format *Format, o *Options, out *Output) error {
	if format.MetadataNeeded && o.Metadata == nil {
		return fmt.Errorf("%s data cannot be read without %s: %w", format.Name, format.Metadata, ErrMetadata)
	}
	if o.Metadata != nil && format.Metadata == "" {
		return fmt.Errorf("%s data needs no metadata, and %s is given", format.Name, o.MetadataName)
	}
	if o.Sender != "" {
		c := &choice{o: o, out: out}
		chosen := *out
		chosen.Emit = c.emit
		if err := f.decode(format, o, &chosen); err != nil {
			return err
		}
		return c.check()
	}
	return f.decode(format, o, out)
}

func (f *File) decode(format *Format, o *Options, out *Output) error {
	switch {
	case f.head.Capture && format.Datagrams != nil:
		to, err := newFlows(format, o, out)
		if err != nil {
			return err
		}
		return decodeCapture(f.in, to, out)
	case f.head.Capture:
		return fmt.Errorf("%s data does not come in UDP datagrams, and the file is a packet capture", format.Name)
	case format.Stream == nil:
		return fmt.Errorf("%s data comes in packet captures (pcap, pcapng), and the file is none: %s", format.Name, f.Looks())
	}
	d, err := format.Stream(o, out)
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := f.in.Read(buf)
		d.Feed(buf[:n])
		if errors.Is(err, io.EOF) {
			d.Finish()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// OutcomeCutPacket counts a packet that the end of a capture cuts.
const OutcomeCutPacket = "cut_packet"

// decodeCapture plays a packet capture to the decoders of its senders. One that is damaged is read up to
// there.
func decodeCapture(in io.Reader, to *flows, out *Output) error {
	r, err := NewReader(in)
	if err != nil {
		return err
	}
	var fragments uint64
	d := NewDecoder(func(outcome string, n uint64) {
		if outcome == OutcomeFragment { // joined, nothing is missing
			fragments += n
			return
		}
		out.Count(outcome, n)
	})
	for {
		p, err := r.Next()
		if err == nil {
			if g, ok := d.UDP(p); ok {
				if err = to.add(&g); err != nil {
					return err
				}
			}
			continue
		}
		d.Close()
		to.finish()
		if fragments > 0 {
			out.Note("joined_ip_fragments", fragments)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			out.Count(OutcomeCutPacket, 1)
			return nil
		}
		return err
	}
}
