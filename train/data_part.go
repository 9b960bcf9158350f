package train

import (
	"fmt"
	"strings"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// Part is a range of a clip's frames as shares of its length: the frames from
// From·n (rounded down) up to but without To·n. The zero value is the whole
// clip. Parts that share a border share no frame; sensors whose samples reach
// back (camera window, radar history) still see the frames before it.
type Part struct {
	From float64 `json:"from" yaml:"from"` // 0..1
	To   float64 `json:"to" yaml:"to"`     // 0..1, above From
}

// The usual parts of a split within clips: three fifths to train on, a fifth
// to choose by, a fifth to test on.
var (
	TrainPart = Part{0, 0.6}
	ValPart   = Part{0.6, 0.8}
	TestPart  = Part{0.8, 1}
)

// Check reports a range that is none.
func (p Part) Check() error {
	if p != (Part{}) && !(p.From >= 0 && p.From < p.To && p.To <= 1) {
		return fmt.Errorf("part %g to %g of a clip: want 0 <= from < to <= 1", p.From, p.To)
	}
	return nil
}

// rows returns the first frame of the part and the one after its last, of n.
func (p Part) rows(n int) (from, to int) {
	if p == (Part{}) {
		return 0, n
	}
	return cut(p.From, n), cut(p.To, n)
}

// rowsOf is rows of a clip, at its data set's own borders where that has them.
func (p Part) rowsOf(clip recording.Clip) (from, to int) {
	from, to = p.rows(clip.Len())
	if b, ok := clip.(recording.Bordered); ok && p != (Part{}) {
		if at, known := b.Border(p.From); known {
			from = at
		}
		if at, known := b.Border(p.To); known {
			to = at
		}
	}
	return from, to
}

// cut rounds share·n down. The small addition undoes what 0.6·n loses where it
// is a whole number.
func cut(share float64, n int) int { return min(int(share*float64(n)+1e-9), n) }

// checkSensors refuses a network that needs a sensor the data set lacks.
func checkSensors(ds recording.Dataset, mask modality.Set) error {
	have := recording.Modalities(ds)
	if mask&^have == 0 {
		return nil
	}
	names := [modality.Count]string{"camera keypoints (R)", "LiDAR (L)", "radar (M)", "WiFi CSI (W)"}
	var missing []string
	for m := range (mask &^ have).Kinds() {
		missing = append(missing, names[m])
	}
	return fmt.Errorf("the network needs %s, which %s does not have: use the modalities %s or other data", strings.Join(missing, " and "), ds.Describe(), have)
}
