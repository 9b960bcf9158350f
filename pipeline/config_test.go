package pipeline

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"posefuse/sensors/lidar"
)

func TestShippedExampleEqualsDefaults(t *testing.T) {
	got, err := LoadConfig("../configs/posefuse.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(DefaultConfig(), got); d != "" {
		t.Error(d)
	}
}

// TestShippedExampleHasEveryKey: equality with the defaults alone would also
// hold for an empty file.
func TestShippedExampleHasEveryKey(t *testing.T) {
	doc, err := os.ReadFile("../configs/posefuse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := yaml.Unmarshal(doc, &root); err != nil {
		t.Fatal(err)
	}
	for _, key := range Keys() {
		var at any = root
		for part := range strings.SplitSeq(key, ".") {
			m, _ := at.(map[string]any) // nil holds nothing
			var ok bool
			if at, ok = m[part]; !ok {
				t.Errorf("%s is missing", key)
				break
			}
		}
	}
}

func TestEveryConfigurationLoads(t *testing.T) {
	files, err := filepath.Glob("../configs/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		cfg, err := LoadConfig(f, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := BuildSources(&cfg.Sensors); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"unknown key":      {"bus:\n  nats:\n    lisen: x", "line 3: bus.nats.lisen: no such key; did you mean listen?"},
		"unknown section":  {"nats: {}", "line 1: nats: no such key; known here: audit, bus, detector, exercise, extrinsics, history, log, model, person, pose, record, retrain, room, sensors, state_dir, sync, web"},
		"unknown user key": {"bus:\n  users: [{name: a, pass: b}]", "line 2: bus.users[0].pass: no such key; known here: name, password, role, rooms"},
		"scalar section":   {"sync: 10", "line 1: sync: want keys below it, such as hold_ms"},
		"wrong type":       {"sync:\n  rate_hz: ten", "line 2: sync.rate_hz: \"ten\" is no number"},
		"fraction":         {"sync: {hold_ms: 1.5}", "line 1: sync.hold_ms: 1.5 is no whole number"},
		"not yaml":         {"a: [", "line 1: a: did not find expected node content"},
		"two documents":    {"room: a\n---\nroom: b", "more than one YAML document; keep the first"},
		"room":             {"room: a.b", `line 1: room: "a.b" cannot be part of a subject; use 1 to 64 letters, digits, - and _`},
		"rate":             {"sync: {rate_hz: .nan}", "line 1: sync.rate_hz: NaN is out of range, want 1 to 60"},
		"mode":             {"sync: {mode: exact}", `line 1: sync.mode: "exact" is unknown: use reference_clock`},
		"driver":           {"sensors: {lidar: {driver: hesai}}", `line 1: sensors.lidar.driver: "hesai" is unknown: use ouster or livox or velodyne`},
		"driver setting":   {"sensors: {csi: {atheros: {listen: ''}}}", "line 1: sensors.csi.atheros.path: set path (a device or file) or listen (a TCP address)"},
		"shared setting":   {"sensors: {csi: {antennas: guess}}", `line 1: sensors.csi.antennas: "guess" is unknown: use repeat or zero or absent`},
		"address":          {"sensors: {camera: {keypoints_tcp: {listen: '7010'}}}", `line 1: sensors.camera.keypoints_tcp.listen: "7010" is no address; write host:port, for example 127.0.0.1:4222`},
		"from":             {"sensors: {lidar: {ouster: {from: os1.local}}}", `line 1: sensors.lidar.ouster.from: "os1.local" is no IP address; leave it empty to accept any sender`},
		"radar ports":      {"sensors: {radar: {ti_serial: {command_port: /dev/ttyUSB0}}}", "line 1: sensors.radar.ti_serial.config_file: empty, but command_port is set; name the TI .cfg file to send"},
		"nexmon chip":      {"sensors: {csi: {driver: nexmon, nexmon: {chip: x}}}", `line 1: sensors.csi.nexmon.chip: "x" is unknown: use 4339 or 43455c0 or 4358 or 4366c0 or auto`},
		"no sensor":        {"sensors: {camera: {enabled: false}, lidar: {enabled: false}, radar: {enabled: false}, csi: {enabled: false}}", "line 1: sensors: every sensor is off; enable at least one"},
		"latency":          {"sensors: {radar: {latency_ms: -5}}", "line 1: sensors.radar.latency_ms: -5 is out of range, want 0 to 1000"},
		"web":              {"web: {listen: ':8080'}", "line 1: web.listen: :8080 can be reached from the network, and poses are health data: set bus.tls.cert_file and bus.tls.key_file (posefuse cert makes them) and bus.users, or listen on 127.0.0.1"},
		"bus":              {"bus: {nats: {listen: x}}", `line 1: bus.nats.listen: "x" is no address; write host:port, for example 127.0.0.1:4222`},
		"exercise rest":    {"exercise: {set_rest_s: -1}", "line 1: exercise.set_rest_s: -1 is out of range: give 0 to 600 seconds"},
		"exercise tilt":    {"exercise: {camera_tilt_deg: 120}", "line 1: exercise.camera_tilt_deg: 120 is out of range: give -90 to 90 degrees"},
		"exercise bus":     {"exercise: {enabled: true}\nbus: {mqtt: {listen: ''}}", "line 1: exercise.enabled: the exercise subscriber needs MQTT: set bus.mqtt.listen or bus.mqtt.url"},
		"log":              {"log: {level: loud}", `line 1: log.level: "loud" is unknown: use debug or info or warn or error`},
		"far camera":       {"extrinsics: {room_from_camera: {position_m: [0, 0, 1200]}}", "line 1: extrinsics.room_from_camera.position_m: 1200 is further than 100 m from the room's origin; the unit is metres"},
		"lidar alone":      {"extrinsics: {room_from_lidar: {}}", "line 1: extrinsics.room_from_lidar: needs extrinsics.room_from_camera: poses stay in the camera frame without it, and points follow the poses"},
		"transposed":       {"extrinsics: {room_from_camera: {matrix: [[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,2,1]]}}", "line 1: extrinsics.room_from_camera.matrix: last row [0 0 2 1], want 0 0 0 1; is the matrix transposed?"},
		"mirrored":         {"extrinsics: {room_from_camera: {matrix: [[-1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}}", "line 1: extrinsics.room_from_camera.matrix: its 3 x 3 part is no rotation (rows of length 1, at right angles, right-handed)"},
		"short matrix":     {"extrinsics: {room_from_camera: {matrix: [[1,0,0,0]]}}", "line 1: extrinsics.room_from_camera.matrix: 1 rows, want 4"},
		"two at once":      {"sync: {rate_hz: 0, hold_ms: -1}", "line 1: sync.rate_hz: 0 is out of range, want 1 to 60\nline 1: sync.hold_ms: -1 is out of range, want 0 to 1000"},
		"list document":    {"- room", "line 1: want keys below it, such as audit"},
		"list for text":    {"room: [a]", "line 1: room: want text, not a list"},
		"keys for number":  {"sync: {rate_hz: {a: 1}}", "line 1: sync.rate_hz: want a number, not keys"},
		"text for list":    {"bus:\n  users: viewer", "line 2: bus.users: want a list, not a single value"},
		"two numbers":      {"extrinsics: {room_from_camera: {position_m: [0, 1]}}", "line 1: extrinsics.room_from_camera.position_m: want a list of 3"},
		"null user":        {"bus: {users: [null]}", "line 1: bus.users[0]: empty"},
		"octal":            {"sync: {hold_ms: 060}", "line 1: sync.hold_ms: 060 begins with 0 and would be read to the base of 8; leave the 0 out"},
		"Latin-1":          {"log: {}\nroom: caf\xe9", "line 2: room: the byte 0xE9 is no UTF-8; save the file as UTF-8"},
		"NUL":              {"room: a\x00b", "line 1: room: a control character (0x00); take it out"},
		"tab":              {"sync:\n\thold_ms: 1", "line 2: hold_ms: found character that cannot start any token"},
		"line of a range":  {"room: a\n\n\nsync: {hold_ms: -1}", "line 4: sync.hold_ms: -1 is out of range, want 0 to 1000"},
		"foxglove":         {"web: {foxglove: '0.0.0.0:8765'}", "line 1: web.foxglove: 0.0.0.0:8765 can be reached from the network, and Foxglove's protocol has no login: listen on 127.0.0.1"},
		"foxglove port":    {"web: {foxglove: '127.0.0.1:8080'}", "line 1: web.foxglove: port 8080 is that of web.listen already; give each a port of its own"},
		"foxglove origin":  {"web: {foxglove_origins: [app.foxglove.dev]}", `line 1: web.foxglove_origins[0]: "app.foxglove.dev" is no origin; write for example https://app.foxglove.dev`},
		"page on NATS":     {"web: {listen: '127.0.0.1:4222'}", "line 1: web.listen: port 4222 is that of bus.nats.listen already; give each a port of its own"},
		"camera on CSI":    {"sensors: {camera: {keypoints_tcp: {listen: '127.0.0.1:7020'}}}", "line 1: sensors.csi.atheros.listen: port 7020 is that of sensors.camera.keypoints_tcp.listen already; give each a port of its own"},
		"store overflow":   {"bus: {max_store_mib: 9223372036854775807}", "line 1: bus.max_store_mib: 9223372036854775807 is out of range, want 16 to 1048576"},
		"infinite clock":   {"sensors: {radar: {ti_serial: {cpu_mhz: .inf}}}", "line 1: sensors.radar.ti_serial.cpu_mhz: +Inf is out of range, want 1 to 10000"},
		"slow line":        {"sensors: {radar: {ti_serial: {data_baud: 1}}}", "line 1: sensors.radar.ti_serial.data_baud: 1 is out of range, want 9600 to 12000000"},
		"origin's path":    {"bus: {websocket: {allowed_origins: ['http://a/b']}}", `line 1: bus.websocket.allowed_origins[0]: "http://a/b" is no origin; write for example http://127.0.0.1:8080`},
		"daemon's name":    {"bus: {users: [{name: posefuse-daemon, password: x, role: viewer}]}", `line 1: bus.users[0].name: "posefuse-daemon" is the daemon's own name; take another`},
		"half a hash":      {"bus: {users: [{name: a, password: '$2y$11$Kq...', role: viewer}]}", "line 1: bus.users[0].password: looks like a bcrypt hash and is none: it has 12 characters, a hash has 60"},
		"dear hash":        {"bus: {users: [{name: a, password: '$2a$20$GHIyrMFbr6Ae3/TpqZJrzOrDUyBpzuxvvn2W6OHiEdL32M8DoFG3q', role: viewer}]}", "line 1: bus.users[0].password: the bcrypt hash has the cost 20, so a login takes seconds; make it with 10 to 14"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseConfig([]byte(c.doc), nil); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	cfg, err := ParseConfig([]byte("room: file"), []string{"HOME=/x", "POSEFUSE_CPU=portable", "POSEFUSE_ROOM=env", "POSEFUSE_SYNC_RATE_HZ=20",
		"POSEFUSE_SENSORS_CAMERA_ENABLED=false", "POSEFUSE_SENSORS_LIDAR_OUSTER_METADATA_FILE=5",
		"POSEFUSE_BUS_USERS=[{name: a, password: b, role: viewer}]", "POSEFUSE_EXTRINSICS_ROOM_FROM_CAMERA={position_m: [0, 0, 1]}"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Room != "env" || cfg.Sync.RateHz != 20 || cfg.Sensors.Camera.Enabled || DriverSettings[*lidar.OusterConfig](&cfg.Sensors.LiDAR).MetadataFile != "5" ||
		len(cfg.Bus.Users) != 1 || cfg.Extrinsics.RoomFromCamera.PositionM[2] != 1 {
		t.Errorf("%+v", cfg)
	}
	for env, want := range map[string]string{
		"POSEFUSE_RUM=x":                                     "environment POSEFUSE_RUM: no such key; the variable of bus.nats.listen is POSEFUSE_BUS_NATS_LISTEN",
		"POSEFUSE_SYNC_HOLD_MS=null":                         "sync.hold_ms (environment POSEFUSE_SYNC_HOLD_MS): \"null\" does not fit: empty; give a whole number, or unset the variable",
		"POSEFUSE_SYNC_HOLD_MS=1\n---\n2":                    "sync.hold_ms (environment POSEFUSE_SYNC_HOLD_MS): \"1\\n---\\n2\" does not fit: more than one YAML document",
		"POSEFUSE_BUS_USERS=[{name: a, pasword: TOPSECRET}]": "bus.users (environment POSEFUSE_BUS_USERS): the value does not fit: line 1: [0].pasword: no such key; did you mean password?",
		"POSEFUSE_BUS_USERS=TOPSECRET":                       "bus.users (environment POSEFUSE_BUS_USERS): the value does not fit: line 1: want a list, not a single value",
		"POSEFUSE_BUS_MQTT_URL=x://a:TOPSECRET@":             "bus.mqtt.url: no URL; write for example tcp://host:port",
		"POSEFUSE_SYNC_HOLD_MS=a bit":                        "sync.hold_ms (environment POSEFUSE_SYNC_HOLD_MS): \"a bit\" does not fit: line 1: \"a bit\" is no whole number",
	} {
		if _, err := ParseConfig(nil, []string{env}); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestEnvironmentNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, k := range Keys() {
		if other, ok := seen[EnvName(k)]; ok {
			t.Errorf("%s and %s share %s", k, other, EnvName(k))
		}
		seen[EnvName(k)] = k
	}
	if len(seen) < 60 {
		t.Errorf("only %d keys found", len(seen))
	}
}

func TestDefaultsDoNotShareMemory(t *testing.T) {
	a, b := DefaultConfig(), DefaultConfig()
	a.Bus.WebSocket.AllowedOrigins[0] = "changed"
	if reflect.DeepEqual(a, b) {
		t.Error("two defaults share a list")
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, name := range []string{"posefuse", "clinic", "replay"} {
		doc, err := os.ReadFile("../configs/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Add([]byte("extrinsics: {room_from_camera: {matrix: [[1]]}}"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		cfg, err := ParseConfig(doc, nil)
		if err != nil {
			return
		}
		if _, err := BuildSources(&cfg.Sensors); err != nil {
			t.Errorf("checked, but: %v", err)
		}
	})
}
