package radar

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestParseConfigFiles(t *testing.T) {
	tests := []struct {
		file       string
		lines      int
		periodMS   float64
		startGHz   float64
		samples    int
		chirps     int
		tx         []int
		gui        []int
		resolution float64
		tracking   []float64
		position   []float64
	}{
		{file: "xwr68xx_oob_sdk3.cfg", lines: 30, periodMS: 100, startGHz: 60, samples: 256, chirps: 32, tx: []int{1, 4}, gui: []int{1, 1, 0, 0, 0, 1}, resolution: 0.04357},
		{file: "awr1843_oob_sdk3.6_mer1.cfg", lines: 29, periodMS: 100, startGHz: 77, samples: 256, chirps: 32, tx: []int{1, 4}, gui: []int{1, 1, 0, 0, 0, 1}, resolution: 0.04357},
		{file: "iwr1443_sdk2.1.cfg", lines: 23, periodMS: 100, startGHz: 77, samples: 240, chirps: 32, tx: []int{1, 4}, gui: []int{1, 0, 0, 0, 0, 0}, resolution: 0.04357},
		{file: "3d_people_counting_ISK_6m_default.cfg", lines: 32, periodMS: 55, startGHz: 60.75, samples: 96, chirps: 288, tx: []int{1, 2, 4}, resolution: 0.08421,
			tracking: []float64{1, 2, 800, 30, 46, 96, 55}, position: []float64{2, 0, 15}},
	}
	for _, tc := range tests {
		t.Run(tc.file, func(t *testing.T) {
			c := config(t, string(recorded(t, tc.file)))
			if len(c.Lines) != tc.lines || c.Lines[0].Text != "sensorStop" || c.Lines[len(c.Lines)-1].Text != "sensorStart" {
				t.Errorf("%d lines, first %v, last %v", len(c.Lines), c.Lines[0], c.Lines[len(c.Lines)-1])
			}
			if c.FramePeriodMS != tc.periodMS || c.StartGHz != tc.startGHz || c.Samples != tc.samples || c.ChirpsPerFrame != tc.chirps ||
				!reflect.DeepEqual(c.TxMasks, tc.tx) || !reflect.DeepEqual(c.GUIMonitor, tc.gui) ||
				!reflect.DeepEqual(c.Tracking, tc.tracking) || !reflect.DeepEqual(c.SensorPosition, tc.position) {
				t.Errorf("%+v", c)
			}
			if r := c.RangeResolutionM(); math.Abs(r-tc.resolution) > 2e-4 {
				t.Errorf("range resolution %.5f m, want %.5f", r, tc.resolution)
			}
		})
	}
}

func TestParseConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "no command",
		"% only a comment\n\n":            "no command",
		"sensorStop\nframeCfg 0 1 16 0":   `line 2 "frameCfg 0 1 16 0": 4 arguments, want at least 5`,
		"frameCfg 0 1 16 0 ten 1 0":       `argument 5 "ten" is not a number`,
		"frameCfg 0 1 16 0 NaN 1 0":       `argument 5 "NaN" is not a number`,
		"frameCfg 0 1 16 0 0 1 0":         "frame period 0 ms is not positive",
		"sensorStop\n\x7fELF\x01":         "line 2: byte 0x7f is not text",
		"profileCfg 0 77 429 7 57 0 0 70": "8 arguments, want at least 11",
	} {
		if _, err := ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(recorded(f, "xwr68xx_oob_sdk3.cfg"))
	f.Add(recorded(f, "iwr1443_sdk2.1.cfg"))
	f.Add([]byte("frameCfg 0 1e99 1e99 0 1 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConfig(b)
		if err != nil {
			return
		}
		for _, l := range c.Lines {
			if l.Text == "" || l.Text[0] == '%' || strings.ContainsAny(l.Text, "\n\r") {
				t.Fatalf("line %q would be sent", l.Text)
			}
		}
	})
}
