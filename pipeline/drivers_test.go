package pipeline_test

import (
	"context"
	"errors"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"posefuse/pipeline"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// sensorOf is the key below "sensors" of each modality.
var sensorOf = [modality.Count]string{modality.Camera: "camera", modality.LiDAR: "lidar", modality.Radar: "radar", modality.CSI: "csi"}

// blockOf returns a driver's default settings as a document has them.
func blockOf(t *testing.T, d sensors.Driver) map[string]any {
	t.Helper()
	b, err := yaml.Marshal(d.New())
	if err != nil {
		t.Fatal(err)
	}
	var block map[string]any
	if err := yaml.Unmarshal(b, &block); err != nil {
		t.Fatal(err)
	}
	return block
}

// eachDriver calls f for every driver of the table.
func eachDriver(t *testing.T, f func(t *testing.T, d sensors.Driver, path string)) {
	t.Helper()
	for _, d := range pipeline.Drivers() {
		t.Run(d.Name, func(t *testing.T) { f(t, d, "sensors."+sensorOf[d.Modality]+"."+d.Name) })
	}
}

func TestDriversAreWhole(t *testing.T) {
	seen := map[string]bool{}
	eachDriver(t, func(t *testing.T, d sensors.Driver, path string) {
		if seen[path] {
			t.Error("appears twice")
		}
		seen[path] = true
		if d.Silent == "" {
			t.Error("does not say what to look at when the sensor is silent")
		}
		if found := d.New().Check(); len(found) > 0 {
			t.Errorf("its own defaults do not pass: %v", found)
		}
		if len(blockOf(t, d)) > 0 && d.New() == d.New() {
			t.Error("hands out the same settings twice")
		}
		if d.New().Source("x") == nil {
			t.Error("makes no source of its defaults")
		}
	})
}

// TestDriversAreDocumented: every key of a driver's block is in the documented
// configuration, with its default, and nothing else is.
func TestDriversAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../configs/posefuse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var root struct{ Sensors map[string]map[string]any }
	if err := yaml.Unmarshal(doc, &root); err != nil {
		t.Fatal(err)
	}
	eachDriver(t, func(t *testing.T, d sensors.Driver, path string) {
		want := blockOf(t, d)
		got, _ := root.Sensors[sensorOf[d.Modality]][d.Name].(map[string]any) // none for a driver without settings
		for key, v := range want {
			if !reflect.DeepEqual(got[key], v) {
				t.Errorf("%s.%s is %v in the documented configuration, %v in the driver", path, key, got[key], v)
			}
			if !slices.Contains(pipeline.Keys(), path+"."+key) {
				t.Errorf("%s.%s is not among the keys", path, key)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d keys documented, the driver has %d", len(got), len(want))
		}
	})
}

func TestDriversKeysFailWithLineAndPath(t *testing.T) {
	eachDriver(t, func(t *testing.T, d sensors.Driver, path string) {
		for key, v := range blockOf(t, d) {
			doc := "sensors:\n  " + sensorOf[d.Modality] + ":\n    " + d.Name + ":\n      "
			_, err := pipeline.ParseConfig([]byte(doc+key+"x: 1"), nil)
			if want := "line 4: " + path + "." + key + "x: no such key; did you mean " + key + "?"; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if _, text := v.(string); text {
				continue // takes any scalar
			}
			_, err = pipeline.ParseConfig([]byte(doc+key+": many"), nil)
			if err == nil || !strings.HasPrefix(err.Error(), "line 4: ") {
				t.Errorf("%s: many: %v", key, err)
			}
		}
	})
}

// spoil gives every field a value that hardly works.
func spoil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			spoil(v.Field(i))
		}
	case reflect.String:
		v.SetString("?")
	case reflect.Int:
		v.SetInt(-1)
	case reflect.Float64:
		v.SetFloat(-1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	}
}

