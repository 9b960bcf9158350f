package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/model/shipped"
)

// validate checks a message against its schema and decodes it.
func validate(t *testing.T, schema string, data []byte, into any) {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../docs/schema/" + schema)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err == nil {
		err = s.Validate(doc)
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", schema, err, data)
	}
}

// saveShipped writes the shipped model to a folder, changed by edit.
func saveShipped(t *testing.T, edit func(c *model.Card)) string {
	t.Helper()
	net, card, err := shipped.Load()
	if err != nil {
		t.Fatal(err)
	}
	edit(&card)
	dir := t.TempDir()
	if _, err := model.SaveCheckpoint(dir, net, card); err != nil {
		t.Fatal(err)
	}
	return dir
}

func weightsFile(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(found) != 1 {
		t.Fatalf("weights in %s: %v %v", dir, found, err)
	}
	return found[0]
}

// TestBadInputNamesWhatIsWrong runs the binary on what users get wrong. Every
// case must fail with one error that names the file, key or offset.
func TestBadInputNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	at := func(name, content string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, []byte(content))
		return path
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	var free [4]string
	for i := range free {
		free[i] = testenv.FreeAddr(t)
	}
	ports := fmt.Sprintf("bus: {nats: {listen: %q}, mqtt: {listen: %q}, websocket: {listen: %q}}\nweb: {listen: %q}\nstate_dir: %s\n", free[0], free[1], free[2], free[3], filepath.Join(dir, "state"))

	centred := saveShipped(t, func(c *model.Card) { c.Window = model.Centred })
	flipped := saveShipped(t, func(*model.Card) {})
	w := weightsFile(t, flipped)
	b, err := os.ReadFile(w)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-9] ^= 1
	if err := os.WriteFile(w, b, 0o600); err != nil {
		t.Fatal(err)
	}
	short := saveShipped(t, func(*model.Card) {})
	if err := os.Truncate(weightsFile(t, short), 1000); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "mmfi")
	posefuse(t, "simulate", "--out", broken, "--subjects", "1", "--activities", "12", "--frames", "3")
	lidar := filepath.Join(broken, "E01/S01/A12/lidar/frame002.bin")
	if err := os.Truncate(lidar, 1001); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name string
		args []string
		want []string // all must be in the error
	}{
		{"unknown key", []string{"check", at("key.yaml", "room: a\nsensor: {}\n")}, []string{"key.yaml", "sensor"}},
		{"wrong type", []string{"check", at("type.yaml", "sync: {rate_hz: fast}\n")}, []string{"type.yaml", "rate_hz"}},
		{"exercise nobody counts", []string{"check", at("exercise.yaml", "exercise: {exercise: A99}\n")}, []string{"exercise.yaml", "exercise.exercise", "A99", "A12"}},
		{"certificate that is not there", []string{"check", at("tls.yaml", "bus: {tls: {cert_file: /no/cert.pem, key_file: /no/key.pem}}\n")}, []string{"tls.yaml", "bus.tls.cert_file", "/no/cert.pem", "no such file"}},
		{"run with it", []string{"run", "--config", at("exercise2.yaml", ports+"exercise: {enabled: true, exercise: A99}\n")}, []string{"exercise.exercise", "A99"}},
		{"missing file", []string{"run", "--config", filepath.Join(dir, "none.yaml")}, []string{"none.yaml", "no such file"}},
		{"listener open to the world", []string{"check", at("open.yaml", "bus: {nats: {listen: \"0.0.0.0:4222\"}}\n")}, []string{"bus.nats.listen", "users"}},
		{"NATS port in use", []string{"run", "--config", at("nats.yaml", strings.Replace(ports, free[0], taken.Addr().String(), 1))}, []string{"bus.nats.listen", taken.Addr().String(), "in use"}},
		{"page port in use", []string{"run", "--config", at("web.yaml", strings.Replace(ports, free[3], taken.Addr().String(), 1))}, []string{"web.listen", taken.Addr().String(), "in use"}},
		{"centred model", []string{"run", "--config", at("centred.yaml", ports+"model: {path: "+centred+"}\n")}, []string{"centred", "causal"}},
		{"check of a centred model", []string{"check", at("centred2.yaml", ports+"model: {path: "+centred+"}\n")}, []string{"model", "centred", "causal"}},
		{"changed weights", []string{"run", "--config", at("flip.yaml", ports+"model: {path: "+flipped+"}\n")}, []string{"sha256"}},
		{"truncated weights", []string{"check", at("short.yaml", ports+"model: {path: "+short+"}\n")}, []string{"model.path", filepath.Base(weightsFile(t, short))}},
		{"no model", []string{"eval", "--model", filepath.Join(dir, "nothing")}, []string{"nothing", "no such file"}},
		{"no data set", []string{"eval", "--mmfi", filepath.Join(dir, "nodata")}, []string{"nodata"}},
		{"truncated LiDAR file", []string{"eval", "--mmfi", broken, "--clips", "S01/A12"}, []string{"frame002.bin", "1001", "copy it again"}},
		{"no such clip", []string{"replay", "--mmfi", broken, "--clips", "S09"}, []string{"S09"}},
		{"replay to nobody", []string{"replay", "--mmfi", broken, "--clips", "S01/A12", "--lead", "10ms", "--speed", "20", "--camera", free[0], "--lidar", free[1],
			"--csi", free[2], "--radar-command", filepath.Join(dir, "rc"), "--radar-data", filepath.Join(dir, "rd"), "--metadata", filepath.Join(dir, "o.json")},
			[]string{"camera: no driver took anything", "--without camera", "lidar: 1 frames cannot be read", "radar: the daemon did not start it", "csi: no driver took anything"}},
		{"replay of clouds as scans", []string{"replay", "--mmfi", broken, "--lidar-as", "ouster"}, []string{"--lidar-as ouster", "livox"}},
		{"replay that stands still", []string{"replay", "--mmfi", broken, "--speed", "0"}, []string{"--speed 0"}},
		{"two ways for CSI", []string{"replay", "--mmfi", broken, "--csi", free[0], "--csi-pipe", filepath.Join(dir, "pipe")}, []string{"--csi and --csi-pipe"}},
		{"unknown fault", []string{"replay", "--mmfi", broken, "--fault", "radar:smoke=1"}, []string{"radar:smoke=1", "loss"}},
		{"unknown exercise", []string{"exercise", "--exercise", "A99"}, []string{"A99", "--list"}},
		{"clips of nothing", []string{"simulate", "--out", dir, "--frames", "0"}, []string{"--frames 0"}},
		{"room that is no subject", []string{"run", "--config", at("room.yaml", ports), "--room", "a.b"}, []string{"posefuse: room:", `"a.b"`}},
		{"unknown degradation", []string{"simulate", "--out", dir, "--degrade", "fog:1"}, []string{"fog:1", "dark-room"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary(t), c.args...)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("posefuse %v succeeded:\n%s", c.args, out)
			}
			if code := cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, part := range c.want {
				if !strings.Contains(string(out), part) {
					t.Errorf("the error does not name %q:\n%s", part, out)
				}
			}
			if strings.Contains(string(out), "goroutine ") {
				t.Errorf("the error is a stack trace:\n%s", out)
			}
		})
	}
}

