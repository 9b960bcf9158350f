package csi_test

import (
	"math/cmplx"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording/mmfi"
	"posefuse/sensors/capture"
	"posefuse/sensors/csi"
)

// TestIntelMATLABReference compares raw values after the permutation, and
// scaled ones, with what the tool's own MATLAB scripts made of the same log.
func TestIntelMATLABReference(t *testing.T) {
	vars, err := mmfi.ParseMAT(testenv.ReadShared(t, "captures/csi-intel5300/log.all_csi.6.7.6.mat"))
	if err != nil {
		t.Fatal(err)
	}
	var raw, scaled []*mmfi.MATArray
	for _, v := range vars {
		switch v.Name {
		case "csi":
			for _, c := range v.Cells {
				raw = append(raw, c.Cells[11])
			}
		case "csi_scaled":
			scaled = v.Cells
		}
	}
	records := 0
	for _, f := range csi.Formats() {
		if f.Name != "intel5300" {
			continue
		}
		d, err := f.Stream(&capture.Options{}, &capture.Output{
			Emit: func(r *capture.Record) {
				nrx, ntx := int(r.Fields["antennas"].(uint8)), int(r.Fields["streams"].(uint8))
				perm, scale := r.Fields["permutation"].([]int), complex(r.Fields["scale"].(float64), 0)
				for chain := range nrx {
					for stream := range ntx {
						for g := range 30 {
							at := 2 * ((chain*ntx+stream)*30 + g)
							v := complex(r.Values[at], r.Values[at+1])
							k := stream + ntx*(perm[chain]+nrx*g) // [stream][antenna][group], column-major
							if want := complex(raw[records].Re[k], raw[records].Im[k]); v != want {
								t.Fatalf("record %d: raw %v, matlab %v", records, v, want)
							}
							if want := complex(scaled[records].Re[k], scaled[records].Im[k]); cmplx.Abs(v*scale-want) > 1e-12 {
								t.Fatalf("record %d: scaled %v, matlab %v", records, v*scale, want)
							}
						}
					}
				}
				records++
			},
			Count: func(reason string, n uint64) {
				if n > 0 {
					t.Errorf("%d %s", n, reason)
				}
			},
			Packets: func(uint64) {}, Note: func(string, any) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		d.Feed(testenv.ReadShared(t, "captures/csi-intel5300/log.all_csi.6.7.6.dat"))
		d.Finish()
	}
	if records != 29 || len(raw) != 29 || len(scaled) != 29 {
		t.Errorf("%d records, %d and %d references", records, len(raw), len(scaled))
	}
}
