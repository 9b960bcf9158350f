package camera

import (
	"bytes"
	"fmt"
	"image"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// split feeds a stream in portions and returns its pictures.
func split(stream []byte, boundary string, limit, portion int) (parts []mjpegPart, s *mjpegSplitter) {
	s = &mjpegSplitter{limit: limit, boundary: []byte(boundary)}
	keep := func(p mjpegPart, ok bool) bool {
		if ok {
			if p.data != nil {
				p.data = slices.Clone(p.data)
			}
			parts = append(parts, p)
		}
		return ok
	}
	for now := int64(1); len(stream) > 0; now++ {
		n := min(copy(s.room(), stream), portion)
		s.grown(n)
		stream = stream[n:]
		for keep(s.next(now)) {
		}
	}
	keep(s.rest())
	return parts, s
}

func TestMJPEGSplit(t *testing.T) {
	whole := [][]byte{encodeJPEG(t, gradient(16, 16)), encodeJPEG(t, gradient(40, 24)), encodeJPEG(t, gradient(8, 8))}
	bare := make([][]byte, len(whole))
	for i, w := range whole {
		bare[i] = without(t, without(t, w, markDHT), markEOI)
	}
	// stream joins pictures with a header before each; in it, LEN is the length.
	stream := func(pictures [][]byte, before, after string) []byte {
		var b bytes.Buffer
		for _, p := range pictures {
			b.WriteString(strings.ReplaceAll(before, "LEN", fmt.Sprint(len(p))))
			b.Write(p)
			b.WriteString(after)
		}
		return b.Bytes()
	}
	const header = "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: LEN\r\n\r\n"
	const noLength = "--frame\r\nContent-Type: image/jpeg\r\n\r\n"
	wrongLength := func(by int) []byte {
		var b bytes.Buffer
		for _, p := range whole {
			fmt.Fprintf(&b, "--frame\r\nContent-Length: %d\r\n\r\n%s\r\n", len(p)+by, p)
		}
		return b.Bytes()
	}
	short := slices.Clone(whole)
	short[0] = whole[0][:len(whole[0])-40]
	for name, c := range map[string]struct {
		stream []byte
		want   [][]byte
	}{
		"as it should be":             {append(stream(whole, header, "\r\n"), "--frame--\r\n"...), whole},
		"without the end":             {stream(whole, header, "\r\n"), whole},
		"without lengths":             {stream(whole, noLength, "\r\n"), whole},
		"without types":               {stream(whole, "--frame\r\n\r\n", "\r\n"), whole},
		"without headers":             {stream(whole, "--frame\r\n", "\r\n"), whole},
		"without a line before":       {stream(whole, header, ""), whole},
		"line feeds alone":            {stream(whole, "--frame\nContent-Length: LEN\n\n", "\n"), whole},
		"boundary without dashes":     {stream(whole, "frame\r\nContent-Length: LEN\r\n\r\n", "\r\n"), whole},
		"boundary with more dashes":   {stream(whole, "----frame\r\nContent-length:LEN\r\n\r\n", "\r\n"), whole},
		"another boundary":            {stream(whole, "--other\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n"), whole},
		"a preamble":                  {append([]byte("This is MIME.\r\n\x01\xff\xd8\r\n"), stream(whole, header, "\r\n")...), whole},
		"parts of text between":       {stream(whole, "--frame\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello\r\n"+header, "\r\n"), whole},
		"garbage before each":         {stream(whole, noLength+"\x00\xff\x00", "\r\n"), whole},
		"padding behind each":         {stream(whole, noLength, "\x00\x00\x00\r\n"), whole},
		"nothing between":             {stream(whole, "", ""), whole},
		"no end markers":              {stream(bare, header, "\r\n"), bare},
		"no end markers, no lengths":  {stream(bare, noLength, "\r\n"), append(bare[:2:2], append(slices.Clone(bare[2]), "\r\n"...))},
		"no end markers, no dashes":   {stream(bare, "frame\r\n\r\n", "\r\n"), append(bare[:2:2], append(slices.Clone(bare[2]), "\r\n"...))},
		"lengths too long":            {wrongLength(7), whole},
		"lengths far too long":        {wrongLength(100_000), whole},
		"lengths too short":           {wrongLength(-40), short},
		"lengths that are none":       {stream(whole, "--frame\r\nContent-Length: -1\r\nContent-Length: x\r\n\r\n", "\r\n"), whole},
		"lengths beyond every number": {stream(whole, "--frame\r\nContent-Length: 99999999999999999999\r\n\r\n", "\r\n"), whole},
		"the last is cut":             {stream(whole, header, "\r\n")[:len(stream(whole, header, "\r\n"))-60], append(whole[:2:2], whole[2][:len(whole[2])-58])},
		"no picture":                  {[]byte(strings.Repeat("--frame\r\nContent-Type: text/html\r\n\r\n<p>busy</p>\r\n", 1000)), nil},
	} {
		for _, portion := range []int{1, 7, 300, 1 << 20} {
			t.Run(fmt.Sprint(name, ", ", portion), func(t *testing.T) {
				if name == "lengths too short" && portion >= 300 {
					c.want = whole // the rest is there when the length is asked for
				}
				got, s := split(c.stream, "frame", maxImageBytes, portion)
				for i := range max(len(got), len(c.want)) {
					if i >= len(got) || i >= len(c.want) || !bytes.Equal(got[i].data, c.want[i]) {
						t.Fatalf("%d pictures, want %d; the first that differs is %d", len(got), len(c.want), i)
					}
				}
				if len(s.buf) > mjpegHeadBytes+mjpegReadBytes+len(c.stream)/2 {
					t.Errorf("%d bytes are kept", len(s.buf))
				}
			})
		}
	}
}

// TestMJPEGSplitOfNoise: what looks like a short boundary, and stands in a large
// picture by chance, does not cut it.
func TestMJPEGSplitOfNoise(t *testing.T) {
	noise := image.NewGray(image.Rect(0, 0, 640, 480))
	r := rand.New(rand.NewPCG(3, 4))
	for i := range noise.Pix {
		noise.Pix[i] = byte(r.Uint32())
	}
	picture := encodeJPEG(t, noise)
	if !bytes.Contains(picture, []byte("\nb")) {
		t.Fatal("this noise holds no line that begins with the boundary")
	}
	bare := without(t, picture, markEOI)
	for name, p := range map[string][]byte{"whole": picture, "without end markers": bare} {
		var stream bytes.Buffer
		for range 3 {
			fmt.Fprintf(&stream, "--b\r\n\r\n%s\r\n", p)
		}
		stream.WriteString("--b--\r\n")
		for _, portion := range []int{100, 1460, 1 << 20} {
			got, _ := split(stream.Bytes(), "b", maxImageBytes, portion)
			for i := range max(len(got), 3) {
				if i >= len(got) || i >= 3 || !bytes.Equal(got[i].data, p) {
					t.Fatalf("%s, portions of %d: %d pictures; the first that differs is %d", name, portion, len(got), i)
				}
			}
		}
	}
}

// TestMJPEGSplitAtOnce: a picture is handed on with its last byte, not with the
// next one's first, and has the time of its own first byte.
func TestMJPEGSplitAtOnce(t *testing.T) {
	picture := encodeJPEG(t, gradient(16, 16))
	for name, header := range map[string]string{
		"length":    fmt.Sprintf("\r\n--frame\r\nX-Timestamp: 12.500001\r\nContent-Length: %d\r\n\r\n", len(picture)),
		"no length": "\r\n--frame\r\nX-Timestamp: 12.500001\r\n\r\n",
	} {
		s := &mjpegSplitter{limit: 1000}
		feed := func(now int64, data []byte) (mjpegPart, bool) {
			s.grown(copy(s.room(), data))
			return s.next(now)
		}
		for i := range int64(3) {
			if _, ok := feed(10*i+1, []byte(header)); ok {
				t.Errorf("%s: a picture of a header", name)
			}
			if _, ok := feed(10*i+2, picture[:100]); ok {
				t.Errorf("%s: a picture of a part", name)
			}
			p, ok := feed(10*i+3, picture[100:])
			if !ok || !bytes.Equal(p.data, picture) || p.receiveNS != 10*i+2 || !p.hasDevice || p.deviceNS != 12_500_001_000 {
				t.Errorf("%s: picture %d: %v, came at %d, stamp %d", name, i, ok, p.receiveNS, p.deviceNS)
			}
		}
	}
}

func TestMJPEGSplitBoundsPictures(t *testing.T) {
	large, small := encodeJPEG(t, gradient(160, 160)), encodeJPEG(t, gradient(8, 8))
	stream := slices.Concat([]byte("--f\r\n\r\n"), large, []byte("\r\n--f\r\n\r\n"), small, []byte("\r\n--f\r\n\r\n"), large, small)
	for _, portion := range []int{5, 1 << 20} {
		got, _ := split(stream, "f", len(small), portion)
		if len(got) != 4 || got[0].data != nil || !bytes.Equal(got[1].data, small) || got[2].data != nil || !bytes.Equal(got[3].data, small) {
			t.Errorf("portions of %d: %d pictures, want the two small ones and two that are none", portion, len(got))
		}
	}
	endless, s := split(append(slices.Clone(large[:700]), make([]byte, 1<<20)...), "", 10_000, 1000)
	if len(endless) != 1 || endless[0].data != nil || cap(s.buf) > 200_000 {
		t.Errorf("a picture without an end: %d pictures, %d bytes kept", len(endless), cap(s.buf))
	}
}

func TestStamps(t *testing.T) {
	for value, want := range map[string]int64{
		"1700000000.123456": 1_700_000_000_123_456_000, "5.000123": 5_000_123_000, "0.001": 1_000_000, "7.123456789": 7_123_456_789,
		"": 0, "0.000000": 0, "1700000000": 0, "17.5": 0, "-1.000000": 0, "1e9.000": 0, "1.00x": 0, "99999999999.000": 0, "1.1234567890": 0,
	} {
		if got := stampNS(value); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}

func TestBoundaries(t *testing.T) {
	for contentType, want := range map[string]string{
		"multipart/x-mixed-replace;boundary=frame":                "frame",
		"multipart/x-mixed-replace; boundary=--frame":             "frame",
		`multipart/x-mixed-replace; Boundary = "--a b:c" ; x=y`:   "a b:c",
		"multipart/x-mixed-replace":                               "",
		"multipart/x-mixed-replace; boundary=":                    "",
		"multipart/x-mixed-replace;charset=utf-8; boundary='foo'": "foo",
	} {
		if got := boundaryOf(contentType); string(got) != want {
			t.Errorf("%s: %q, want %q", contentType, got, want)
		}
	}
}

func FuzzMJPEGSplit(f *testing.F) {
	p := encodeJPEG(f, gradient(8, 8))
	f.Add(slices.Concat([]byte("--b\r\nContent-Length: 300\r\n\r\n"), p, []byte("\r\n--b\r\n\r\n"), p), "b", uint16(9), uint16(500))
	f.Add([]byte("\n\n\xff\xd8\xff\xd9\xff\xd8\xff\xe0\x00\x00\n-b"), "b", uint16(1), uint16(5))
	f.Fuzz(func(t *testing.T, stream []byte, boundary string, portion, limit uint16) {
		parts, s := split(stream, boundary, int(limit)+1, int(portion)+1)
		n := 0
		for i, p := range parts {
			n += len(p.data)
			// The last may be what the stream's end left.
			if p.data != nil && (!bytes.HasPrefix(p.data, jpegStart[:2]) || len(p.data) > int(limit)+1 && i < len(parts)-1) {
				t.Errorf("picture %d: %d bytes that begin with %x", i, len(p.data), p.data[:min(3, len(p.data))])
			}
		}
		if n > len(stream) {
			t.Errorf("%d bytes of pictures in %d", n, len(stream))
		}
		if len(s.buf) > int(limit)+mjpegHeadBytes+2*mjpegReadBytes+4 {
			t.Errorf("%d bytes kept with a limit of %d", len(s.buf), limit)
		}
	})
}
