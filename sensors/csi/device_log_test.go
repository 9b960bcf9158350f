package csi

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// connectorMessage is a message of the connector as a datagram has it.
func connectorMessage(dst, message []byte) []byte {
	order := binary.NativeEndian
	begin := len(dst)
	dst = order.AppendUint32(dst, uint32(unix.SizeofNlMsghdr+connectorHeader+len(message)))
	dst = append(dst, make([]byte, 12+4)...)
	dst = order.AppendUint32(dst, connectorValue)
	dst = append(dst, make([]byte, 8)...)
	dst = order.AppendUint16(order.AppendUint16(dst, uint16(len(message))), 0)
	dst = append(dst, message...)
	for (len(dst)-begin)%4 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// TestAppendIntelLog: two messages of a datagram become two records of a log; what the
// driver counts and takes no frame from is left out.
func TestAppendIntelLog(t *testing.T) {
	record := func(count uint16) []byte {
		b, err := AppendIntel(nil, &IntelRecord{Count: count, NRx: 1, NTx: 1, CSI: make([]complex64, intelGroups)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, two := record(1), record(2)
	payload := connectorMessage(nil, []byte{intelPayload, 1, 2})
	for name, c := range map[string]struct{ datagram, want []byte }{
		"nothing":        {nil, nil},
		"two":            {connectorMessage(connectorMessage(nil, one[2:]), two[2:]), slices.Concat(one, two)},
		"between others": {slices.Concat(payload, connectorMessage(nil, one[2:]), payload), one},
		"cut":            {connectorMessage(nil, one[2:len(one)-1]), nil},
		"empty":          {connectorMessage(nil, nil), nil},
		"then rubbish":   {append(connectorMessage(nil, one[2:]), 1, 2, 3), one},
	} {
		if got := AppendIntelLog(nil, c.datagram); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %x, want %x", name, got, c.want)
		}
	}
}

// TestAppendAtherosLog: a log of a device's records gives each at once, the first too.
func TestAppendAtherosLog(t *testing.T) {
	r := &AtherosRecord{TSFUS: 7, Tones: 56, NR: 1, NC: 1, H: make([]complex64, 56)}
	b, err := AppendAtheros(nil, binary.NativeEndian, r)
	if err != nil {
		t.Fatal(err)
	}
	if got := AppendAtherosLog(nil, b[2:]); !bytes.Equal(got, b) {
		t.Errorf("%x, want %x", got, b)
	}
	for _, bad := range [][]byte{nil, {1, 2, 3}, b[2 : len(b)-1]} {
		if got := AppendAtherosLog(nil, bad); len(got) > 0 {
			t.Errorf("%x of a broken record %x", got, bad)
		}
	}
	taken, frames := 0, 0
	d := NewAtherosDecoder(func(r *AtherosRecord) {
		taken++
		if r.H != nil {
			frames++
		}
	}, func(outcome string) { t.Error(outcome) })
	d.Feed(AtherosLogStart())
	if taken != atherosRun || frames != 0 {
		t.Fatalf("the start: %d records, %d of them frames", taken, frames)
	}
	for i := range 3 {
		if d.Feed(AppendAtherosLog(nil, b[2:])); frames != i+1 {
			t.Errorf("%d frames after %d records", frames, i+1)
		}
	}
}
