package motionfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// maxLine is the longest line of a TRC file, bytes.
const maxLine = 1 << 20

// lines reads a text file line by line, whatever its line ends, and knows where it is.
type lines struct {
	s *bufio.Scanner
	n int
}

func newLines(r io.Reader) *lines {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	s.Split(anyLine)
	return &lines{s: s}
}

// anyLine splits at LF, CR LF and CR.
func anyLine(data []byte, atEOF bool) (advance int, token []byte, err error) {
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0 && atEOF && len(data) > 0:
		return len(data), data, nil
	case i < 0 || data[i] == '\r' && i+1 == len(data) && !atEOF:
		return 0, nil, nil
	case data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n':
		return i + 2, data[:i], nil
	}
	return i + 1, data[:i], nil
}

func (l *lines) next() (string, bool) {
	if !l.s.Scan() {
		return "", false
	}
	l.n++
	text := l.s.Text()
	if l.n == 1 {
		text = strings.TrimPrefix(text, "\ufeff")
	}
	return text, true
}

func (l *lines) err(format string, args ...any) error {
	if err := l.s.Err(); err != nil {
		return fmt.Errorf("trc: line %d: %w", l.n+1, err)
	}
	return fmt.Errorf("trc: line %d: %w", l.n, fmt.Errorf(format, args...))
}

// cells splits a line at tabs, or, in files that have none, at spaces.
func cells(line string) []string {
	if strings.ContainsRune(line, '\t') {
		list := strings.Split(line, "\t")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		return list
	}
	return strings.Fields(line)
}

// number reads a decimal number, with a point or a comma.
func number(s string) (float64, error) {
	if strings.Count(s, ",") == 1 && !strings.Contains(s, ".") {
		s = strings.Replace(s, ",", ".", 1)
	}
	return strconv.ParseFloat(s, 64)
}

// trcHeader is what the second and third line of a TRC file say.
type trcHeader struct {
	rateHz, metres  float64
	unit            string
	frames, markers int // 0: not said
}

// ReadTRC reads a TRC file: tab separated text of OpenSim, Vicon, Cortex, Qualisys,
// Pose2Sim. Empty cells, NaN and a place of exactly 0, 0, 0 are markers not seen.
// Points are metres, in the file's axes; of most systems y is up. The error names the
// line. Source: OpenSim's documentation, "Marker (.trc) Files".
func ReadTRC(r io.Reader) (*Motion, error) {
	l := newLines(r)
	line, ok := l.next()
	if !ok || !strings.HasPrefix(strings.TrimSpace(line), "PathFileType") {
		return nil, l.err("this is no TRC file: it does not begin with PathFileType")
	}
	h, err := l.trcHeader()
	if err != nil {
		return nil, err
	}
	m := &Motion{RateHz: h.rateHz, Units: h.unit}
	if m.Names, err = l.trcNames(h.markers); err != nil {
		return nil, err
	}
	if _, ok := l.next(); !ok {
		return nil, l.err("the line with X1 Y1 Z1 is missing: the file is cut short")
	}
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := l.trcFrame(m, cells(line), h.metres); err != nil {
			return nil, err
		}
	}
	if l.s.Err() != nil {
		return nil, l.err("")
	}
	if h.frames > len(m.Points) {
		return nil, l.err("NumFrames says %d frames, the file has %d: it is cut short", h.frames, len(m.Points))
	}
	if err := m.finish(); err != nil {
		return nil, fmt.Errorf("trc: %w", err)
	}
	return m, nil
}

func (l *lines) trcHeader() (h trcHeader, err error) {
	keyLine, ok1 := l.next()
	valueLine, ok2 := l.next()
	if !ok1 || !ok2 {
		return h, l.err("the header is cut short")
	}
	keys, values := cells(keyLine), cells(valueLine)
	of := map[string]string{}
	for i, k := range keys {
		if i < len(values) && k != "" {
			of[strings.ToLower(k)] = values[i]
		}
	}
	if h.rateHz, err = number(of["datarate"]); err != nil || !(h.rateHz > 0 && h.rateHz <= maxRateHz) {
		return h, l.err("DataRate is %q, it must be the frames a second", of["datarate"])
	}
	if h.unit, h.metres, err = metresPer(of["units"]); err != nil {
		return h, l.err("Units: %w", err)
	}
	for key, into := range map[string]*int{"numframes": &h.frames, "nummarkers": &h.markers} {
		if of[key] == "" {
			continue
		}
		if *into, err = strconv.Atoi(of[key]); err != nil || *into < 0 {
			return h, l.err("%s is %q, it must be a whole number", key, of[key])
		}
	}
	return h, nil
}

