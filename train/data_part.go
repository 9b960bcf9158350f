package train

import (
	"fmt"
	"strings"

	"posefuse/model"
	"posefuse/recording/mmfi"
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

// cut rounds share·n down. The small addition undoes what 0.6·n loses where it
// is a whole number.
func cut(share float64, n int) int { return min(int(share*float64(n)+1e-9), n) }

// sensorFiles are MM-Fi's kinds of sensor, by modality.
var sensorFiles = [model.NumModalities]mmfi.Modalities{
	model.R: mmfi.ReadRGB, model.L: mmfi.ReadLiDAR, model.M: mmfi.ReadMmWave, model.W: mmfi.ReadCSI,
}

// sensorsOf returns what a network of these modalities reads.
func sensorsOf(mask model.Mask) mmfi.Modalities {
	var need mmfi.Modalities
	for m, s := range sensorFiles {
		if mask.Has(m) {
			need |= s
		}
	}
	return need
}

// checkSensors refuses a network that needs a sensor the data set lacks.
func checkSensors(ds mmfi.Dataset, mask model.Mask) error {
	p, ok := ds.(mmfi.PartialDataset)
	if !ok {
		return nil
	}
	names := [model.NumModalities]string{"camera keypoints (R)", "LiDAR (L)", "radar (M)", "WiFi CSI (W)"}
	var missing []string
	var rest model.Mask
	have := p.Modalities()
	for m, s := range sensorFiles {
		switch {
		case have&s != 0:
			rest |= 1 << m
		case mask.Has(m):
			missing = append(missing, names[m])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("the network needs %s, which %s does not have: use the modalities %s or other data", strings.Join(missing, " and "), ds.Describe(), rest)
}
