package mmfi

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// cloud draws a cloud as a sensor of a room gives it, its values rounded to a step as
// sensors do.
func cloud(t *rapid.T, columns int) []float64 {
	step := rapid.SampledFrom([]float64{0, 1. / 1024, 1e-3, 1. / 8, 1e-9}).Draw(t, "step")
	narrow := rapid.Bool().Draw(t, "float32 before")
	n := rapid.IntRange(2, 60).Draw(t, "points")
	// rapid's own numbers have short mantissas more often than any sensor's.
	draw := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	var v []float64
	for range n {
		for k := range columns {
			x := [MmWaveColumns]float64{6, 2, 2, 1, 40}[k] * draw.Float64()
			if k != 0 && k != 4 {
				x = 2*x - [MmWaveColumns]float64{6, 2, 2, 1, 40}[k]
			}
			if step > 0 {
				x = math.Round(x/step) * step
			}
			if narrow {
				x = float64(float32(x))
			}
			v = append(v, x)
		}
	}
	return v
}

// TestCloudsAreTakenAndMisreadOnesRefused writes true clouds in each form that was
// seen in the field: as MM-Fi does they pass, else they do not.
func TestCloudsAreTakenAndMisreadOnesRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SampledFrom([]int{LiDARColumns, MmWaveColumns}).Draw(t, "columns")
		v := cloud(t, columns)
		b := AppendPoints(nil, v)
		if err := checkPoints(b, v, columns); err != nil {
			t.Fatalf("a true cloud: %v", err)
		}
	})
	// Random draws shrink towards zeros, which are natural in every reading; the
	// misread clouds are those of a person.
	for seed := range 200 {
		c := soundClip{frames: 1}
		for _, columns := range []int{LiDARColumns, MmWaveColumns} {
			var v []float64
			for j := range 40 {
				v = append(v, 2+2*c.draw(seed, j), 2*c.draw(seed, 100+j)-1, 2*c.draw(seed, 200+j)-1)
				if columns == MmWaveColumns {
					v = append(v, math.Round(4*c.draw(seed, 300+j)-2)*0.35, 10+30*c.draw(seed, 400+j))
				}
			}
			for name, order := range map[string]binary.AppendByteOrder{"float32": binary.LittleEndian, "big-endian float32": binary.BigEndian} {
				b := asFloat32(order, len(v))(AppendPoints(nil, v))
				got, err := DecodePoints(nil, b, columns)
				if err == nil {
					err = checkPoints(b, got, columns)
				}
				if err == nil {
					t.Errorf("seed %d: %d columns as %s are taken", seed, columns, name)
				}
			}
			b := swapped8(AppendPoints(nil, v))
			if got, err := DecodePoints(nil, b, columns); err != nil || checkPoints(b, got, columns) == nil {
				t.Errorf("seed %d: %d columns in the other byte order are taken", seed, columns)
			}
		}
	}
}
