package main

import (
	"strings"
	"testing"

	"posefuse/pipeline"
	"posefuse/pipeline/bus"
)

// TestBannerSaysWhatPlacesCost, and nothing where the model holds.
func TestBannerSaysWhatPlacesCost(t *testing.T) {
	room := runRoom{Config: pipeline.DefaultConfig()}
	for _, want := range []bool{false, true} {
		if want {
			room.notes = []pipeline.ArrangementNote{{Key: "extrinsics.room_from_camera", Text: "camera_height_m is 3"}}
		}
		var b strings.Builder
		printBanner(&b, &room, addresses{})
		if got := strings.Contains(b.String(), "  extrinsics.room_from_camera: camera_height_m is 3\n"); got != want || strings.Contains(b.String(), "costs accuracy") != want {
			t.Errorf("%t: %s", want, b.String())
		}
	}
}

func TestBannerTellsCommandsThatWork(t *testing.T) {
	for name, c := range map[string]struct {
		at         addresses
		change     func(*pipeline.Config)
		want, lack []string
	}{
		"defaults": {addresses{"http://127.0.0.1:8080", "nats://127.0.0.1:4222", "mqtt://127.0.0.1:1883"}, nil,
			[]string{"page  http://127.0.0.1:8080\n", "   nats sub posefuse.room1.pose\n", "   mosquitto_sub -t posefuse/room1/pose\n"}, []string{"docs/security.md"}},
		"other ports": {addresses{"http://127.0.0.1:9", "nats://127.0.0.1:14222", "mqtt://127.0.0.1:11883"}, func(c *pipeline.Config) { c.Room = "gym" },
			[]string{"   nats -s nats://127.0.0.1:14222 sub posefuse.gym.pose\n", "   mosquitto_sub -p 11883 -t posefuse/gym/pose\n"}, nil},
		"external servers": {addresses{"", "nats://hub:4222", "tcp://broker:1883"}, nil,
			[]string{"nats -s nats://hub:4222 sub", "mosquitto_sub -h broker -t"}, []string{"page"}},
		"off":        {addresses{"http://127.0.0.1:8080", "", ""}, nil, []string{"page"}, []string{"NATS", "MQTT"}},
		"with users": {addresses{"", "nats://127.0.0.1:4222", ""}, func(c *pipeline.Config) { c.Bus.Users = []bus.User{{Name: "screen"}} }, []string{"docs/security.md"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := pipeline.DefaultConfig()
			if c.change != nil {
				c.change(&cfg)
			}
			var b strings.Builder
			printBanner(&b, &runRoom{Config: cfg}, c.at)
			for _, w := range c.want {
				if !strings.Contains(b.String(), w) {
					t.Errorf("lacks %q:\n%s", w, b.String())
				}
			}
			for _, w := range c.lack {
				if strings.Contains(b.String(), w) {
					t.Errorf("holds %q:\n%s", w, b.String())
				}
			}
		})
	}
}