// TestPortInUseWithoutConfiguration: the way out is the environment.
func TestPortInUseWithoutConfiguration(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	cmd := exec.CommandContext(t.Context(), binary(t), "run", "--state", t.TempDir())
	cmd.Env = append(os.Environ(), "POSEFUSE_BUS_NATS_LISTEN="+taken.Addr().String())
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "bus.nats.listen") || !strings.Contains(string(out), "POSEFUSE_BUS_NATS_LISTEN") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestCheckNotesMissingSensorFiles: the daemon runs without the sensor, so the
// file is no error, but a user wants to know.
func TestCheckNotesMissingSensorFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "room.yaml")
	writeFile(t, path, []byte("sensors: {lidar: {ouster: {metadata_file: /no/ouster.json}}, radar: {ti_serial: {command_port: /dev/ttyUSB0, config_file: /no/radar.cfg}}}\n"))
	out, err := exec.CommandContext(t.Context(), binary(t), "check", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"sensors.lidar.ouster.metadata_file", "/no/ouster.json", "sensors.radar.ti_serial.config_file", "/no/radar.cfg", "room.yaml: ok"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("check does not say %q:\n%s", want, out)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	var commands [][]string
	for _, group := range newParser(t).Model.Children {
		commands = append(commands, []string{group.Name})
		for _, c := range group.Children {
			commands = append(commands, []string{group.Name, c.Name})
		}
	}
	if len(commands) < 20 {
		t.Fatalf("only %d commands found: %v", len(commands), commands)
	}
	for _, c := range commands {
		out := posefuse(t, append(slices.Clone(c), "--help")...)
		if !strings.Contains(out, "Example") || !strings.Contains(out, "posefuse "+strings.Join(c, " ")) {
			t.Errorf("posefuse %s --help has no example:\n%s", strings.Join(c, " "), out)
		}
	}
}

// TestWrongUsageIsTwoLines: the error, and how to read more than one line.
func TestWrongUsageIsTwoLines(t *testing.T) {
	for _, c := range []struct {
		args  []string
		error string
		usage string
	}{
		{[]string{"train", "--nope"}, `unknown flag --nope, did you mean "--name"?`, "posefuse train --out=DIR [flags]; see posefuse train --help"},
		{[]string{"trian"}, `unexpected argument trian, did you mean "train"?`, "posefuse <command>; see posefuse --help"},
		{[]string{"models"}, `expected one of "list", "show", "add", "shadow", "promote", ...`, "posefuse models <command>; see posefuse models --help"},
		{[]string{"bench", "--size", "huge"}, `--size must be one of "edge","paper" but got "huge"`, "posefuse bench model [flags]; see posefuse bench model --help"},
	} {
		out, err := exec.CommandContext(t.Context(), binary(t), c.args...).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 80 {
			t.Errorf("posefuse %v: %v, want exit status 80", c.args, err)
		}
		if want := "posefuse: error: " + c.error + "\nusage: " + c.usage + "\n"; string(out) != want {
			t.Errorf("posefuse %v prints\n%s\nwant\n%s", c.args, out, want)
		}
	}
}
