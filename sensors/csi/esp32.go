package csi

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// ESP32Dialect is a program on an ESP32 that prints CSI as lines of text.
type ESP32Dialect uint8

// The dialects, known by their number of fields.
const (
	ESP32Tool ESP32Dialect = iota // ESP32-CSI-Tool: 25 fields, values separated by blanks
	ESPCSI                        // esp-csi on ESP32, S2, S3, C3: 24 fields, values in quotes, separated by commas
	ESPCSI6                       // esp-csi on C5, C6: 14 fields, else as ESPCSI
)

// espFields are the places of the fields that are used, -1 if there is none.
type espFields struct {
	count                                    int
	mac, rssi, sigMode, bandwidth            int
	channel, timestamp, length, firstInvalid int
}

var espDialects = [...]espFields{
	ESP32Tool: {count: 25, mac: 2, rssi: 3, sigMode: 5, bandwidth: 7, channel: 16, timestamp: 18, length: 24, firstInvalid: -1},
	ESPCSI:    {count: 24, mac: 2, rssi: 3, sigMode: 5, bandwidth: 7, channel: 16, timestamp: 18, length: 22, firstInvalid: 23},
	ESPCSI6:   {count: 14, mac: 2, rssi: 3, sigMode: -1, bandwidth: -1, channel: 8, timestamp: 9, length: 12, firstInvalid: 13},
}

// Limits of a line.
const (
	MaxESP32Line   = 16 << 10
	espMaxValues   = 1024
	espLLTFValues  = 128 // of 64 subcarriers, which each line has
	espMaxTextHead = 512 // bytes before the values
)

// espPrefix begins each line of CSI.
var espPrefix = []byte("CSI_DATA,")

// ESP32Line is one line of CSI: the channel of a received frame at the one
// antenna of an ESP32 (sensors.md section 8).
type ESP32Line struct {
	Dialect ESP32Dialect
	MAC     [6]byte
	RSSIdBm int
	HT      bool // sig_mode: an 802.11n frame
	Wide    bool // bandwidth: 40 MHz
	Channel int
	TimeUS  uint32 // since boot, wraps after 71.6 minutes
	Len     int    // as the line says
	// FirstInvalid says that the first two subcarriers hold something else.
	FirstInvalid bool
	Values       []int16 // imaginary and real parts in turn, as printed
}

// Reasons for which a line is rejected; they are counters' names.
var (
	errESPFields = errors.New("bad_fields") // not the fields of any dialect
	errESPLength = errors.New("bad_length") // not as many values as it says
	errESPValue  = errors.New("bad_value")  // something that is no number, or too large
)

// ESP32LengthError is a line with another number of values than it says.
type ESP32LengthError struct {
	Says, Has int
	Sum       int // of the values that it has
}

// Error is the counter's name.
func (e *ESP32LengthError) Error() string { return errESPLength.Error() }

// Unwrap makes all of them one kind.
func (e *ESP32LengthError) Unwrap() error { return errESPLength }

