package exercise

import (
	"cmp"
	"math"
	"slices"

	"posefuse/message"
)

// wrongSideRare: one repetition of so many on the wrong side is no fault of the set.
const wrongSideRare = 5

func durationS(r *repetition) float64 { return float64(r.endNS-r.startNS) / 1e9 }

// summary sums up the set.
func (s *set) summary(t *Tracker) *message.ExerciseSummary {
	def := s.run.def
	end := s.startAt
	sum := &message.ExerciseSummary{
		Schema: message.ExerciseSummarySchema, Room: t.cfg.Room, ID: s.id, Exercise: def.Activity, Name: t.phrases.name(def),
		Start: stampRFC(s.startAt), Repetitions: s.repetitions(), TargetRepetitions: s.run.goal.Repetitions, Incomplete: s.incompletes(), IncompleteWhy: s.incomplete, NotJudged: s.notJudged,
		RangeUnit: def.Range.unit(), Faults: []message.Fault{},
	}
	var ranges, tempos, left, right []float64
	for _, d := range s.reps {
		if at := d.endAt; at.After(end) {
			end = at
		}
		switch d.side {
		case Left:
			sum.Left++
		case Right:
			sum.Right++
		}
		tempos = append(tempos, durationS(d.repetition))
		if d.judged && !math.IsNaN(d.rangeValue) {
			ranges = append(ranges, d.rangeValue)
			if d.left > 0 && d.right > 0 {
				left, right = append(left, d.left), append(right, d.right)
			}
		}
	}
	sum.End = stampRFC(end)
	if len(ranges) > 0 {
		sum.RangeDeg = message.MedianBest{Median: round(medianOf(ranges)), Best: round(slices.Max(ranges))}
	}
	if len(tempos) > 0 {
		best := slices.MinFunc(tempos, func(a, b float64) int {
			return cmp.Compare(math.Abs(a-s.run.tempoS), math.Abs(b-s.run.tempoS))
		})
		sum.TempoS = message.MedianBest{Median: round(medianOf(tempos)), Best: round(best)}
	}
	if len(tempos) >= 2 {
		v := round(regularity(tempos))
		sum.Regularity = &v
	}
	if len(left) > 0 {
		l, r := medianOf(left), medianOf(right)
		v := round(min(l, r) / max(l, r))
		sum.Symmetry = &v
	}
	for _, f := range s.faults {
		if f.Key == keyWrongSide && wrongSideRare*s.wrong < len(s.reps) {
			continue
		}
		sum.Faults = append(sum.Faults, f)
	}
	rules := s.rules
	if s.descent != nil {
		rules = append(slices.Clone(rules), s.descent)
	}
	for _, r := range rules {
		f, found := r.sum()
		switch {
		case found && f.Verdict == verdictFault:
			sum.Faults = append(sum.Faults, f)
		case found:
			sum.CannotTell = append(sum.CannotTell, f)
		}
	}
	if f, found := s.uneven(ranges, t.accuracy()); found {
		sum.Faults = append(sum.Faults, f)
	}
	for _, list := range [][]message.Fault{sum.Faults, sum.CannotTell} {
		for i := range list {
			list[i] = t.say(s, list[i])
		}
	}
	slices.SortFunc(sum.Faults, func(a, b message.Fault) int { return cmp.Compare(a.Key, b.Key) })
	return sum
}

// How even a set is to be: the standard deviation of its ranges of motion, as a
// share of the median. Of 49 sets that 8 people did right (UI-PRMD, MARS) none
// is above 0.107, without any one of the people it is the same within 0.004.
const (
	unevenShare = 0.12
	unevenFew   = 4    // repetitions at least
	peakNoise   = 0.86 // of the error of a pose is left in a peak: half of it is slow, the rest falls by 17/35
)

// uneven reports whether the repetitions of a set were of different size, by
// more than the error of the poses makes them.
func (s *set) uneven(ranges []float64, a accuracy) (f message.Fault, found bool) {
	if len(ranges) < unevenFew {
		return f, false
	}
	median := medianOf(ranges)
	if median <= 0 {
		return f, false
	}
	mean, square := 0.0, 0.0
	for _, v := range ranges {
		mean += v / float64(len(ranges))
	}
	for _, v := range ranges {
		square += (v - mean) * (v - mean) / float64(len(ranges)-1)
	}
	m, _ := a.margin(s.run.def.Range.Signal)
	noise := peakNoise * m / sigma90
	share := math.Sqrt(max(square-noise*noise, 0)) / median
	return message.Fault{Key: keyUneven, Measured: round(share), Limit: unevenShare, Verdict: verdictFault}, share > unevenShare
}

func medianOf(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// regularity is the standard deviation of the durations over their mean.
func regularity(v []float64) float64 {
	var mean, square float64
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		square += (x - mean) * (x - mean) / float64(len(v))
	}
	return math.Sqrt(square) / mean
}
