package doctor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"posefuse/internal/testenv"
	"posefuse/sensors/lidar"
	"posefuse/sensors/radar"
)

// tree makes a file system of files, and links where the content begins with
// "->".
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range files {
		path = filepath.Join(root, path)
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(text+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// board is what the kernel shows of a TI board with an XDS110 debugger, its data
// port being the terminal at data.
func board(data string) map[string]string {
	usb := "sys/devices/usb1/1-1/"
	return map[string]string{
		usb + "idVendor": "0451", usb + "idProduct": "bef3",
		usb + "1-1:1.0/bInterfaceNumber": "00", usb + "1-1:1.3/bInterfaceNumber": "03",
		"sys/class/tty/ttyACM0/device": "->../../../devices/usb1/1-1/1-1:1.0",
		"sys/class/tty/ttyACM1/device": "->../../../devices/usb1/1-1/1-1:1.3",
		"sys/class/tty/ttyS0/device":   "->../../../devices",
		"dev/ttyACM0":                  "", "dev/ttyACM1": "->" + data,
		"dev/serial/by-id/usb-TI-if00":      "->../../ttyACM0",
		"sys/class/video4linux/video0/name": "HD Webcam", "sys/class/video4linux/video0/index": "0", "dev/video0": "",
		"sys/class/video4linux/video1/name": "HD Webcam", "sys/class/video4linux/video1/index": "1", "dev/video1": "",
		"sys/class/video4linux/video2/name": "Gone", "sys/class/video4linux/video2/index": "0",
		"dev/v4l/by-id/usb-cam-index0": "->../../video0",
		"proc/sys/net/core/rmem_max":   "212992",
		"proc/self/status":             "Name: x\nCapEff:\t0000000000002000",
		"proc/77/comm":                 "ModemManager",
	}
}

func TestExamine(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = slave.Close(), master.Close() }()
	root := tree(t, board(slave.Name()))
	port := freePort(t)
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	go func() {
		frame, err := radar.AppendFrame(nil, &radar.Frame{Points: []radar.Point{{X: 1, Y: 2}}})
		if err != nil {
			return
		}
		sweep, err := lidar.EncodeLivoxCloud([]float32{1, 2, 3}, 1, 5)
		if err != nil {
			return
		}
		conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for ctx.Err() == nil {
			_, _ = master.Write(frame)
			_, _ = conn.Write(sweep[0])
			time.Sleep(20 * time.Millisecond)
		}
	}()
	r := Examine(t.Context(), Options{Root: root, Listen: 2 * time.Second, UDPPorts: []int{port}})
	cancel()
	if len(r.Serial) != 2 {
		t.Fatalf("serial ports %+v", r.Serial)
	}
	command, data := r.Serial[0], r.Serial[1]
	if command.Role != roleCommand || !strings.HasSuffix(command.Setting, "by-id/usb-TI-if00") || !command.Access.Good || !strings.Contains(command.Device, "XDS110") {
		t.Errorf("command port %+v", command)
	}
	if data.Role != roleData || !strings.Contains(data.Gives, "radar frames of layout oob40") || !strings.Contains(data.Setting, "data_port") {
		t.Errorf("data port %+v", data)
	}
	if len(r.Cameras) != 3 || !strings.HasSuffix(r.Cameras[0].Setting, "usb-cam-index0") || r.Cameras[1].Access.Code != "no_pictures" || r.Cameras[2].Access.Code != "no_device" {
		t.Errorf("cameras %+v", r.Cameras)
	}
	if u := r.UDP[0]; u.Datagrams == 0 || u.Driver != "livox" || !u.Finding.Good || u.From[0] != "127.0.0.1" {
		t.Errorf("UDP %+v", u)
	}
	codes := ""
	for _, f := range r.Machine {
		codes += f.Code + " "
	}
	if codes != "capture small_buffer modem_manager " {
		t.Errorf("machine: %s", codes)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	return pc.LocalAddr().(*net.UDPAddr).Port
}

func TestUDPPortInUse(t *testing.T) {
	pc, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	u := listenUDP(t.Context(), pc.LocalAddr().(*net.UDPAddr).Port)
	if u.Finding.Code != "in_use" {
		t.Errorf("%+v", u)
	}
}

func TestJudgements(t *testing.T) {
	for _, c := range []struct {
		got  Finding
		code string
	}{
		{(&UDPPort{}).judge(), "silent"},
		{(&UDPPort{Datagrams: 3, From: []string{"10.0.0.1", "10.0.0.2"}, Driver: "ouster"}).judge(), "two_senders"},
		{(&UDPPort{Datagrams: 3, From: []string{"10.0.0.1"}, Driver: "ouster"}).judge(), "ok"},
		{(&UDPPort{Datagrams: 3, From: []string{"10.0.0.1"}, Looks: "JSON"}).judge(), "other"},
		{(&UDPPort{Datagrams: 3, From: []string{"10.0.0.1"}}).judge(), "unknown"},
		{(&Interface{}).judge("1"), "down"},
		{(&Interface{Up: true}).judge("0"), "no_carrier"},
		{(&Interface{Up: true}).judge("1"), "no_address"},
		{(&Interface{Up: true, WiFi: true}).judge("1"), "ok"},
		{(&Interface{Up: true, Addresses: []string{"10.0.0.1/24"}}).judge("1"), "ok"},
	} {
		if c.got.Code != c.code || c.got.Text == "" {
			t.Errorf("%+v, want %s", c.got, c.code)
		}
	}
}

// A machine where nothing is plugged in, and nothing can be read.
func TestNothingThere(t *testing.T) {
	r := Examine(t.Context(), Options{Root: tree(t, nil), Listen: time.Millisecond})
	if len(r.Serial) != 0 || len(r.Cameras) != 0 || len(r.UDP) != 0 {
		t.Errorf("%+v", r)
	}
	if len(r.Machine) != 1 || r.Machine[0].Code != "no_capture" {
		t.Errorf("machine %+v", r.Machine)
	}
}
