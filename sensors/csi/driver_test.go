package csi

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"posefuse/sensors"
)

func TestDrivers(t *testing.T) {
	reg := sensors.NewRegistry(AtherosDriver(), NexmonDriver())
	tests := []struct{ driver, settings, wantErr string }{
		{"csi-atheros", "listen: 127.0.0.1:7020\nresample: true", ""},
		{"csi-atheros", "{}", "set either the path"},
		{"csi-nexmon", "interface: wlan0\nmac: 98:de:d0:48:92:66\nchip: 43455c0\ncores: 1", ""},
		{"csi-nexmon", "file: x.pcap\nfollow: true\nport: 5501", ""},
		{"csi-nexmon", "interface: wlan0\nchip: bcm", "not one of auto, 4339"},
		{"csi-nexmon", "interface: wlan0\nmac: 98-x", "not a WiFi address"},
		{"csi-nexmon", "interfaces: wlan0", "interfaces"},
	}
	for _, tc := range tests {
		d, err := reg.Lookup(tc.driver)
		if err != nil {
			t.Fatal(err)
		}
		src, err := d.New("csi", func(v any) error {
			dec := yaml.NewDecoder(strings.NewReader(tc.settings))
			dec.KnownFields(true)
			return dec.Decode(v)
		})
		if tc.wantErr == "" && (err != nil || src == nil) || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
			t.Errorf("%s %q: %v, want %q", tc.driver, tc.settings, err, tc.wantErr)
		}
	}
}
