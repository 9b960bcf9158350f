package pipeline

import "github.com/prometheus/client_golang/prometheus"

// Counted is what an exercise subscriber of the daemon has done since its start.
type Counted struct {
	Sets, Repetitions uint64
	Poses, Results    map[string]uint64 // messages by outcome
}

// CountExercises gives the metrics what the exercise subscriber counts; nil: nobody
// counts any more.
func (c *Core) CountExercises(counted func() Counted) {
	if counted == nil {
		c.counted.Store(nil)
		return
	}
	c.counted.Store(&counted)
}

// collectExercises tells what the exercise subscriber counts, if there is one.
func (c *Core) collectExercises(count func(d *prometheus.Desc, v uint64, labels ...string)) {
	counted := c.counted.Load()
	if counted == nil {
		return
	}
	n := (*counted)()
	count(descSets, n.Sets)
	count(descRepetitions, n.Repetitions)
	for outcome, v := range n.Poses {
		count(descExercisePoses, v, outcome)
	}
	for outcome, v := range n.Results {
		count(descExerciseOut, v, outcome)
	}
}
