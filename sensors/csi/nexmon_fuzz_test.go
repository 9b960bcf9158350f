package csi

import (
	"bytes"
	"math/cmplx"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/internal/testenv"
)

// FuzzNexmonCapture: whatever a capture file holds, the driver ends with an error
// about the file, gives packets of the model's shape and finite numbers, and
// counts the rest. The pauses of the recording pass in no time.
func FuzzNexmonCapture(f *testing.F) {
	for _, name := range []string{"40mhz_1600085286.pcap", "example_4358.pcap", "test_pi.pcap"} {
		b := testenv.ReadShared(f, "captures/csi-nexmon", name)
		f.Add(b[:min(len(b), 4096)], uint8(0), uint8(0))
	}
	var own bytes.Buffer
	p := newPcapWriter(f, &own)
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 4 {
		for _, d := range datagrams(f, randomH(uint64(i), 342, 200), uint16(i)) {
			p.write(at.Add(time.Duration(i)*10*time.Millisecond), d)
		}
	}
	p.write(at.Add(-time.Hour), []byte("no csi"))
	p.write(at.Add(24*time.Hour), nil)
	for _, cores := range []uint8{0, 1, 3, 8} {
		f.Add(own.Bytes(), cores, cores)
	}
	f.Add(own.Bytes()[:own.Len()-10], uint8(3), uint8(1))
	f.Add([]byte("\x0a\x0d\x0d\x0a"), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, cores, antennas uint8) {
		path := filepath.Join(t.TempDir(), "csi.pcap")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			c := NewNexmonConfig()
			c.PcapFile, c.Cores = path, int(cores)%(maxNexmonCores+1)
			reception := NewReceptionConfig()
			reception.Antennas = []string{AntennasZero, AntennasRepeat, AntennasAbsent}[antennas%3]
			c.Share(reception)
			sink := newCollector()
			err := c.Source("csi").Run(t.Context(), sink)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Fatalf("the end does not name the file: %v", err)
			}
			for i, s := range sink.samples {
				if s.CSI == nil || s.CSI.Antennas != ModelAntennas || s.CSI.Subcarriers != ModelTones || len(s.CSI.H) != ModelAntennas*ModelTones {
					t.Fatalf("packet %d: %+v", i, s.CSI)
				}
				for at, h := range s.CSI.H {
					if cmplx.IsNaN(complex128(h)) || cmplx.IsInf(complex128(h)) {
						t.Fatalf("packet %d, value %d is %v", i, at, h)
					}
				}
			}
		})
	})
}