func TestDriversProblemsNameTheirKey(t *testing.T) {
	eachDriver(t, func(t *testing.T, d sensors.Driver, path string) {
		block := blockOf(t, d)
		s := d.New()
		spoil(reflect.ValueOf(s).Elem())
		found := s.Check()
		if len(found) == 0 && len(block) > 0 {
			t.Error("finds nothing wrong with nonsense")
		}
		for _, err := range found {
			p, ok := errors.AsType[*setting.Problem](err)
			if !ok {
				t.Errorf("not a problem of a setting: %v", err)
				continue
			}
			if _, known := block[p.Key]; !known {
				t.Errorf("names %q, which is no key of %s: %v", p.Key, path, err)
			}
		}
		cfg := pipeline.DefaultConfig()
		for _, c := range []*pipeline.SensorConfig{&cfg.Sensors.Camera, &cfg.Sensors.LiDAR, &cfg.Sensors.Radar, &cfg.Sensors.CSI} {
			for i := range c.Drivers {
				if c.Drivers[i].Name == d.Name {
					c.Driver, c.Drivers[i].Settings = d.Name, s
				}
			}
		}
		err := cfg.Check()
		for line := range strings.Lines(errorText(err)) {
			if !strings.HasPrefix(line, path+".") {
				t.Errorf("does not start with the key's path: %s", line)
			}
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSensorBlocksFromFileAndEnvironment(t *testing.T) {
	doc := "sensors:\n  camera: {latency_ms: &delay 7}\n  lidar:\n    driver: livox\n    latency_ms: *delay\n" +
		"    livox: {listen: '127.0.0.1:1', crop_min_m: [0, 0, 0], crop_max_m: [1, 1, 1]}\n    ouster: null\n"
	cfg, err := pipeline.ParseConfig([]byte(doc), []string{"POSEFUSE_SENSORS_LIDAR_LIVOX_FROM=127.0.0.2", "POSEFUSE_SENSORS_CSI_NEXMON_CORES=2",
		"POSEFUSE_SENSORS_LIDAR_LIVOX_CROP_MAX_M=[2, 2, 2]"})
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Sensors.LiDAR.LatencyMS; got != 7 {
		t.Errorf("latency_ms is %v, want 7", got)
	}
	for key, want := range map[string]any{"listen": "127.0.0.1:1", "from": "127.0.0.2", "crop_max_m": []any{2, 2, 2}, "sweep_ms": 100} {
		b, err := yaml.Marshal(cfg.Sensors.LiDAR.Drivers[1].Settings)
		if err != nil {
			t.Fatal(err)
		}
		var block map[string]any
		if err := yaml.Unmarshal(b, &block); err != nil || !reflect.DeepEqual(block[key], want) {
			t.Errorf("%s is %v, want %v (%v)", key, block[key], want, err)
		}
	}
	for doc, want := range map[string]string{
		"sensors: {lidar: {driver: livox, driver: ouster}}":                  `line 1: mapping key "driver" already defined at line 1`,
		"sensors: {lidar: {livox: {from: a, from: b}}}":                      `line 1: mapping key "from" already defined at line 1`,
		"sensors: {lidar: [1]}":                                              "line 1: sensors.lidar: want keys below it, such as centre_ms",
		"sensors: {lidar: {ouster: 5}}":                                      "line 1: sensors.lidar.ouster: want keys below it, such as crop_max_m",
		"sensors: {camera: {keypoints_nats: {}}}":                            "line 1: sensors.camera.keypoints_nats: no such key; known here: centre_ms, driver, enabled, ffmpeg, keypoints_tcp, latency_ms, mjpeg_http, period_ms, pictures, stale_ms, tolerance_ms, v4l2",
		"sensors: {radar: {ouster: {}}}":                                     "line 1: sensors.radar.ouster: no such key; known here: centre_ms, driver, enabled, latency_ms, period_ms, stale_ms, ti_serial, tolerance_ms",
		"sensors: {lidar: {ouster: {listen: [a]}, livox: {listen: {b: 1}}}}": "line 1: sensors.lidar.ouster.listen: want text, not a list\nline 1: sensors.lidar.livox.listen: want text, not keys",
	} {
		if _, err := pipeline.ParseConfig([]byte(doc), nil); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", doc, err, want)
		}
	}
}

// TestSourceErrorsNameTheKey: a driver knows neither its sensor nor where its
// settings lie.
func TestSourceErrorsNameTheKey(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.LocalAddr().String()
	_, port, _ := net.SplitHostPort(address)
	doc := "sensors: {lidar: {driver: livox, livox: {listen: '" + address + "'}}, radar: {ti_serial: {command_port: /dev/none, config_file: /no/radar.cfg}}}"
	cfg, err := pipeline.ParseConfig([]byte(doc), nil)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := pipeline.BuildSources(&cfg.Sensors)
	if err != nil {
		t.Fatal(err)
	}
	for m, want := range map[modality.Kind]string{
		modality.LiDAR: "sensor lidar: sensors.lidar.livox.listen: port in use: port " + port + " at " + address + " belongs to another program; stop it (ss -tulpn shows which) or change sensors.lidar.livox.listen",
		modality.Radar: "sensor radar: configuration: open /no/radar.cfg: no such file or directory: correct sensors.radar.ti_serial.config_file",
	} {
		err := sources[m].Run(t.Context(), sink{})
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if step := sensors.NextStep(err); step != "" {
			t.Errorf("a second advice: %s", step)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sources[modality.Camera].Run(ctx, sink{}); err != nil {
		t.Errorf("a source that was stopped: %v", err)
	}
}

// sink takes nothing.
type sink struct{}

func (sink) Emit(*sensors.Sample) {}
func (sink) Count(string, uint64) {}
func (sink) NowNS() int64         { return 0 }
