package export

import (
	"io"
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
func WriteSets(w io.Writer, s *Session, decimal Decimal) error {
	out := NewTable(w, decimal)
	if err := out.Row(texts(setColumns)...); err != nil {
		return err
	}
	for i := range s.Sets {
		e := &s.Sets[i]
		var keys, advice []string
		for _, f := range e.Faults {
			keys, advice = append(keys, f.Key), append(advice, f.Text)
		}
		if err := out.Row(
			s.ID, s.Subject, e.ID, e.Exercise, e.Name, e.Start, e.End, e.Repetitions, e.TargetRepetitions, e.Left, e.Right,
			e.Incomplete, e.NotJudged, e.RangeDeg.Median, e.RangeDeg.Best, e.RangeUnit, e.TempoS.Median, e.TempoS.Best,
			e.Regularity, e.Symmetry, strings.Join(keys, " "), strings.Join(advice, " "),
		); err != nil {
			return err
		}
	}
	return out.End()
}
