package radar

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// mockCLI is a command port in fake time. answer returns what comes back for
// a line and after which delay.
type mockCLI struct {
	answer  func(line string) (string, time.Duration)
	sent    []string
	partial string
	out     []timed
}

type timed struct {
	at time.Time
	b  []byte
}

func (m *mockCLI) Write(b []byte) (int, error) {
	m.partial += string(b)
	for {
		line, rest, ok := strings.Cut(m.partial, "\n")
		if !ok {
			return len(b), nil
		}
		m.partial = rest
		if line != "" {
			m.sent = append(m.sent, line)
		}
		if text, delay := m.answer(line); text != "" {
			m.out = append(m.out, timed{time.Now().Add(delay), []byte(text)})
		}
	}
}

func (m *mockCLI) Read(b []byte) (int, error) {
	if len(m.out) == 0 || time.Now().Before(m.out[0].at) {
		time.Sleep(portReadTimeout)
		return 0, nil
	}
	n := copy(b, m.out[0].b)
	if m.out[0].b = m.out[0].b[n:]; len(m.out[0].b) == 0 {
		m.out = m.out[1:]
	}
	return n, nil
}

const mmwPrompt = "\rmmwDemo:/>"

// demo answers like TI's demos; special overrides per command.
func demo(special map[string]string) func(string) (string, time.Duration) {
	return func(line string) (string, time.Duration) {
		if line == "" {
			return "\n" + mmwPrompt, time.Millisecond
		}
		if s, ok := special[line]; ok {
			return s, time.Millisecond
		}
		return line + "\nDone\n" + mmwPrompt, time.Millisecond
	}
}

func config(t testing.TB, text string) *Config {
	t.Helper()
	c, err := ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigure(t *testing.T) {
	const text = "% comment\r\nsensorStop\n\nflushCfg\nprofileCfg 0 77 429 7 57.14 0 0 70 1 256 5209 0 0 30\nframeCfg 0 1 16 0 100 1 0\nsensorStart"
	all := []string{"sensorStop", "flushCfg", "profileCfg 0 77 429 7 57.14 0 0 70 1 256 5209 0 0 30", "frameCfg 0 1 16 0 100 1 0", "sensorStart"}
	tests := []struct {
		name      string
		special   map[string]string
		sent      []string
		reused    bool
		identical bool
		wantErr   string
	}{
		{name: "plain", sent: all},
		{name: "ignored and done", sent: all, special: map[string]string{"sensorStop": "sensorStop\nIgnored: Sensor is already stopped\n\rDone\n" + mmwPrompt}},
		{name: "ignored alone", sent: all, special: map[string]string{"sensorStop": "sensorStop\nIgnored: Sensor is already stopped\n" + mmwPrompt}},
		{name: "no prompt after the answer", sent: all, special: map[string]string{"flushCfg": "flushCfg\nDone\n"}},
		{name: "calibration report", sent: all, special: map[string]string{"sensorStart": "sensorStart\nDebug: Init Calibration Status = 0x1ffe\nDone\n" + mmwPrompt}},
		{name: "error", sent: all[:4],
			special: map[string]string{all[3]: all[3] + "\nError -1\n" + mmwPrompt},
			wantErr: `radar configuration line 6 "frameCfg 0 1 16 0 100 1 0" refused: Error -1`},
		{name: "every refused line is told", sent: all[:4],
			special: map[string]string{all[2]: "Error -5\n" + mmwPrompt, all[3]: "Error -1\n" + mmwPrompt},
			wantErr: `2 lines refused: line 5 "profileCfg 0 77 429 7 57.14 0 0 70 1 256 5209 0 0 30": Error -5, line 6 "frameCfg 0 1 16 0 100 1 0": Error -1`},
		{name: "start refused", sent: all, special: map[string]string{"sensorStart": "Error -9\n" + mmwPrompt}, wantErr: `line 7 "sensorStart" refused: Error -9`},
		{name: "configured already, with the same", sent: append(append([]string{}, all[:4]...), "sensorStart 0"), reused: true, identical: true,
			special: map[string]string{all[2]: "Error -1\n" + mmwPrompt}},
		{name: "configured already, but does not start", sent: append(append([]string{}, all[:4]...), "sensorStart 0"), identical: true,
			special: map[string]string{all[2]: "Error -1\n" + mmwPrompt, "sensorStart 0": "Error -2\n" + mmwPrompt},
			wantErr: `line 5 "profileCfg`},
		{name: "configured already, with another", sent: all[:4],
			special: map[string]string{all[2]: "Error -1\n" + mmwPrompt}, wantErr: `line 5 "profileCfg`},
		{name: "not recognized", sent: all[:4], identical: true,
			special: map[string]string{"flushCfg": "'flushCfg' is not recognized as a CLI command\n" + mmwPrompt},
			wantErr: `line 4 "flushCfg" refused: 'flushCfg' is not recognized as a CLI command`},
		{name: "silence", sent: all[:2], special: map[string]string{"flushCfg": ""}, wantErr: `line 4 "flushCfg": no answer`},
		{name: "echo alone is no answer", sent: all[:2], special: map[string]string{"flushCfg": "flushCfg\n"}, wantErr: `line 4 "flushCfg": no answer`},
		{name: "stop refused", sent: all[:1], special: map[string]string{"sensorStop": "sensorStop\nError -3\n" + mmwPrompt}, wantErr: `line 2 "sensorStop" refused: Error -3`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mockCLI{answer: demo(tc.special)}
				reused, err := NewCLI(m).Configure(t.Context(), config(t, text), tc.identical)
				if reused != tc.reused {
					t.Errorf("reused %v", reused)
				}
				if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
					t.Errorf("error %v, want %q", err, tc.wantErr)
				}
				if !reflect.DeepEqual(m.sent, tc.sent) {
					t.Errorf("sent %q\nwant %q", m.sent, tc.sent)
				}
			})
		})
	}
}

func TestSensorStartMayTakeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := demo(nil)
		m := &mockCLI{answer: func(l string) (string, time.Duration) {
			a, d := plain(l)
			if l == "sensorStart" {
				d = 4 * time.Second
			}
			return a, d
		}}
		if _, err := NewCLI(m).Configure(t.Context(), config(t, "sensorStop\nsensorStart"), false); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDeafPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mockCLI{answer: func(string) (string, time.Duration) { return "", 0 }}
		if _, err := NewCLI(m).Configure(t.Context(), config(t, "sensorStop"), false); !errors.Is(err, ErrNoPrompt) {
			t.Errorf("error %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		// The data port by mistake: bytes without end.
		m := &mockCLI{answer: demo(nil)}
		for range 100 {
			m.out = append(m.out, timed{time.Now(), bytes.Repeat([]byte{7}, 500)})
		}
		if _, err := NewCLI(m).Configure(t.Context(), config(t, "sensorStop"), false); !errors.Is(err, ErrNoPrompt) {
			t.Errorf("error %v", err)
		}
	})
}

func TestDialogueEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		m := &mockCLI{answer: demo(map[string]string{"sensorStart": ""})}
		start := time.Now()
		_, err := NewCLI(m).Configure(ctx, config(t, "sensorStart"), false)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2100*time.Millisecond {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

// slowPort is a command port whose reader is held up, for longer than the
// silence that ends an answer, while each answer arrives.
type slowPort struct {
	*mockCLI
	late bool // the answer that waits was missed once
}

func (p *slowPort) Read(b []byte) (int, error) {
	if p.late = len(p.out) > 0 && !p.late; p.late {
		time.Sleep(2 * cliSilence)
		return 0, nil
	}
	return p.mockCLI.Read(b)
}

func TestDialogueSurvivesBeingHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &slowPort{mockCLI: &mockCLI{answer: demo(nil)}}
		if _, err := NewCLI(p).Configure(t.Context(), config(t, "sensorStop\nflushCfg\nsensorStart"), false); err != nil {
			t.Error(err)
		}
		if !reflect.DeepEqual(p.sent, []string{"sensorStop", "flushCfg", "sensorStart"}) {
			t.Errorf("sent %q", p.sent)
		}
	})
}

// TestTranscript plays the recorded answers of a real radar: each command of
// the recording must be taken as accepted.
func TestTranscript(t *testing.T) {
	var chunks []string
	for _, m := range regexp.MustCompile(`(?m)^b'(.*)'$`).FindAllSubmatch(recorded(t, "cli_transcript_3d_people_counting.txt"), -1) {
		s, err := strconv.Unquote(`"` + string(m[1]) + `"`)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, s)
	}
	if len(chunks) != 64 {
		t.Fatalf("%d answers, want 64", len(chunks))
	}
	text := strings.Join(chunks, "")
	// The recording ends with the echo of sensorStart.
	text += "Done\n" + mmwPrompt
	var commands []string
	answers := map[string]string{}
	for i, part := range strings.Split(text, mmwPrompt) {
		if part == "" {
			continue
		}
		if i > 0 {
			part = strings.TrimPrefix(part, mmwPrompt)
		}
		cmd, _, _ := strings.Cut(part, "\n")
		cmd = strings.TrimSpace(cmd)
		commands = append(commands, cmd)
		answers[cmd] = part + mmwPrompt
	}
	if len(commands) != 32 {
		t.Fatalf("%d commands in the recording: %q", len(commands), commands)
	}
	synctest.Test(t, func(t *testing.T) {
		m := &mockCLI{answer: demo(answers)}
		if _, err := NewCLI(m).Configure(t.Context(), config(t, strings.Join(commands, "\n")), false); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(m.sent, commands) {
			t.Errorf("sent %q", m.sent)
		}
	})
}
