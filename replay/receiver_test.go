package replay

import (
	"math"
	"testing"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/sensors/csi"
	"posefuse/sensors/modality"
)

// TestReceived: through the receiver that the recordings are of, a data set
// stays as it is; others lose what they cannot carry, by the rule.
func TestReceived(t *testing.T) {
	clip := stored(3, 2)
	var want recording.Frame
	if err := clip.Frame(1, &want); err != nil {
		t.Fatal(err)
	}
	frame := func(format CSIFormat, antennas string) *recording.Frame {
		ds, err := Received(clipSet{clip}, format, antennas)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ds.Open(clip.Key())
		if err != nil {
			t.Fatal(err)
		}
		f := new(recording.Frame)
		if err = recording.ReadFrame(c, 1, modality.Of(modality.CSI), f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	per := mmfi.CSISubcarriers * mmfi.CSIPackets
	equal := func(a, b []float64) bool {
		for i := range a {
			if math.Abs(a[i]-b[i]) > 1e-5 && !(math.IsInf(a[i], -1) && math.IsInf(b[i], -1)) {
				return false
			}
		}
		return true
	}
	if f := frame(CSIAtheros, csi.AntennasRepeat); !equal(f.CSIAmp[:], want.CSIAmp[:]) {
		t.Error("an Atheros receiver changes its own recording")
	}
	f := frame(CSIFeit, csi.AntennasRepeat)
	if !equal(f.CSIAmp[:2*per], want.CSIAmp[:2*per]) || !equal(f.CSIAmp[2*per:], want.CSIAmp[:per]) {
		t.Error("two antennas are not repeated")
	}
	f = frame(CSIFeit, csi.AntennasZero)
	if !equal(f.CSIAmp[:2*per], want.CSIAmp[:2*per]) || !math.IsInf(f.CSIAmp[2*per], -1) || !math.IsInf(f.CSIAmp[3*per-1], -1) {
		t.Error("the third antenna is not zero")
	}
	for i, v := range frame(CSIESP32, csi.AntennasAbsent).CSIAmp {
		if !math.IsNaN(v) {
			t.Fatalf("value %d of a receiver that takes no part is %v", i, v)
		}
	}
	for _, c := range [][2]string{{"sonar", csi.AntennasRepeat}, {string(CSINexmon), csi.AntennasRepeat}, {string(CSIFeit), "guess"}} {
		if _, err := Received(clipSet{clip}, CSIFormat(c[0]), c[1]); err == nil {
			t.Errorf("%v: accepted", c)
		}
	}
}
