package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/configs"
)

// benchRoom is a daemon and its fake sensors, each a process of its own.
type benchRoom struct {
	daemon, sensors benchProcess
	started         time.Time
	nc              *nats.Conn
	poses           *nats.Subscription
	log             string
}

// benchProcess is a child and the processor time it used while measured.
type benchProcess struct {
	cmd  *exec.Cmd
	used time.Duration
}

func startBenchRoom(ctx context.Context, dir string, i int, c benchRoomCmd) (*benchRoom, error) {
	dir = filepath.Join(dir, "room"+strconv.Itoa(i+1))
	at := func(name string) string { return filepath.Join(dir, name) }
	b := &benchRoom{log: at("daemon.log")}
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(at("iwr6843.cfg"), configs.RadarProfile, 0o600)); err != nil {
		return nil, err
	}
	var addr [6]string
	for k := range addr {
		var err error
		if addr[k], err = freeAddr(); err != nil {
			return nil, err
		}
	}
	camera, lidar, csi, onNATS, onMQTT, web := addr[0], addr[1], addr[2], addr[3], addr[4], addr[5]
	text := fmt.Sprintf(`state_dir: %q
sensors:
  camera: {keypoints_tcp: {listen: %q}}
  lidar: {driver: ouster, latency_ms: 50, ouster: {listen: %q, metadata_file: %q}}
  radar: {ti_serial: {data_port: %q, command_port: %q, config_file: %q}}
  csi: {driver: atheros, atheros: {listen: %q}}
model: {path: %q}
bus: {nats: {listen: %q}, mqtt: {listen: %q}, websocket: {listen: ""}}
web: {listen: %q}
exercise: {enabled: true}
extrinsics:
  room_from_camera: {position_m: [0, 0, 0.90]}
  room_from_lidar: {position_m: [0, 0, 0.95]}
  room_from_radar: {position_m: [0, 0, 0.85]}
`, at("state"), camera, lidar, at("ouster.json"), at("radar-data"), at("radar-command"), at("iwr6843.cfg"), csi, c.Model, onNATS, onMQTT, web)
	if err := os.WriteFile(at("room.yaml"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	var err error
	if b.sensors.cmd, err = startSelf(ctx, at("sensors.log"), "replay", "--loop", "--pause=-1ns", "--lead=0s", "--clips", "S05/A12,S10/A13", "--seed", strconv.Itoa(i+1),
		"--lidar-beams", strconv.Itoa(c.Beams), "--camera", camera, "--lidar", lidar, "--metadata", at("ouster.json"),
		"--radar-command", at("radar-command"), "--radar-data", at("radar-data"), "--csi", csi); err != nil {
		return b, err
	}
	b.started = time.Now()
	if b.daemon.cmd, err = startSelf(ctx, b.log, "run", "--config", at("room.yaml")); err != nil {
		return b, err
	}
	for {
		if b.nc, err = nats.Connect("nats://" + onNATS); err == nil {
			break
		}
		if time.Since(b.started) > 30*time.Second {
			return b, fmt.Errorf("room %d: the daemon does not answer: %w; its log: %s", i+1, err, b.lastWords())
		}
		select {
		case <-ctx.Done():
			return b, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	if b.poses, err = b.nc.SubscribeSync("posefuse.room1.pose"); err != nil {
		return b, err
	}
	return b, b.poses.SetPendingLimits(-1, -1)
}

// startSelf starts this program again.
func startSelf(ctx context.Context, log string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	to, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = to.Close() }()              // the child has it
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // this program itself
	cmd.Stdout, cmd.Stderr = to, to
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd, cmd.Start()
}

// firstPose returns when the first pose with joints came after the daemon's start.
func (b *benchRoom) firstPose(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		msg, err := b.poses.NextMsgWithContext(ctx)
		if err != nil {
			return 0, fmt.Errorf("no pose with joints: %w; its log: %s", err, b.lastWords())
		}
		if !strings.Contains(string(msg.Data), `"joints_m":null`) {
			return time.Since(b.started), nil
		}
	}
}

// begin and end bound what is measured.
func (b *benchRoom) begin() {
	for _, p := range []*benchProcess{&b.daemon, &b.sensors} {
		p.used = -p.processorTime()
	}
}

func (b *benchRoom) end() {
	for _, p := range []*benchProcess{&b.daemon, &b.sensors} {
		p.used += p.processorTime()
	}
}

func (b *benchRoom) stop() {
	if b.nc != nil {
		b.nc.Close()
	}
	for _, p := range []*benchProcess{&b.daemon, &b.sensors} {
		if p.cmd != nil && p.cmd.Process != nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
			_ = p.cmd.Wait()                          // how it ended is in its log
		}
	}
}

// lastWords returns the end of the daemon's log.
func (b *benchRoom) lastWords() string {
	text, err := os.ReadFile(b.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(len(text)-400, 0):]))
}

// clockTicks are the units of /proc/PID/stat, a second's: the same on every
// architecture of Linux that Go runs on.
const clockTicks = 100

func (p *benchProcess) processorTime() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold spaces; user and system time are the
	// 14th and 15th field, see proc(5).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks
}

func (p *benchProcess) residentMiB() float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return kibField(string(status), "VmRSS:") / 1024
}

// availableMiB is what new programs may take, 0 where nobody says.
func availableMiB() float64 {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	return kibField(string(info), "MemAvailable:") / 1024
}

// kibField reads a line as "VmRSS:  1234 kB".
func kibField(text, name string) float64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			v, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return v
		}
	}
	return 0
}

// startPower begins to measure the processor's energy by RAPL; what it returns
// ends that and gives the mean power, nil where it cannot be read.
func startPower(powercap string) func() *float64 {
	zones, _ := filepath.Glob(filepath.Join(powercap, "intel-rapl:[0-9]*")) // a good pattern
	read := func() (joules float64, ok bool) {
		for _, z := range zones {
			if strings.Count(filepath.Base(z), ":") != 1 {
				continue // a part of a package
			}
			b, err := os.ReadFile(filepath.Join(z, "energy_uj"))
			v, bad := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
			if err != nil || bad != nil {
				return 0, false
			}
			joules, ok = joules+v/1e6, true
		}
		return joules, ok
	}
	before, ok := read()
	begin := time.Now()
	return func() *float64 {
		after, still := read()
		if !ok || !still || after < before { // the counter began anew
			return nil
		}
		w := (after - before) / time.Since(begin).Seconds()
		return &w
	}
}
