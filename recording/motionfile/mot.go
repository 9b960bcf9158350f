package motionfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// WriteMOT writes angles over time as a motion file of OpenSim: degrees, a row per
// frame at an even rate, the first at 0 s. All values must be numbers. Source:
// OpenSim's documentation, "Motion (.mot) Files".
func WriteMOT(w io.Writer, name string, rateHz float64, columns []string, rows [][]float64) error {
	if len(columns) == 0 || len(rows) == 0 || !(rateHz > 0) {
		return errors.New("mot: there is no motion to write")
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%s\nversion=1\nnRows=%d\nnColumns=%d\ninDegrees=yes\nendheader\ntime", oneLine(name), len(rows), len(columns)+1)
	for _, c := range columns {
		fmt.Fprintf(b, "\t%s", oneLine(c))
	}
	var row []byte
	for i, values := range rows {
		row = strconv.AppendFloat(append(row[:0], '\n'), float64(i)/rateHz, 'f', 6, 64)
		for k, v := range values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("mot: row %d: %s is no number, fill the gaps first", i+1, columns[k])
			}
			row = strconv.AppendFloat(append(row, '\t'), v, 'f', 4, 64)
		}
		if _, err := b.Write(row); err != nil {
			return fmt.Errorf("mot: %w", err)
		}
	}
	if err := b.WriteByte('\n'); err != nil {
		return fmt.Errorf("mot: %w", err)
	}
	return b.Flush()
}
