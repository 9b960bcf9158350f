package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posefuse/message"
)

// A daemon and its sensors run as processes of their own, and what they took is
// told.
func TestBenchRoom(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), binary(t), "bench", "room", "--rooms", "1", "--for", "1s", "--json").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got []roomsResult
	if err := json.Unmarshal(out, &got); err != nil || len(got) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	if r := got[0]; r.Rooms != 1 || r.FirstPoseS <= 0 || r.LeastHz <= 0 || r.DaemonCores <= 0 || r.DaemonMiB < 20 || r.FreeMiB <= 0 {
		t.Errorf("measured %+v", r)
	}
}

func TestBenchRoomRefuses(t *testing.T) {
	for want, c := range map[string]benchRoomCmd{
		"--for": {Rooms: []int{1}, For: time.Millisecond}, "--rooms 0": {Rooms: []int{0}, For: time.Second}, "--rooms 999": {Rooms: []int{1, 999}, For: time.Second},
	} {
		if err := c.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error about %s", c, err, want)
		}
	}
}

// The number of rooms that gives way is told with what gave way.
func TestRoomsGiveWay(t *testing.T) {
	for _, c := range []struct {
		name     string
		seen     message.Reception
		says     string
		resident float64
	}{
		{"all is well", message.Reception{RateHz: 10, Publish: message.Quantiles{P99: 89}}, "", 0},
		{"rate", message.Reception{RateHz: 9.5, Publish: message.Quantiles{P99: 61}}, "rate: 9.50", 0},
		{"p99", message.Reception{RateHz: 10, Publish: message.Quantiles{P99: 91}}, "p99: 31 ms", 0},
	} {
		c.seen.Poses, c.seen.Coalitions = 10, map[string]int{"RLMW": 5}
		self := benchProcess{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}, used: time.Second}
		good := message.Reception{Poses: 10, RateHz: 10, Coalitions: map[string]int{"RLMW": 10}}
		var r roomsResult
		r.take([]*benchRoom{{daemon: self, sensors: self}, {daemon: self, sensors: self}}, []message.Reception{good, c.seen}, 2*time.Second)
		if c.says == "" != (r.GaveWay == "") || !strings.Contains(r.GaveWay, c.says) {
			t.Errorf("%s: gave way by %q, want %q", c.name, r.GaveWay, c.says)
		}
		if r.FusedShare != 0.75 || r.DaemonCores != 0.5 || r.SensorCores != 0.5 || r.DaemonMiB <= 0 {
			t.Errorf("%s: %+v", c.name, r)
		}
		if self.processorTime() < 0 {
			t.Errorf("this process used %s", self.processorTime())
		}
	}
}

func TestPower(t *testing.T) {
	dir := t.TempDir()
	write := func(zone, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, zone), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, zone, "energy_uj"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if startPower(dir)() != nil {
		t.Error("watts without a counter")
	}
	write("intel-rapl:0", "1000000\n")
	write("intel-rapl:0:0", "5\n") // a part of it, counted once
	end := startPower(dir)
	write("intel-rapl:0", "3000000\n")
	if w := end(); w == nil || *w <= 0 {
		t.Errorf("watts %v", w)
	}
	end = startPower(dir)
	write("intel-rapl:0", "7\n")
	if end() != nil {
		t.Error("watts of a counter that began anew")
	}
}
