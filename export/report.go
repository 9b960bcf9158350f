package export

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"posefuse/exercise"
	"posefuse/message"
)

//go:embed report.html.tmpl
var reportText string

var reportPage = template.Must(template.New("report").Parse(reportText))

// The drawing area of a trend, units of its picture.
const (
	trendLeft, trendWidth = 15.0, 570.0
	trendTop, trendHeight = 12.0, 80.0
)

type reportView struct {
	*reportWords
	Subject, When, Where, Program string
	Many                          bool
	Done                          []sessionView
	Trends                        []trendView
}

type sessionView struct {
	When string
	Sets []setView
}

type setView struct {
	Name, Side, Range, Tempo string
	Count, Target, Partial   int
	Sentences                []string
}

type trendView struct {
	Name, Low, High, First, Last, Line string
	Dots                               []dot
}

type dot struct{ X, Y float64 }

// WriteReport writes a page for a therapist and for A4 paper: every set of the
// sessions, oldest first, and for what was done in several of them how the range of
// motion went. All sessions are of one person; lang is one of exercise.Languages.
func WriteReport(w io.Writer, sessions []Session, lang string) error {
	if len(sessions) == 0 {
		return fmt.Errorf("there is no session to report")
	}
	wording, err := exercise.NewWording(lang)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	words := wordsOf[lang]
	day := func(t time.Time) string { return t.Format(words.Date) }
	sessions = slices.Clone(sessions)
	slices.SortStableFunc(sessions, func(a, b Session) int { return a.Started.Compare(b.Started) })
	last := &sessions[len(sessions)-1]
	v := reportView{reportWords: words, Subject: last.Subject, Where: last.Room, Program: last.Program, When: day(sessions[0].Started), Many: len(sessions) > 1}
	if v.Many {
		v.When = fmt.Sprintf("%d, %s %s %s", len(sessions), day(sessions[0].Started), words.To, day(last.Started))
	}
	for i := range sessions {
		s := sessionView{When: day(sessions[i].Started)}
		for k := range sessions[i].Sets {
			s.Sets = append(s.Sets, viewOf(&sessions[i].Sets[k], words, wording))
		}
		v.Done = append(v.Done, s)
	}
	v.Trends = trends(sessions, wording)
	if err := reportPage.Execute(w, &v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func viewOf(e *message.ExerciseSummary, words *reportWords, wording *exercise.Wording) setView {
	v := setView{Name: wording.Name(e.Exercise, e.Name), Count: e.Repetitions, Target: e.TargetRepetitions, Partial: e.Incomplete, Range: "–", Tempo: "–"}
	switch {
	case e.Left > 0 && e.Right == 0:
		v.Side = words.Left
	case e.Right > 0 && e.Left == 0:
		v.Side = words.Right
	}
	if e.RangeDeg.Best != 0 {
		v.Range = inUnit(e.RangeDeg.Median, e.RangeUnit) + ", " + inUnit(e.RangeDeg.Best, e.RangeUnit)
	}
	if e.TempoS.Median != 0 {
		v.Tempo = fmt.Sprintf("%.1f s", e.TempoS.Median)
	}
	for i := range e.Faults {
		v.Sentences = append(v.Sentences, wording.Advice(&e.Faults[i]))
	}
	return v
}

func inUnit(v float64, unit string) string {
	switch unit {
	case "deg":
		return fmt.Sprintf("%.0f°", v)
	case "m":
		return fmt.Sprintf("%.0f cm", 100*v)
	}
	return fmt.Sprintf("%.0f %%", 100*v)
}

// trends draws what was done in more than one session, by name.
func trends(sessions []Session, wording *exercise.Wording) (list []trendView) {
	type point struct {
		at   time.Time
		v    float64
		unit string
	}
	by, in := map[string][]point{}, map[string]map[string]bool{}
	for i := range sessions {
		s := &sessions[i]
		for k := range s.Sets {
			e := &s.Sets[k]
			if e.RangeDeg.Median == 0 || math.IsNaN(e.RangeDeg.Median) {
				continue
			}
			name := wording.Name(e.Exercise, e.Name)
			by[name] = append(by[name], point{s.Started, e.RangeDeg.Median, e.RangeUnit})
			if in[name] == nil {
				in[name] = map[string]bool{}
			}
			in[name][s.ID] = true
		}
	}
	for name, points := range by {
		if len(in[name]) < 2 {
			continue
		}
		lo, hi := points[0].v, points[0].v
		for _, p := range points {
			lo, hi = min(lo, p.v), max(hi, p.v)
		}
		unit := points[0].unit
		t := trendView{Name: name, Low: inUnit(lo, unit), High: inUnit(hi, unit), First: inUnit(points[0].v, unit), Last: inUnit(points[len(points)-1].v, unit)}
		var line []string
		for i, p := range points {
			d := dot{X: trendLeft + trendWidth*float64(i)/float64(len(points)-1), Y: trendTop + trendHeight/2}
			if base := min(lo, 0); hi > base { // from 0 on, or a small change looks like a large one
				d.Y = trendTop + trendHeight*(hi-p.v)/(hi-base)
			}
			d.X, d.Y = math.Round(d.X*10)/10, math.Round(d.Y*10)/10
			t.Dots, line = append(t.Dots, d), append(line, fmt.Sprintf("%g,%g", d.X, d.Y))
		}
		t.Line = strings.Join(line, " ")
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b trendView) int { return strings.Compare(a.Name, b.Name) })
	return list
}