// ParseESP32 decodes one line without its end. The error's text is the
// counter's name.
func ParseESP32(line []byte) (*ESP32Line, error) {
	open := bytes.IndexByte(line, '[')
	if open < 0 || open > espMaxTextHead || !bytes.HasPrefix(line, espPrefix) {
		return nil, errESPFields
	}
	head := bytes.TrimRight(line[:open], " \"")
	fields := bytes.Split(bytes.TrimSuffix(head, []byte(",")), []byte(","))
	l := &ESP32Line{}
	at, known := espFields{}, false
	for d, f := range espDialects {
		if f.count == len(fields) {
			l.Dialect, at, known = ESP32Dialect(d), f, true
		}
	}
	if !known {
		return nil, errESPFields
	}
	if err := l.readHead(fields, at); err != nil {
		return nil, err
	}
	end := bytes.IndexByte(line[open:], ']')
	if end < 0 {
		return nil, errESPLength
	}
	var err error
	if l.Values, err = espValues(line[open+1:open+end], l.Dialect); err != nil {
		return nil, err
	}
	if err = l.checkLength(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *ESP32Line) readHead(fields [][]byte, at espFields) error {
	var err error
	number := func(i int, bits int) int {
		if i < 0 {
			return 0
		}
		v, numErr := strconv.ParseInt(string(bytes.TrimSpace(fields[i])), 10, bits)
		if numErr != nil {
			err = errESPFields
		}
		return int(v)
	}
	from, macErr := parseMAC(string(bytes.TrimSpace(fields[at.mac])))
	if macErr != nil || from == (mac{}) {
		return errESPFields
	}
	l.MAC = from
	l.RSSIdBm, l.HT, l.Wide = number(at.rssi, 16), number(at.sigMode, 16) > 0, number(at.bandwidth, 16) > 0
	l.Channel, l.Len = number(at.channel, 16), number(at.length, 16)
	// Some builds print the clock as a signed number.
	l.TimeUS = uint32(number(at.timestamp, 64))
	l.FirstInvalid = at.firstInvalid < 0 || number(at.firstInvalid, 16) != 0
	return err
}

// checkLength compares the number of values with what the line says. Some
// builds print the first 128 whatever it is; the chips with joined values count
// these or their bytes.
func (l *ESP32Line) checkLength() error {
	n := len(l.Values)
	ok := n == l.Len || n == espLLTFValues && l.Len > n
	if l.Dialect == ESPCSI6 {
		ok = ok || 2*n == l.Len || 2*n == l.Len-2
	}
	if !ok || n%2 != 0 || n < 4 {
		e := &ESP32LengthError{Says: l.Len, Has: n}
		for _, v := range l.Values {
			e.Sum += int(v)
		}
		return e
	}
	return nil
}

// espValues reads the numbers between the brackets: all of one separator.
func espValues(b []byte, d ESP32Dialect) ([]int16, error) {
	least, most := int64(-128), int64(127)
	if d == ESPCSI6 {
		least, most = -2048, 2047
	}
	out := make([]int16, 0, espLLTFValues)
	for i := 0; i < len(b); {
		if b[i] == ' ' || b[i] == ',' {
			i++
			continue
		}
		end := i
		for end < len(b) && b[end] != ' ' && b[end] != ',' {
			end++
		}
		v, err := strconv.ParseInt(string(b[i:end]), 10, 16)
		if err != nil || v < least || v > most || len(out) >= espMaxValues {
			return nil, errESPValue
		}
		out = append(out, int16(v))
		i = end
	}
	return out, nil
}

// value returns the channel at a place in the order of the line.
func (l *ESP32Line) value(i int) complex64 {
	return complex(float32(l.Values[2*i+1]), float32(l.Values[2*i]))
}

// Channel samples of a line: where the training field begins that is used, and
// its number of subcarriers, which stand in the order of the FFT.
//
// The legacy field of 64 comes first. An 802.11n frame has its own behind it:
// 64 subcarriers, or 128 at 40 MHz.
func (l *ESP32Line) field() (first, n, lo, hi int) {
	pairs := len(l.Values) / 2
	switch {
	case l.HT && l.Wide && pairs >= 64+128:
		return 64, 128, 2, 58
	case l.HT && !l.Wide && pairs >= 64+64:
		return 64, 64, 1, 28
	case pairs >= 64:
		return 0, 64, 1, 26
	}
	return 0, pairs, 0, 0
}

// Tones returns the used subcarriers in ascending frequency and their indices.
func (l *ESP32Line) Tones() (h []complex64, tones []int) {
	first, n, lo, hi := l.field()
	if hi == 0 { // another set, in an order of its own: taken as it stands
		for i := range n {
			h, tones = append(h, l.value(i)), append(tones, i-n/2)
		}
		return h, tones
	}
	tones = toneRange(lo, hi)
	for _, k := range tones {
		h = append(h, l.value(first+(k+n)%n))
	}
	if first == 0 && l.FirstInvalid && lo == 1 { // tone +1 among the first two
		at := hi
		h[at] = (h[at-1] + h[at+1]) / 2
	}
	return h, tones
}

// AppendESP32 appends a line with its end. Values that the dialect cannot print
// are an error and leave dst as it was.
func AppendESP32(dst []byte, l *ESP32Line) ([]byte, error) {
	if int(l.Dialect) >= len(espDialects) || len(l.Values)%2 != 0 || len(l.Values) > espMaxValues || len(l.Values) < 4 {
		return dst, fmt.Errorf("esp32 line of dialect %d with %d values cannot be printed", l.Dialect, len(l.Values))
	}
	at := espDialects[l.Dialect]
	fields := make([]string, at.count)
	for i := range fields {
		fields[i] = "0"
	}
	set := func(i int, v string) {
		if i >= 0 {
			fields[i] = v
		}
	}
	bit := map[bool]string{false: "0", true: "1"}
	set(0, "CSI_DATA")
	set(at.mac, mac(l.MAC).String())
	set(at.rssi, strconv.Itoa(l.RSSIdBm))
	set(at.sigMode, bit[l.HT])
	set(at.bandwidth, bit[l.Wide])
	set(at.channel, strconv.Itoa(l.Channel))
	set(at.timestamp, strconv.FormatUint(uint64(l.TimeUS), 10))
	set(at.length, strconv.Itoa(l.Len))
	set(at.firstInvalid, bit[l.FirstInvalid])
	start := len(dst)
	for _, f := range fields {
		dst = append(append(dst, f...), ',')
	}
	most, separator, left, right := int16(127), byte(','), "\"[", "]\"\n"
	switch l.Dialect {
	case ESP32Tool:
		separator, left, right = ' ', "[", " ]\n"
	case ESPCSI6:
		most = 2047
	case ESPCSI:
	}
	dst = append(dst, left...)
	for i, v := range l.Values {
		if v > most || v < -most-1 {
			return dst[:start], fmt.Errorf("csi value %d (number %d) does not fit the dialect: scale the recording", v, i)
		}
		if i > 0 {
			dst = append(dst, separator)
		}
		dst = strconv.AppendInt(dst, int64(v), 10)
	}
	return append(dst, right...), nil
}
