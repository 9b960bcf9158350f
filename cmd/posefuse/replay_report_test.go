package main

import (
	"strings"
	"testing"

	"posefuse/replay"
	"posefuse/sensors/modality"
)

func TestUndelivered(t *testing.T) {
	for name, c := range map[string]struct {
		m      modality.Kind
		counts replay.Counts
		want   string // in the error; empty: none
	}{
		"delivered":                  {modality.Camera, replay.Counts{Frames: 9, Sent: 9}, ""},
		"came late":                  {modality.Camera, replay.Counts{Frames: 9, Sent: 2, Unsent: 7}, ""},
		"nobody there":               {modality.CSI, replay.Counts{Frames: 9, Unsent: 90}, "csi: no driver took anything"},
		"nothing in the clips":       {modality.Radar, replay.Counts{Absent: 9}, ""},
		"everything lost by --fault": {modality.LiDAR, replay.Counts{Frames: 9, Offered: 9, Lost: 9}, ""},
		"radar never started":        {modality.Radar, replay.Counts{Idle: 9}, "radar: the daemon did not start it"},
		"radar started late":         {modality.Radar, replay.Counts{Idle: 4, Frames: 5, Sent: 5}, ""},
		"port taken":                 {modality.Radar, replay.Counts{Off: 9}, "radar: could not be plugged in"},
		"a broken file":              {modality.LiDAR, replay.Counts{Frames: 8, Sent: 80, Unreadable: 1}, "lidar: 1 frames cannot be read"},
	} {
		err := undelivered(map[modality.Kind]replay.Counts{c.m: c.counts})
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestPrintCounts(t *testing.T) {
	var b strings.Builder
	printCounts(&b, map[modality.Kind]replay.Counts{
		modality.Camera: {Frames: 120, Offered: 120, Sent: 118, Lost: 2},
		modality.Radar:  {Frames: 100, Offered: 100, Sent: 100, Idle: 20},
	})
	want := "camera  120 frames, 118 pieces sent, 2 lost\nradar   100 frames, 100 pieces sent, 20 frames before the daemon started it\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
