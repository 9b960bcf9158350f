package pipeline

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/message"
)

// TestCameraHealthTellsTheTruth: lines that a detector sends and that are
// refused are called that, and not a fault of power and cable.
func TestCameraHealthTellsTheTruth(t *testing.T) {
	line := func(point string) func(int) []byte {
		return func(i int) []byte {
			return fmt.Appendf(nil, "{\"capture_ns\": %d, \"seq\": %d, \"width\": 640, \"height\": 480, \"keypoints\": [%s]}\n",
				time.Now().UnixNano(), i, strings.TrimSuffix(strings.Repeat(point+",", 17), ","))
		}
	}
	for name, c := range map[string]struct {
		line func(int) []byte
		text []string
	}{
		"another protocol": {func(int) []byte { return []byte("RTSP/1.0 200 OK\r\n") }, []string{"data comes but is rejected", "bad_json", "no keypoint lines"}},
		"a web page":       {func(int) []byte { return []byte("POST / HTTP/1.1\r\n") }, []string{"data comes but is rejected", "http_request", "a web page or an HTTP client"}},
		"per cent":         {line("[320, 240, 85]"), []string{"data comes but is rejected", "bad_value", "per cent"}},
		"two numbers":      {line("[320, 240]"), []string{"data comes but is rejected", "bad_count", "17 keypoints"}},
	} {
		t.Run(name, func(t *testing.T) {
			opt := Options{Config: testConfig(t), Version: "0.1.0", Notify: func(string) error { return nil }}
			s := &opt.Config.Sensors
			s.CSI.Enabled, s.LiDAR.Enabled, s.Radar.Enabled = false, false, false
			addr := testenv.FreeAddr(t)
			if err := s.Camera.Choose("keypoints_tcp", map[string]any{"listen": addr}); err != nil {
				t.Fatal(err)
			}
			sources, err := BuildSources(s)
			if err != nil {
				t.Fatal(err)
			}
			opt.Sources = sources
			d := &daemonUnderTest{}
			d.start(t, opt)
			ctx, stop := context.WithCancel(t.Context())
			fed := make(chan struct{})
			go func() { defer close(fed); feedTCP(ctx, addr, c.line) }()
			defer func() { stop(); <-fed }()
			next(t, d.subscribe(t, "status"), func(m *message.Status) bool {
				for _, h := range m.Parts {
					if h.Part != "sensor.camera" || h.Code != codeRejected {
						continue
					}
					for _, text := range c.text {
						if !strings.Contains(h.Text, text) {
							return false
						}
					}
					return h.Severity == severityWarning
				}
				return false
			})
		})
	}
}
