package mmfi

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Shape of the channel state of one frame.
const (
	CSIAntennas    = 3
	CSISubcarriers = 114
	CSIPackets     = 10

	csiValues = CSIAntennas * CSISubcarriers * CSIPackets
)

var csiDims = []int{CSIAntennas, CSISubcarriers, CSIPackets}

// DecodeCSI reads the two variables of a wifi-csi file, CSIamp (dB) and
// CSIphase (radians), each 3 x 114 x 10, row-major (antenna, subcarrier,
// packet). Derived sets leave the phase out, which is nil then.
func DecodeCSI(b []byte) (amp, phase []float64, err error) {
	vars, err := ParseMAT(b)
	if err != nil {
		return nil, nil, err
	}
	find := func(name string) ([]float64, error) {
		for _, v := range slices.Backward(vars) { // of one that was appended again the later counts, as in MATLAB
			if v.Name != name {
				continue
			}
			if !v.Class.numeric() || v.Im != nil || !slices.Equal(v.Dims, csiDims) {
				return nil, ofKind(WrongShape, "mat: %s has shape %v, want real numbers of shape %v", name, v.Dims, csiDims)
			}
			return toRowMajor(v.Re), nil
		}
		return nil, nil
	}
	if amp, err = find("CSIamp"); err != nil {
		return nil, nil, err
	}
	if amp == nil {
		return nil, nil, errors.New("mat: variable CSIamp is missing")
	}
	phase, err = find("CSIphase")
	return amp, phase, err
}

// EncodeCSI writes a wifi-csi file; amp and phase are as DecodeCSI returns them.
func EncodeCSI(amp, phase []float64) ([]byte, error) {
	if len(amp) != csiValues || len(phase) != csiValues {
		return nil, fmt.Errorf("mat: CSI of %d and %d values, want %d", len(amp), len(phase), csiValues)
	}
	var out bytes.Buffer
	err := WriteMAT(&out,
		&MATArray{Name: "CSIamp", Class: MATDouble, Dims: csiDims, Re: toColumnMajor(amp)},
		&MATArray{Name: "CSIphase", Class: MATDouble, Dims: csiDims, Re: toColumnMajor(phase)})
	return out.Bytes(), err
}

// toRowMajor reorders the values of one frame from MATLAB's order.
func toRowMajor(col []float64) []float64 {
	row := make([]float64, csiValues)
	for i := range row {
		row[i] = col[columnIndex(i)]
	}
	return row
}

func toColumnMajor(row []float64) []float64 {
	col := make([]float64, csiValues)
	for i, v := range row {
		col[columnIndex(i)] = v
	}
	return col
}

// columnIndex maps a row-major index to the column-major one.
func columnIndex(i int) int {
	p, s, a := i%CSIPackets, i/CSIPackets%CSISubcarriers, i/(CSIPackets*CSISubcarriers)
	return a + CSIAntennas*(s+CSISubcarriers*p)
}
