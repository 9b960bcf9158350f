package csi_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"posefuse/internal/testenv"
	"posefuse/recording/mmfi"
	"posefuse/sensors/csi"
)

func nexmonFile(t *testing.T, name string) []byte {
	t.Helper()
	return testenv.ReadShared(t, "captures/csi-nexmon", name)
}

// reference returns the variable csi_buff, packets x 256, of a MATLAB file.
func reference(t *testing.T, name string) (at func(packet, word int) complex64, packets int) {
	t.Helper()
	vars, err := mmfi.ParseMAT(nexmonFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vars {
		if v.Name != "csi_buff" {
			continue
		}
		n := v.Dims[0]
		return func(p, w int) complex64 { return complex(float32(v.Re[w*n+p]), float32(v.Im[w*n+p])) }, n
	}
	t.Fatalf("%s holds no csi_buff", name)
	return nil, 0
}

type captured struct {
	frame  *csi.NexmonFrame
	padded bool
}

func capturedFrames(t *testing.T, name string) []captured {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(nexmonFile(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	var out []captured
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		udp, ok := gopacket.NewPacket(data, r.LinkType(), gopacket.Default).Layer(layers.LayerTypeUDP).(*layers.UDP)
		if !ok {
			continue
		}
		f, err := csi.ParseNexmon(udp.Payload)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, captured{f, len(data) != 14+20+8+len(udp.Payload)})
	}
}

// TestMATLABFloatReference compares the float decoding with what Nexmon's own
// MATLAB scripts made of the same packets. MATLAB's rows are shifted by half
// if the scripts did so; the file at hand is in FFT order.
func TestMATLABFloatReference(t *testing.T) {
	at, n := reference(t, "example_4358.mat")
	frames := capturedFrames(t, "example_4358.pcap")
	if n != 4 || len(frames) != 4 {
		t.Fatalf("%d rows, %d packets, want 4", n, len(frames))
	}
	for i, c := range frames {
		h, err := c.frame.Autoscaled(csi.Chip4358)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range h {
			if v != at(i, k) {
				t.Fatalf("packet %d word %d: %v, matlab %v", i, k, v, at(i, k))
			}
		}
	}
}

func TestMATLABInt16Reference(t *testing.T) {
	at, n := reference(t, "example_43455c0.mat")
	frames := capturedFrames(t, "example_43455c0.pcap")
	if n != 566 || len(frames) != 566 {
		t.Fatalf("%d rows, %d packets, want 566", n, len(frames))
	}
	row := 0
	for i, c := range frames {
		if c.padded { // MATLAB skipped these
			continue
		}
		for k, v := range c.frame.RawValues(csi.ChipAuto) {
			if v != at(row, k) {
				t.Fatalf("packet %d (row %d) word %d: %v, matlab %v", i, row, k, v, at(row, k))
			}
		}
		row++
	}
	if row != 548 {
		t.Errorf("%d unpadded packets, want 548", row)
	}
	for ; row < n; row++ {
		if at(row, 3) != 0 {
			t.Errorf("row %d is not empty", row)
		}
	}
}