// trcNames reads the line of the markers' names.
func (l *lines) trcNames(count int) (names []string, err error) {
	line, ok := l.next()
	list := cells(line)
	if !ok || len(list) < 3 || !strings.HasPrefix(strings.ToLower(list[0]), "frame") {
		return nil, l.err("Frame#, Time and the markers' names are missing")
	}
	for _, n := range list[2:] {
		if n != "" {
			names = append(names, n)
		}
	}
	switch {
	case len(names) > maxMarkers:
		return nil, l.err("%d markers, at most %d are read", len(names), maxMarkers)
	case count > 0 && count != len(names):
		return nil, l.err("NumMarkers says %d, there are %d names", count, len(names))
	}
	return names, nil
}

// trcFrame reads one row.
func (l *lines) trcFrame(m *Motion, row []string, metres float64) error {
	if len(row) < 2 {
		return l.err("a row begins with the frame's number and its time")
	}
	t, err := number(row[1])
	if err != nil || math.IsNaN(t) || math.IsInf(t, 0) {
		return l.err("time %q is no number", row[1])
	}
	if (len(m.Points)+1)*len(m.Names) > maxPoints {
		return l.err("more than %d places: cut the recording into pieces", maxPoints)
	}
	if last := 2 + 3*len(m.Names); len(row) > last && strings.Join(row[last:], "") != "" {
		return l.err("%d values for %d markers", len(row)-2, len(m.Names))
	}
	frame := make([]Point, len(m.Names))
	for k := range frame {
		if frame[k], err = trcPoint(row, 2+3*k, metres); err != nil {
			return l.err("marker %s: %w", m.Names[k], err)
		}
	}
	m.TimesS, m.Points = append(m.TimesS, t), append(m.Points, frame)
	return nil
}

// trcPoint reads the three cells of a marker; cells left out at the end of a row are empty.
func trcPoint(row []string, at int, metres float64) (Point, error) {
	var v [3]float64
	empty := 0
	for c := range v {
		v[c] = math.NaN()
		if at+c >= len(row) || row[at+c] == "" {
			empty++
			continue
		}
		x, err := number(row[at+c])
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return Point{}, fmt.Errorf("%q is no number", row[at+c])
		}
		v[c] = x
	}
	if empty == 1 || empty == 2 {
		return Point{}, errors.New("some of x, y, z are empty: all or none")
	}
	return scaled(v[0], v[1], v[2], metres), nil
}

// WriteTRC writes metres at an even rate, frames from 1, in the axes of the points.
// OpenSim stops at a marker that is missing, so every point must be seen.
func WriteTRC(w io.Writer, name string, m *Motion) error {
	if err := m.whole(); err != nil {
		return fmt.Errorf("trc: %w", err)
	}
	b := bufio.NewWriter(w)
	n := len(m.Points)
	rate := strconv.FormatFloat(m.RateHz, 'f', -1, 64)
	fmt.Fprintf(b, "PathFileType\t4\t(X/Y/Z)\t%s\n", oneLine(name))
	fmt.Fprint(b, "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n")
	fmt.Fprintf(b, "%s\t%s\t%d\t%d\tm\t%s\t1\t%d\nFrame#\tTime", rate, rate, n, len(m.Names), rate, n)
	for _, name := range m.Names {
		fmt.Fprintf(b, "\t%s\t\t", oneLine(name))
	}
	fmt.Fprint(b, "\n\t")
	for k := range m.Names {
		fmt.Fprintf(b, "\tX%d\tY%d\tZ%d", k+1, k+1, k+1)
	}
	fmt.Fprint(b, "\n\n")
	var row []byte
	for i, frame := range m.Points {
		row = append(strconv.AppendInt(row[:0], int64(i+1), 10), '\t')
		row = strconv.AppendFloat(row, float64(i)/m.RateHz, 'f', 6, 64)
		for _, p := range frame {
			for _, v := range p {
				row = strconv.AppendFloat(append(row, '\t'), v, 'f', 6, 64)
			}
		}
		if _, err := b.Write(append(row, '\n')); err != nil {
			return fmt.Errorf("trc: %w", err)
		}
	}
	return b.Flush()
}

// oneLine is text without what ends a cell or a line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return '_'
		}
		return r
	}, s)
}

// whole reports what keeps the motion from being written to a file without gaps.
func (m *Motion) whole() error {
	if len(m.Points) == 0 || len(m.Names) == 0 || !(m.RateHz > 0) {
		return errors.New("there is no motion to write")
	}
	for i, frame := range m.Points {
		for k, p := range frame {
			if !p.Seen() {
				return fmt.Errorf("frame %d: marker %s is missing, fill the gaps first", i+1, m.Names[k])
			}
		}
	}
	return nil
}
