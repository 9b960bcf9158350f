package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"posefuse/configs"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/replay"
)

// The tests of this file run the real binary as a user would: a daemon in one
// process, fake sensors in another, clients on its real ports.

// room is a running daemon with its addresses.
type room struct {
	dir                              string
	nats, mqtt, web                  string
	camera, livox, ouster, csi       string
	radarCommand, radarData, ousterJ string
	log                              *bytes.Buffer
	cmd                              *exec.Cmd
	ended                            chan struct{} // closed with the daemon
}

// startDaemon runs "posefuse run" on free ports and waits until it is ready.
// lidar is ouster or livox.
func startDaemon(t *testing.T, lidar string) *room {
	t.Helper()
	return startRoom(t, lidar, "")
}

// startRoom is startDaemon with more configuration.
func startRoom(t *testing.T, lidar, more string) *room {
	t.Helper()
	dir := t.TempDir()
	var p [8]string
	for i := range p {
		p[i] = testenv.FreeAddr(t)
	}
	r := &room{dir: dir, nats: p[0], mqtt: p[1], web: p[2], camera: p[3], livox: p[4], ouster: p[5], csi: p[6], log: &bytes.Buffer{},
		radarCommand: filepath.Join(dir, "radar-command"), radarData: filepath.Join(dir, "radar-data"), ousterJ: filepath.Join(dir, "ouster.json")}
	profile := filepath.Join(dir, "iwr6843.cfg")
	writeFile(t, profile, configs.RadarProfile)
	latency := 0
	if lidar == "ouster" {
		latency = 50
	}
	writeFile(t, filepath.Join(dir, "posefuse.yaml"), fmt.Appendf(nil, `
state_dir: %s
sensors:
  camera: {keypoints_tcp: {listen: %q}}
  lidar: {driver: %s, latency_ms: %d, livox: {listen: %q}, ouster: {listen: %q, metadata_file: %s}}
  radar: {ti_serial: {data_port: %s, command_port: %s, config_file: %s}}
  csi: {driver: atheros, atheros: {listen: %q}}
bus: {nats: {listen: %q}, mqtt: {listen: %q}, websocket: {listen: %q}}
web: {listen: %q}
exercise: {enabled: true}
%s`, filepath.Join(dir, "state"), r.camera, lidar, latency, r.livox, r.ouster, r.ousterJ, r.radarData, r.radarCommand, profile, r.csi, r.nats, r.mqtt, p[7], r.web, more))
	r.cmd = exec.Command(binary(t), "run", "--config", filepath.Join(dir, "posefuse.yaml"))
	r.cmd.Stderr, r.cmd.Stdout = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.ended = make(chan struct{})
	go func() {
		_ = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() { r.stop(t) })
	testenv.Wait(t, "the daemon is healthy", func() bool {
		select {
		case <-r.ended:
			t.Fatal("the daemon ended")
		default:
		}
		resp, err := http.Get("http://" + r.web + "/healthz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return r
}

// stop ends the daemon as systemd does and checks that it goes willingly.
func (r *room) stop(t *testing.T) {
	t.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(testenv.Patience):
		_ = r.cmd.Process.Kill()
		<-r.ended
		t.Errorf("the daemon did not stop within %s of SIGTERM", testenv.Patience)
	}
	if t.Failed() {
		t.Logf("daemon log:\n%s", r.log)
	}
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// poses collects what a subscriber gets, and checks each against the schema.
type poses struct {
	mu     sync.Mutex
	all    []message.Pose
	at     []time.Time
	schema *jsonschema.Schema
	bad    []string
}

func newPoses(t *testing.T) *poses {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../docs/schema/posefuse.pose.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	return &poses{schema: s}
}

func (p *poses) add(data []byte) {
	var m message.Pose
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err == nil {
		err = p.schema.Validate(doc)
	}
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.bad = append(p.bad, err.Error())
		return
	}
	p.all, p.at = append(p.all, m), append(p.at, time.Now())
}

func (p *poses) snapshot() []message.Pose {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]message.Pose(nil), p.all...)
}

// latest returns the newest pose, or an empty one.
func (p *poses) latest() message.Pose {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == 0 {
		return message.Pose{}
	}
	return p.all[len(p.all)-1]
}

func (p *poses) check(t *testing.T, who string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.bad) > 0 {
		t.Errorf("%s: %d poses do not fit the schema, first: %s", who, len(p.bad), p.bad[0])
	}
	for i := 1; i < len(p.all); i++ {
		if p.all[i].Seq != p.all[i-1].Seq+1 {
			t.Errorf("%s: seq %d follows %d", who, p.all[i].Seq, p.all[i-1].Seq)
		}
	}
}

func (r *room) subscribeNATS(t *testing.T) *poses {
	t.Helper()
	nc, err := nats.Connect("nats://" + r.nats)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	p := newPoses(t)
	if _, err := nc.Subscribe("posefuse.room1.pose", func(m *nats.Msg) { p.add(m.Data) }); err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *room) subscribeMQTT(t *testing.T, topic string, f func([]byte)) {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + r.mqtt).SetClientID("e2e-" + topic))
	if tok := c.Connect(); !tok.WaitTimeout(testenv.Patience) || tok.Error() != nil {
		t.Fatalf("connect to the MQTT listener: %v", tok.Error())
	}
	t.Cleanup(func() { c.Disconnect(100) })
	if tok := c.Subscribe(topic, 0, func(_ mqtt.Client, m mqtt.Message) { f(m.Payload()) }); !tok.WaitTimeout(testenv.Patience) || tok.Error() != nil {
		t.Fatalf("subscribe to %s: %v", topic, tok.Error())
	}
}

// posefuse runs the binary to its end.
func posefuse(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, binary(t), args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("posefuse %v: %v\n%s", args, err, errs.String())
	}
	return string(out)
}

// readLines decodes a file of JSON lines.
func readLines[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []T
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, v)
	}
	return out
}

// fakes is the configuration of fake sensors for the room.
func (r *room) fakes() replay.Config {
	return replay.Config{
		Lead:   3 * time.Second,
		Camera: &replay.CameraConfig{Addr: r.camera},
		LiDAR:  &replay.LiDARConfig{Format: replay.LiDAROuster, Addr: r.ouster, MetadataPath: r.ousterJ},
		Radar:  &replay.RadarConfig{CommandPath: r.radarCommand, DataPath: r.radarData},
		CSI:    &replay.CSIConfig{Format: replay.CSIAtheros, Addr: r.csi},
	}
}
