package experiment

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"posefuse/balance"
	"posefuse/sensors/modality"
)

// Contribution is what each modality contributes at the end of training.
type Contribution struct {
	Protocol int                 `json:"protocol"`
	Split    string              `json:"split"`
	Fusion   string              `json:"fusion"`
	Method   string              `json:"method"`
	Shapley  map[string]Interval `json:"shapley"` // by letter, sum over 51 coordinates
	// Differences are paired over seeds, between one of R, L and one of
	// M, W.
	Differences map[string]Interval `json:"differences"` // e.g. "R-M"
	// Superior counts the seeds by which modalities the K-Means split puts
	// first; letters, empty if none.
	Superior map[string]int `json:"superior"`
}

// contribution returns the modalities' contributions in the last epoch.
func (e *Experiment) contribution(g group) (Contribution, bool) {
	byLetter := map[string][]float64{}
	for _, curve := range e.curves(g) {
		for letter, v := range curve[len(curve)-1].Shapley {
			byLetter[letter] = append(byLetter[letter], v)
		}
	}
	if len(byLetter) == 0 {
		return Contribution{}, false
	}
	c := Contribution{Shapley: map[string]Interval{}, Differences: map[string]Interval{}, Superior: map[string]int{}}
	for _, curve := range e.curves(g) {
		c.Superior[superior(curve[len(curve)-1].Shapley)]++
	}
	for letter, v := range byLetter {
		c.Shapley[letter] = MeanInterval(v)
	}
	for _, strong := range []string{"R", "L"} {
		for _, weak := range []string{"M", "W"} {
			s, w := byLetter[strong], byLetter[weak]
			if len(s) == 0 || len(s) != len(w) {
				continue
			}
			d := make([]float64, len(s))
			for i := range s {
				d[i] = s[i] - w[i]
			}
			c.Differences[strong+"-"+weak] = MeanInterval(d)
		}
	}
	return c, true
}

// superior returns the letters of the modalities that contribute most.
func superior(phi map[string]float64) string {
	var letters string
	var score []float64
	for _, letter := range strings.Split(modality.All.String(), "") {
		if v, ok := phi[letter]; ok {
			letters, score = letters+letter, append(score, v)
		}
	}
	first, out := balance.Split(score), ""
	for i, letter := range letters {
		if first>>i&1 == 1 {
			out += string(letter)
		}
	}
	return out
}

// splits lists the K-Means splits, the most frequent first.
func (c Contribution) splits() string {
	sets := slices.SortedFunc(maps.Keys(c.Superior), func(a, b string) int {
		return cmp.Or(c.Superior[b]-c.Superior[a], strings.Compare(a, b))
	})
	for i, set := range sets {
		sets[i] = fmt.Sprintf("%s (%d)", cmp.Or(plus(set), "none"), c.Superior[set])
	}
	return strings.Join(sets, ", ")
}
