package pipeline_test

import (
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"posefuse/internal/testenv"
	"posefuse/pipeline"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/setting"
)

// noSink takes what a source gives before it fails.
type noSink struct{}

func (noSink) Emit(*sensors.Sample) {}
func (noSink) Count(string, uint64) {}
func (noSink) NowNS() int64         { return 0 }

// blind is a detector that sees nobody.
type blind struct{}

func (blind) Detect(image.Image) (camera.Detection, error) { return camera.Detection{}, nil }
func (blind) Reset()                                       {}

// TestFilesOfDrivers: what a driver reads beside the configuration is neither
// waited for nor read without end.
func TestFilesOfDrivers(t *testing.T) {
	dir := t.TempDir()
	fifo, large := filepath.Join(dir, "fifo"), filepath.Join(dir, "large")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.WriteFile(large, nil, 0o600), os.Truncate(large, setting.MaxFile+1)); err != nil {
		t.Fatal(err)
	}
	others := map[string]string{"url": "http://127.0.0.1:1/x", "user": "u", "data_port": "/dev/null", "command_port": "/dev/null", "input": "rtsp://127.0.0.1:1/x"}
	found := map[string]bool{}
	for _, d := range pipeline.Drivers() {
		for key := range blockOf(t, d) {
			if !strings.HasSuffix(key, "_file") || key == "pcap_file" { // a pipe of packets is welcome
				continue
			}
			found[d.Name+" "+key] = true
			for _, path := range []string{fifo, large, "/dev/zero", dir} {
				block := map[string]string{key: path}
				for other, value := range others {
					if _, ok := blockOf(t, d)[other]; ok {
						block[other] = value
					}
				}
				text, err := yaml.Marshal(block)
				if err != nil {
					t.Fatal(err)
				}
				s := d.New()
				if err = yaml.Unmarshal(text, s); err != nil {
					t.Fatal(err)
				}
				source := s.Source("x")
				if v, ok := source.(*camera.VideoSource); ok {
					v.Detector = blind{}
				}
				failed := make(chan error, 1)
				go func() { failed <- source.Run(t.Context(), noSink{}) }()
				err = testenv.Receive(t, "an error of "+d.Name+" "+key+" "+filepath.Base(path), failed)
				why := setting.ErrNotRegular.Error()
				if path == large {
					why = "more than"
				}
				if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), why) {
					t.Errorf("%s %s %s: %v", d.Name, key, filepath.Base(path), err)
				}
			}
		}
	}
	if len(found) < 6 {
		t.Errorf("files of drivers: %v", found)
	}
}
