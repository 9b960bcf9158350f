package mmfi_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"posefuse/recording/mmfi"
)

func TestDecodePoints(t *testing.T) {
	values := []float64{1, -2.5, 3e-9, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	b := mmfi.AppendPoints(nil, values)
	for _, columns := range []int{3, 5} {
		got, err := mmfi.DecodePoints(nil, b, columns)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(values) || got[1] != -2.5 || got[14] != 15 {
			t.Errorf("%d columns: got %v", columns, got)
		}
	}
	got, err := mmfi.DecodePoints([]float64{1, 2, 3}, nil, 5)
	if err != nil || len(got) != 0 {
		t.Errorf("zero-byte file: %v, %v, want no points", got, err)
	}
	_, err = mmfi.DecodePoints(nil, b[:100], 5)
	if !errors.Is(err, mmfi.ErrTruncated) || !strings.Contains(err.Error(), "offset 80") {
		t.Errorf("cut file: error %v, want truncated at offset 80", err)
	}
	if _, err := mmfi.DecodePoints(nil, make([]byte, 24*(1<<19+1)), 3); err == nil {
		t.Error("too many points were accepted")
	}
}

func FuzzDecodePoints(f *testing.F) {
	f.Add(mmfi.AppendPoints(nil, []float64{1, 2, 3}), true)
	f.Add([]byte{1, 2, 3}, false)
	f.Fuzz(func(t *testing.T, b []byte, lidar bool) {
		columns := mmfi.MmWaveColumns
		if lidar {
			columns = mmfi.LiDARColumns
		}
		v, err := mmfi.DecodePoints(nil, b, columns)
		if (err == nil) != (len(b)%(8*columns) == 0) {
			t.Fatalf("%d bytes: error %v", len(b), err)
		}
		if err == nil && !bytes.Equal(mmfi.AppendPoints(nil, v), b) {
			t.Fatal("round trip changed the bytes")
		}
	})
}
