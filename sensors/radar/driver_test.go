package radar

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"posefuse/sensors"
)

func TestDriver(t *testing.T) {
	d, err := sensors.NewRegistry(SerialDriver()).Lookup("radar-serial")
	if err != nil {
		t.Fatal(err)
	}
	for settings, wantErr := range map[string]string{
		"data_port: /dev/x": "",
		"data_port: /dev/x\nlayout: people48\nframe_period: 55ms": "",
		"data_port: /dev/x\nlayout: oob99":                        "not one of auto, oob36",
		"dataport: /dev/x":                                        "dataport",
		"{}":                                                      "data port is not set",
	} {
		src, err := d.New("radar", func(v any) error {
			dec := yaml.NewDecoder(strings.NewReader(settings))
			dec.KnownFields(true)
			return dec.Decode(v)
		})
		if wantErr == "" && (err != nil || src == nil) || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%q: %v, want %q", settings, err, wantErr)
		}
	}
}
