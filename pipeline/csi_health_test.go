package pipeline

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/sensors/csi"
	"posefuse/sensors/modality"
)

// feedTCP sends what packet gives to a driver, more than a hundred times a second
// also on a busy machine.
func feedTCP(ctx context.Context, addr string, packet func(i int) []byte) {
	var conn net.Conn
	for i := 0; ctx.Err() == nil; i++ {
		if conn == nil {
			conn, _ = net.Dial("tcp", addr)
		}
		if conn != nil {
			if _, err := conn.Write(packet(i)); err != nil {
				_ = conn.Close()
				conn = nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(3 * time.Millisecond):
		}
	}
	if conn != nil {
		_ = conn.Close()
	}
}

// TestCSIHealthTellsTheTruth runs the daemon with the real drivers: what a
// receiver lacks, who sends, and data of another tool are said in words.
func TestCSIHealthTellsTheTruth(t *testing.T) {
	values := func(n int) []complex64 {
		h := make([]complex64, n)
		for i := range h {
			h[i] = complex(float32(rand.IntN(200)-100), float32(rand.IntN(200)-100))
		}
		return h
	}
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Error(err)
		}
		return b
	}
	began := time.Now() // the devices' clocks go as this machine's
	us := func() uint32 { return uint32(time.Since(began).Microseconds()) + 1 }
	twoAntennas := func(int) []byte {
		return must(csi.AppendAtheros(nil, binary.BigEndian, &csi.AtherosRecord{TSFUS: uint64(us()), Bandwidth: 1, Tones: 114, NR: 2, NC: 1, H: values(228)}))
	}
	console := func(int) []byte {
		return must(csi.AppendESP32(nil, &csi.ESP32Line{Dialect: csi.ESPCSI, MAC: [6]byte{2, 0, 0, 0, 0, 7}, TimeUS: us(), Len: 128, Values: make([]int16, 128)}))
	}
	noise := func(int) []byte { // a serial line read too fast
		b := make([]byte, 200)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		return append(b, '\n')
	}
	feit := func(i int) []byte {
		return must(csi.AppendFeit(nil, &csi.FeitRecord{ClockUS: us(), NRx: 2, NTx: 1, Tones: 56, Source: [6]byte{2, 0, 0, 0, 0, byte(7 + i%2)}, CSI: values(112)}))
	}
	for name, c := range map[string]struct {
		driver, antennas string
		packet           func(i int) []byte
		code             string
		text             []string
		measured         int
	}{
		"two antennas":     {"atheros", csi.AntennasRepeat, twoAntennas, "ok", []string{"live at", "2 of the model's 3 antennas, repeated"}, 2},
		"and no rule":      {"atheros", csi.AntennasAbsent, twoAntennas, "antennas", []string{"data comes but is rejected", "few_antennas", "zero or repeat"}, 0},
		"another tool":     {"atheros", csi.AntennasRepeat, console, "wrong_format", []string{"data comes but is rejected", "junk_bytes", "set driver to esp32"}, 0},
		"another baud":     {"esp32", csi.AntennasRepeat, noise, "rejected", []string{"data comes but is rejected", "other_line", "check baud"}, 0},
		"two WiFi senders": {"feitcsi", csi.AntennasRepeat, feit, "two_senders", []string{"live at", "02:00:00:00:00:07", "02:00:00:00:00:08", "56 tones"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			opt := Options{Config: testConfig(t), Version: "0.1.0", Notify: func(string) error { return nil }}
			s := &opt.Config.Sensors
			s.Camera.Enabled, s.LiDAR.Enabled, s.Radar.Enabled = false, false, false
			addr := testenv.FreeAddr(t)
			if err := s.CSI.Choose(c.driver, map[string]any{"listen": addr}); err != nil {
				t.Fatal(err)
			}
			s.CSI.Common.(*csi.ReceptionConfig).Antennas = c.antennas
			sources, err := BuildSources(s)
			if err != nil {
				t.Fatal(err)
			}
			opt.Sources = sources
			d := &daemonUnderTest{}
			d.start(t, opt)
			ctx, stop := context.WithCancel(t.Context())
			fed := make(chan struct{})
			go func() { defer close(fed); feedTCP(ctx, addr, c.packet) }()
			defer func() { stop(); <-fed }()
			next(t, d.subscribe(t, "status"), func(m *message.Status) bool {
				for _, h := range m.Parts {
					if h.Part != "sensor.csi" || h.Code != c.code {
						continue
					}
					for _, text := range c.text {
						if !strings.Contains(h.Text, text) {
							return false
						}
					}
					return (h.Severity == severityOK) == (c.code == "ok")
				}
				return false
			})
			if c.measured > 0 {
				next(t, d.subscribe(t, "pose"), func(p *message.Pose) bool {
					return p.Modalities[modality.CSI.Letter()].MeasuredAntennas == c.measured
				})
			}
		})
	}
}
