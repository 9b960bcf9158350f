package camera

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

const (
	mjpegReadBytes = 32 << 10 // room for one read
	mjpegHeadBytes = 8 << 10  // kept of what lies between two pictures
	minBoundary    = 3        // shortest line that is taken for a boundary
)

// mjpegPart is a picture of a stream.
type mjpegPart struct {
	data      []byte
	receiveNS int64 // room clock when its first byte came
	deviceNS  int64 // the camera's own stamp, valid if hasDevice
	hasDevice bool
}

// mjpegSplitter finds the pictures in a stream of motion JPEG. Cameras disagree
// on all that multipart/x-mixed-replace puts around them, so it goes by the
// JPEGs themselves: a picture begins where one begins, and ends where it says
// so, where the boundary stands or, if neither is there yet, where the camera
// says by Content-Length.
type mjpegSplitter struct {
	boundary []byte // without dashes; empty: unknown
	limit    int    // bytes of a picture

	buf  []byte
	head int // where what lies before a picture begins
	look int // no picture begins before this

	inside   bool
	part     mjpegPart // being read, without its data
	start    int       // of its data
	want     int       // its end by Content-Length; 0: unknown
	walk     jpegWalker
	searched int // no boundary before this

	counted bool // the picture before was ended by its Content-Length
	marked  bool // and by its own end marker
	liar    bool // the camera's Content-Length is wrong
}

// room returns memory to read into; grown takes what was read.
func (s *mjpegSplitter) room() []byte {
	if s.head > 0 { // what lies before is done with
		s.buf = append(s.buf[:0], s.buf[s.head:]...)
		s.look -= s.head
		s.start -= s.head
		s.searched -= s.head
		s.want = max(s.want-s.head, 0)
		s.walk.pos -= s.head
		s.walk.looked -= s.head
		s.head = 0
	}
	s.buf = slices.Grow(s.buf, mjpegReadBytes)
	return s.buf[len(s.buf):cap(s.buf)]
}

func (s *mjpegSplitter) grown(n int) { s.buf = s.buf[:len(s.buf)+n] }

// next returns the next whole picture, false if there is none yet. It is given
// the time of the newest bytes. The data is valid until room is called. A
// picture beyond the limit has no data.
func (s *mjpegSplitter) next(nowNS int64) (mjpegPart, bool) {
	if !s.inside && !s.begin(nowNS) {
		return mjpegPart{}, false
	}
	end, ok := s.end()
	if !ok || end-s.start > s.limit {
		if len(s.buf)-s.start <= s.limit {
			return mjpegPart{}, false
		}
		if !ok {
			end = len(s.buf)
		}
		s.leave(end)
		return s.part, true
	}
	p := s.part
	p.data = s.buf[s.start:end]
	s.leave(end)
	return p, true
}

// rest returns the picture that the stream's end cuts, if there is one.
func (s *mjpegSplitter) rest() (mjpegPart, bool) {
	if !s.inside {
		return mjpegPart{}, false
	}
	p := s.part
	p.data = s.buf[s.start:]
	s.leave(len(s.buf))
	return p, true
}

// leave goes on behind a picture.
func (s *mjpegSplitter) leave(end int) { s.inside, s.head, s.look = false, end, end }

// begin looks for the start of a picture.
func (s *mjpegSplitter) begin(nowNS int64) bool {
	i := bytes.Index(s.buf[s.look:], jpegStart)
	if i < 0 {
		s.head = max(s.head, len(s.buf)-mjpegHeadBytes)
		s.look = max(s.head, len(s.buf)-len(jpegStart)+1)
		return false
	}
	s.start = s.look + i
	head := s.buf[s.head:s.start]
	if s.counted && !isText(head) {
		s.liar = true // the picture went on behind its Content-Length
	}
	length, deviceNS := partHeader(head)
	s.part = mjpegPart{receiveNS: nowNS, deviceNS: deviceNS, hasDevice: deviceNS > 0}
	s.inside, s.want, s.searched, s.walk = true, 0, s.start, walkFrom(s.start)
	if want := s.head + bodyStart(head) + length; length > 0 && length <= s.limit && want > s.start && !s.liar {
		s.want = want
	}
	s.counted, s.head = false, s.start
	return true
}

// end looks for the end of the picture.
func (s *mjpegSplitter) end() (int, bool) {
	upTo, ended := len(s.buf), false
	for !ended {
		p, ok := s.walk.next(s.buf)
		if !ok {
			break
		}
		switch p.marker {
		case markEOI:
			s.marked = true
			return p.end, true
		case markSOI:
			upTo, ended = p.start, true
		}
	}
	// A boundary of few letters may stand in a picture by chance, so it is of
	// use only where pictures do not end themselves.
	if !s.marked || ended {
		from := min(s.searched, upTo) // fill bytes that were searched may be the start of a marker
		if i := s.boundaryIn(s.buf[from:upTo]); i >= 0 {
			s.marked = false
			return from + i, true
		}
		// One may have come in part, behind a line of dashes.
		s.searched = max(s.searched, upTo-len(s.boundary)-len("\r\n----"))
	}
	if !ended && s.want > 0 && len(s.buf) >= s.want { // without its end marker
		s.counted, s.marked = true, false
		return s.want, true
	}
	s.marked = s.marked && !ended
	return upTo, ended
}

// boundaryIn returns where the line before a boundary's ends, -1 if there is
// none.
func (s *mjpegSplitter) boundaryIn(data []byte) int {
	if len(s.boundary) == 0 {
		return -1
	}
	for from := 0; ; {
		i := bytes.Index(data[from:], s.boundary)
		if i < 0 {
			return -1
		}
		at, after := from+i, from+i+len(s.boundary)
		before := bytes.TrimRight(data[:at], "-")
		dashes := at - len(before)
		if bytes.HasSuffix(before, []byte("\n")) && dashes+len(s.boundary) >= minBoundary &&
			after < len(data) && bytes.IndexByte([]byte("\r\n-"), data[after]) >= 0 {
			return len(bytes.TrimRight(before, "\r\n"))
		}
		from = at + 1
	}
}

// isText reports whether the bytes may be boundaries and headers.
func isText(b []byte) bool {
	for _, c := range b {
		if c >= 0x7F || c < ' ' && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// bodyStart returns where the body begins in what lies before a picture.
func bodyStart(head []byte) int {
	if i := max(bytes.LastIndex(head, []byte("\n\r\n"))+3, bytes.LastIndex(head, []byte("\n\n"))+2); i > 2 {
		return i
	}
	return len(head)
}

// partHeader reads the header of a part: its length and the camera's stamp, 0
// if they are not there.
func partHeader(head []byte) (length int, deviceNS int64) {
	for line := range strings.Lines(string(head)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "content-length":
			length, _ = strconv.Atoi(value) // 0: unknown
		case "x-timestamp":
			deviceNS = stampNS(value)
		}
	}
	return length, deviceNS
}

// stampNS reads seconds with their fraction, as mjpg-streamer and the ESP32
// camera stamp their pictures. Whole seconds, and 0, say nothing.
func stampNS(value string) int64 {
	whole, fraction, _ := strings.Cut(value, ".")
	if len(fraction) < 3 || len(fraction) > 9 {
		return 0
	}
	s, err := strconv.ParseUint(whole, 10, 33)
	if err != nil {
		return 0
	}
	ns, err := strconv.ParseUint((fraction + "00000000")[:9], 10, 64)
	if err != nil {
		return 0
	}
	return int64(s)*1e9 + int64(ns)
}
