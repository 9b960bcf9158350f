package main

import (
	"io"
	"maps"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// TestDecodePoints: counts and sums of LiDAR and radar captures are those of
// SOURCES.md and README.md beside the files.
func TestDecodePoints(t *testing.T) {
	ouster := func(name string) string { return "captures/lidar-ouster/" + name }
	for _, c := range []struct {
		file, metadata string
		want           decodeSummary
		notes          map[string]float64
	}{
		{ouster("OS-1-32-G_v2.1.1_1024x10.pcap"), ouster("OS-1-32-G_v2.1.1_1024x10.json"),
			decodeSummary{Format: "ouster", Frames: 1, Packets: 64, Points: 27310, SumX: 27310 * 1.00799, SumY: 27310 * 0.91080}, nil},
		{ouster("OS-1-128_v2.3.0_1024x10_lb_n3.pcap"), ouster("OS-1-128_v2.3.0_1024x10.json"),
			decodeSummary{Format: "ouster", Frames: 3, Packets: 192, Points: 107647 + 107357 + 107532, SumX: math.NaN()}, map[string]float64{"imu_packets": 30}},
		{ouster("windowed_frame1.pcap"), ouster("windowed_frame1_0.json"),
			decodeSummary{Format: "ouster", Frames: 1, Packets: 17, Points: 9246, SumX: math.NaN()}, map[string]float64{"imu_packets": 10}},
		{"captures/lidar-velodyne/vlp16_strongest_1000x1206.bin", "",
			decodeSummary{Format: "velodyne", Frames: 14, Packets: 1000, Points: 203034, SumX: math.NaN()}, map[string]float64{"returns": 203034, "sum_distance_raw": 260620593, "sum_reflectivity": 8017759}},
		{"captures/lidar-velodyne/vlp32c_379x1206.bin", "",
			decodeSummary{Format: "velodyne", Frames: 6, Packets: 379, Points: 131305, SumX: math.NaN(), Rejected: map[string]uint64{"lost_packet": 300}}, map[string]float64{"returns": 131305, "sum_distance_raw": 152720164, "sum_reflectivity": 6028208}},
		{"captures/lidar-velodyne/vlp16_single.pcap", "",
			decodeSummary{Format: "velodyne", Frames: 1, Packets: 1, Points: 260, SumX: math.NaN()}, map[string]float64{"returns": 260, "sum_distance_raw": 4183665}},
		{"captures/lidar-velodyne/vlp16_position.pcap", "",
			decodeSummary{Format: "velodyne", SumX: math.NaN()}, map[string]float64{"position_packets": 1}},
		{"inputs/sensors/livox_counter_wrap.pcap", "", decodeSummary{Format: "livox", Frames: 8, Packets: 400, Points: 1600, SumX: math.NaN()}, nil},
		{"inputs/sensors/livox_after_wrap.pcap", "", decodeSummary{Format: "livox", Frames: 5, Packets: 250, Points: 1000, SumX: math.NaN()}, nil},
		{"inputs/sensors/livox_two_lidars.pcap", "", decodeSummary{Format: "livox", Frames: 11, Packets: 500, Points: 2000, SumX: math.NaN(), Senders: map[string]uint64{"192.168.50.21": 5, "192.168.50.22": 6}}, nil},
		{"inputs/sensors/ouster_one_packet_lost.pcap", "inputs/sensors/ouster_one_packet_lost.json",
			decodeSummary{Format: "ouster", Frames: 2, Packets: 62, Points: 62 * 16 * 16, SumX: math.NaN(), Rejected: map[string]uint64{"lost_packet": 2}}, nil},
		{"captures/radar-ti/xwr68xx_oob_sdk3.3_processed_stream.dat", "", decodeSummary{Format: "ti", Frames: 101, Packets: 101, Points: 825, SumX: 1410.2599, SumY: -6.7576}, nil},
		{"captures/radar-ti/iwr1443_oob_sdk2.1_scatter.dat", "", decodeSummary{Format: "ti", Frames: 70, Packets: 70, Points: 769, SumX: 2109.0625, SumY: -76.5840}, nil},
		{"captures/radar-ti/iwr6843_3d_people_counting_sdk3.5.bin", "", decodeSummary{Format: "ti", Frames: 992, Packets: 992, Points: 15552, SumX: math.NaN(), Rejected: map[string]uint64{"cut_frame": 1, "junk_bytes": 82}}, nil},
		{"inputs/sensors/ti_1443_empty_start.bin", "", decodeSummary{Format: "ti", Frames: 65, Packets: 65, Points: 300, SumX: math.NaN()}, nil},
		{"inputs/sensors/ti_people_tracking_1020.bin", "", decodeSummary{Format: "ti", Frames: 60, Packets: 60, Points: 270, SumX: math.NaN()}, nil},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			cmd := decodeCmd{File: testenv.Shared(t, c.file), Format: "auto"}
			if c.metadata != "" {
				cmd.Metadata = testenv.Shared(t, c.metadata)
			}
			got := summarise(t, cmd)
			if got.Format != c.want.Format || got.Frames != c.want.Frames || got.Packets != c.want.Packets || got.Points != c.want.Points {
				t.Errorf("%s: %d frames, %d packets, %d points; want %+v", got.Format, got.Frames, got.Packets, got.Points, c.want)
			}
			if !math.IsNaN(c.want.SumX) && (math.Abs(got.SumX-c.want.SumX) > 0.5 || math.Abs(got.SumY-c.want.SumY) > 0.5) {
				t.Errorf("sums %g and %g, want %g and %g", got.SumX, got.SumY, c.want.SumX, c.want.SumY)
			}
			if len(got.Rejected) != len(c.want.Rejected) {
				t.Errorf("rejected %v, want %v", got.Rejected, c.want.Rejected)
			}
			for reason, n := range c.want.Rejected {
				if got.Rejected[reason] != n {
					t.Errorf("rejected %v, want %v", got.Rejected, c.want.Rejected)
				}
			}
			if c.want.Senders != nil && !maps.Equal(got.Senders, c.want.Senders) {
				t.Errorf("senders %v, want %v", got.Senders, c.want.Senders)
			}
			for key, v := range c.notes {
				if got.Notes[key] != v {
					t.Errorf("note %s is %v, want %g", key, got.Notes[key], v)
				}
			}
		})
	}
}

// TestDecodeChoosesASender: of a capture that holds two sensors one is decoded
// as if it were alone.
func TestDecodeChoosesASender(t *testing.T) {
	two := testenv.Shared(t, "inputs/sensors/livox_two_lidars.pcap")
	got := summarise(t, decodeCmd{File: two, Format: "auto", Sender: "192.168.50.21"})
	if got.Frames != 5 || got.Packets != 250 || got.Points != 1000 || got.First["sender"] != "192.168.50.21" || len(got.Senders) != 1 || got.Time["span_s"] != 0.4 {
		t.Errorf("%+v", got)
	}
	got = summarise(t, decodeCmd{File: testenv.Shared(t, "inputs/sensors/nex_twomacs.pcap"), Format: "auto", Sender: "02:00:00:00:00:09"})
	if got.Frames != 20 || got.Senders["02:00:00:00:00:09"] != 20 || len(got.Senders) != 1 || got.Rejected["other_sender"] != 20 {
		t.Errorf("%+v", got)
	}
	err := decodeCmd{File: two, Format: "auto", Sender: "192.168.50.20", Summary: true}.Run(io.Discard)
	if err == nil || !strings.Contains(err.Error(), "--sender") || !strings.Contains(err.Error(), "192.168.50.21") {
		t.Errorf("error %v", err)
	}
}
