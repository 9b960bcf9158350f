package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"posefuse/sensors/capture"
)

// firstValues is how many points or CSI values of the first frame a summary
// shows.
const firstValues = 8

// maxListed is how many senders a report names.
const maxListed = 64

// decodeReport prints frames, or sums them up.
type decodeReport struct {
	format  *capture.Format
	summary bool
	out     *bufio.Writer
	line    []byte
	err     error

	Frames   uint64
	Packets  uint64
	Values   uint64
	Rejected map[string]uint64
	sums     [2]float64
	first    map[string]any
	notes    map[string]any
	senders  map[string]uint64 // frames by who sent them
	timed    bool
	span     [2]int64 // ns
}

func newDecodeReport(out io.Writer, format *capture.Format, summary bool) *decodeReport {
	return &decodeReport{format: format, summary: summary, out: bufio.NewWriter(out), Rejected: map[string]uint64{}, notes: map[string]any{}}
}

func (r *decodeReport) output() *capture.Output {
	return &capture.Output{
		Emit:    r.frame,
		Count:   func(reason string, n uint64) { addCount(r.Rejected, reason, n) },
		Packets: func(n uint64) { r.Packets += n },
		Note:    func(key string, value any) { r.notes[key] = value },
	}
}

func addCount(counts map[string]uint64, reason string, n uint64) {
	if n > 0 {
		counts[reason] += n
	}
}

func (r *decodeReport) frame(f *capture.Record) {
	var sums [2]float64
	rows := 0
	for i := 0; f.Width > 1 && i+f.Width <= len(f.Values); i += f.Width {
		sums[0] += f.Values[i]
		sums[1] += f.Values[i+1]
		rows++
	}
	if from := f.Sender; from != "" && (len(r.senders) < maxListed || r.senders[from] > 0) {
		if r.senders == nil {
			r.senders = map[string]uint64{}
		}
		r.senders[from]++
	}
	r.sums[0] += sums[0]
	r.sums[1] += sums[1]
	r.Values += uint64(rows)
	if f.HasTime {
		if !r.timed {
			r.timed, r.span = true, [2]int64{f.TimeNS, f.TimeNS}
		}
		r.span = [2]int64{min(r.span[0], f.TimeNS), max(r.span[1], f.TimeNS)}
	}
	if r.Frames == 0 && r.summary {
		r.first = r.firstFrame(f, sums, rows)
	}
	if !r.summary && r.err == nil {
		r.err = r.writeLine(f)
	}
	r.Frames++
}

// firstFrame keeps the start of the first frame.
func (r *decodeReport) firstFrame(f *capture.Record, sums [2]float64, rows int) map[string]any {
	values, sum1, sum2 := valueNames(r.format.Modality)
	first := maps.Clone(f.Fields)
	if first == nil {
		first = map[string]any{}
	}
	if f.HasTime {
		first["time_ns"] = f.TimeNS
	}
	if _, named := first["mac"]; !named && f.Sender != "" {
		first["sender"] = f.Sender
	}
	first[values] = json.RawMessage(appendRows(nil, f.Values[:min(firstValues, rows)*f.Width], f.Width))
	first[values+"_count"] = rows
	first[sum1], first[sum2] = jsonNumber(sums[0]), jsonNumber(sums[1])
	return first
}

// writeLine prints one frame.
func (r *decodeReport) writeLine(f *capture.Record) error {
	values, _, _ := valueNames(r.format.Modality)
	b := append(r.line[:0], `{"frame":`...)
	b = strconv.AppendUint(b, r.Frames, 10)
	if f.HasTime {
		b = append(b, `,"time_ns":`...)
		b = strconv.AppendInt(b, f.TimeNS, 10)
	}
	if _, named := f.Fields["mac"]; !named && f.Sender != "" {
		b = strconv.AppendQuote(append(b, `,"sender":`...), f.Sender)
	}
	for _, key := range slices.Sorted(maps.Keys(f.Fields)) {
		v, err := json.Marshal(f.Fields[key])
		if err != nil {
			return fmt.Errorf("field %s: %w", key, err)
		}
		b = append(strconv.AppendQuote(append(b, ','), key), ':')
		b = append(b, v...)
	}
	b = append(append(b, `,"`...), values...)
	b = appendRows(append(b, `":`...), f.Values, f.Width)
	r.line = append(b, "}\n"...)
	_, err := r.out.Write(r.line)
	return err
}

// appendRows writes values as a JSON array of rows. What is no number, and
// JSON has no word for, becomes null.
func appendRows(b []byte, values []float64, width int) []byte {
	b = append(b, '[')
	for i := 0; width > 0 && i+width <= len(values); i += width {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for k, v := range values[i : i+width] {
			if k > 0 {
				b = append(b, ',')
			}
			b = appendNumber(b, v)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

func appendNumber(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	bits := 64
	if float64(float32(v)) == v {
		bits = 32 // the shortest that is this value again
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

func jsonNumber(v float64) json.RawMessage { return appendNumber(nil, v) }

// finish prints the summary, or what was refused.
func (r *decodeReport) finish() error {
	if r.err == nil && r.summary {
		r.err = r.writeSummary()
	}
	if err := r.out.Flush(); r.err == nil {
		r.err = err
	}
	if !r.summary {
		fmt.Fprintf(os.Stderr, "%d frames of %s", r.Frames, r.format.Title)
		if len(r.Rejected) > 0 {
			fmt.Fprintf(os.Stderr, "; not decoded: %s", reasons(r.Rejected))
		}
		fmt.Fprintln(os.Stderr)
		if len(r.senders) > 1 {
			fmt.Fprintf(os.Stderr, "  frames of %d senders, --sender chooses one: %s\n", len(r.senders), reasons(r.senders))
		}
		for _, key := range slices.Sorted(maps.Keys(r.notes)) {
			if note, err := json.Marshal(r.notes[key]); err == nil {
				fmt.Fprintf(os.Stderr, "  %s: %s\n", key, note)
			}
		}
	}
	return r.err
}

func (r *decodeReport) writeSummary() error {
	values, sum1, sum2 := valueNames(r.format.Modality)
	s := map[string]any{
		"format": r.format.Name, "sensor": r.format.Modality.String(),
		"frames": r.Frames, "packets": r.Packets, "rejected": r.Rejected,
		values: r.Values, sum1: jsonNumber(r.sums[0]), sum2: jsonNumber(r.sums[1]),
	}
	if r.first != nil {
		s["first"] = r.first
	}
	if r.senders != nil {
		s["senders"] = r.senders
	}
	if r.timed {
		s["time"] = map[string]any{"first_ns": r.span[0], "last_ns": r.span[1], "span_s": float64(r.span[1]-r.span[0]) / 1e9}
	}
	if len(r.notes) > 0 {
		s["notes"] = r.notes
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	_, err = r.out.Write(append(b, '\n'))
	return err
}

// reasons lists counts, the most frequent first.
func reasons(counts map[string]uint64) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return int(min(max(int64(counts[b])-int64(counts[a]), -1), 1))
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d %s", counts[k], k))
	}
	return strings.Join(parts, ", ")
}
