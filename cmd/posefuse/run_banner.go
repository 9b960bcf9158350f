package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"posefuse/sensors/modality"
)

// addresses is where a running daemon is reached; "" is off.
type addresses struct{ page, nats, mqtt string }

// printBanner says where everything is and how to subscribe, in commands that
// work as they stand on this machine.
func printBanner(w io.Writer, room *runRoom, a addresses) {
	cfg := &room.Config
	var b strings.Builder
	fmt.Fprintf(&b, "\nposefuse is running in room %q", cfg.Room)
	switch {
	case room.simulated == modality.All:
		b.WriteString(" on simulated sensors (a configuration switches to real ones: posefuse run --config FILE)")
	case room.simulated != 0:
		fmt.Fprintf(&b, " with the camera %s;\nthe other sensors are simulated: their person is not the one before the camera", room.camera)
	case room.camera != "" && !cfg.Sensors.LiDAR.Enabled && !cfg.Sensors.Radar.Enabled && !cfg.Sensors.CSI.Enabled:
		fmt.Fprintf(&b, " with the camera %s;\nLiDAR, radar and WiFi are off", room.camera)
	case room.camera != "":
		fmt.Fprintf(&b, " with the camera %s in place of the configuration's", room.camera)
	}
	b.WriteString("\n\n")
	if a.page != "" {
		fmt.Fprintf(&b, "  page  %s\n", a.page)
	}
	if a.nats != "" {
		fmt.Fprintf(&b, "  NATS  %s   %s posefuse.%s.pose\n", a.nats, natsSub(a.nats), cfg.Room)
	}
	if a.mqtt != "" {
		fmt.Fprintf(&b, "  MQTT  %s   %s -t posefuse/%s/pose\n", a.mqtt, mosquittoSub(a.mqtt), cfg.Room)
	}
	if len(cfg.Bus.Users) > 0 || cfg.Bus.TLS.CertFile != "" {
		b.WriteString("\nClients need what bus.tls and bus.users ask for: docs/security.md\n")
	}
	switch {
	case !cfg.Sensors.TakesPictures():
	case cfg.Web.Enabled && cfg.Web.ShowImage:
		b.WriteString("\nThe page shows the camera's pictures (web.show_image). None is written or published.\n")
	default:
		b.WriteString("\nThe camera's pictures stay in memory: none is written, published or shown.\n")
	}
	if len(room.notes) > 0 {
		b.WriteString("\nWhere the sensors are costs accuracy (docs/guide.md, \"Where the sensors are\"):\n")
		for _, n := range room.notes {
			fmt.Fprintf(&b, "  %s\n", n)
		}
	}
	b.WriteString("\nCtrl-C stops it.\n\n")
	_, _ = io.WriteString(w, b.String())
}

// natsSub returns the NATS command line client's call, with the server where
// it is not the client's default.
func natsSub(server string) string {
	if server == "nats://127.0.0.1:4222" {
		return "nats sub"
	}
	return "nats -s " + server + " sub"
}

// mosquittoSub returns mosquitto_sub with host and port where they are not its
// defaults.
func mosquittoSub(broker string) string {
	u, err := url.Parse(broker)
	if err != nil {
		return "mosquitto_sub"
	}
	call := "mosquitto_sub"
	if h := u.Hostname(); h != "" && h != "127.0.0.1" && h != "localhost" {
		call += " -h " + h
	}
	if p := u.Port(); p != "" && p != "1883" {
		call += " -p " + p
	}
	return call
}
