package sensors_test

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
)

func TestReceivedNS(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	const room = int64(5e9)
	for name, c := range map[string]struct {
		stamp time.Time
		want  int64
	}{
		"just now":       {now, room},
		"a moment ago":   {now.Add(-3 * time.Millisecond), room - 3e6},
		"almost too old": {now.Add(-sensors.MaxKernelAge + 1), room - 999_999_999},
		"too old":        {now.Add(-sensors.MaxKernelAge), room},
		"ahead":          {now.Add(time.Millisecond), room},
		"none":           {time.Time{}, room},
	} {
		if got := sensors.ReceivedNS(room, c.stamp, now); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestKernelStamp(t *testing.T) {
	m := &unix.SocketControlMessage{Header: unix.Cmsghdr{Level: unix.SOL_SOCKET, Type: unix.SO_TIMESTAMPNS}}
	if _, ok := sensors.KernelStamp(m); ok {
		t.Error("a stamp from nothing")
	}
	m.Data = binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, 1_700_000_000), 5)
	if at, ok := sensors.KernelStamp(m); !ok || at.UnixNano() != 1_700_000_000_000_000_005 {
		t.Errorf("%v, %v", at, ok)
	}
	m.Header.Type = unix.SO_RXQ_OVFL
	if _, ok := sensors.KernelStamp(m); ok {
		t.Error("a stamp from the drop counter")
	}
}
