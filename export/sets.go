package export

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"posefuse/message"
)

// Session is what somebody did in a room at one time.
type Session struct {
	ID      string
	Room    string
	Subject string // pseudonym
	Started time.Time
	Program string // name and version of the program that counted
	Sets    []message.ExerciseSummary
}

// setColumns are the columns of WriteSets.
var setColumns = []string{
	"session", "subject", "set", "exercise", "name", "start", "end", "repetitions", "target_repetitions", "left", "right", "incomplete", "not_judged",
	"range_median", "range_best", "range_unit", "tempo_median_s", "tempo_best_s", "regularity", "symmetry", "faults", "advice",
}

// WriteSets writes a line of CSV per set.
func WriteSets(w io.Writer, s *Session) error {
	out := csv.NewWriter(w)
	if err := out.Write(setColumns); err != nil {
		return err
	}
	optional := func(v *float64) string {
		if v == nil {
			return ""
		}
		return number(*v)
	}
	for i := range s.Sets {
		e := &s.Sets[i]
		var keys, advice []string
		for _, f := range e.Faults {
			keys, advice = append(keys, f.Key), append(advice, f.Text)
		}
		row := []string{
			s.ID, s.Subject, e.ID, e.Exercise, e.Name, e.Start, e.End, strconv.Itoa(e.Repetitions), strconv.Itoa(e.TargetRepetitions), strconv.Itoa(e.Left), strconv.Itoa(e.Right),
			strconv.Itoa(e.Incomplete), strconv.Itoa(e.NotJudged), number(e.RangeDeg.Median), number(e.RangeDeg.Best), e.RangeUnit, number(e.TempoS.Median), number(e.TempoS.Best),
			optional(e.Regularity), optional(e.Symmetry), strings.Join(keys, " "), strings.Join(advice, " "),
		}
		for k := range row {
			row[k] = cell(row[k])
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// cell keeps a spreadsheet from taking text for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		if _, err := strconv.ParseFloat(s, 64); err != nil {
			return "'" + s
		}
	}
	return s
}
