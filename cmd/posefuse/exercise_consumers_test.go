package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posefuse/internal/testenv"
	"posefuse/message"
)

// mosquitto is a foreign MQTT broker.
type mosquitto struct {
	port int
	cmd  *exec.Cmd
}

const mosquittoProgram = "/usr/sbin/mosquitto"

// startMosquitto runs a broker; config holds its lines beside the listener's,
// files what they name.
func startMosquitto(t *testing.T, config string, files map[string]string) *mosquitto {
	t.Helper()
	if _, err := os.Stat(mosquittoProgram); err != nil {
		testenv.LeaveOut(t, err.Error()+": install it with: apt-get install mosquitto")
	}
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := &mosquitto{port: testenv.FreePort(t)}
	conf := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\n%s\nuser root\n", b.port, strings.ReplaceAll(config, "DIR", dir))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b.cmd = exec.Command(mosquittoProgram, "-c", conf)
	b.cmd.Stderr = os.Stderr
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.cmd.Process.Signal(syscall.SIGTERM)
		_ = b.cmd.Wait()
	})
	return b
}

func (b *mosquitto) url() string { return fmt.Sprintf("tcp://127.0.0.1:%d", b.port) }

// listener hears what the exercise checker says.
type listener struct {
	client mqtt.Client
	mu     sync.Mutex
	status message.ExerciseStatus
	events []message.ExerciseEvent
	sums   []message.ExerciseSummary
}

func listen(t *testing.T, b *mosquitto, user, password string) *listener {
	t.Helper()
	l := new(listener)
	l.client = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.url()).SetClientID("test").SetUsername(user).SetPassword(password))
	testenv.Wait(t, "an answer of mosquitto", func() bool {
		token := l.client.Connect()
		return token.WaitTimeout(testenv.Patience) && token.Error() == nil
	})
	t.Cleanup(func() { l.client.Disconnect(100) })
	done(t, l.client.Subscribe("posefuse/room1/exercise/#", 1, func(_ mqtt.Client, m mqtt.Message) {
		l.mu.Lock()
		defer l.mu.Unlock()
		var err error
		switch filepath.Base(m.Topic()) {
		case "status":
			err = json.Unmarshal(m.Payload(), &l.status)
		case "event":
			l.events = append(l.events, message.ExerciseEvent{})
			err = json.Unmarshal(m.Payload(), &l.events[len(l.events)-1])
		case "summary":
			l.sums = append(l.sums, message.ExerciseSummary{})
			err = json.Unmarshal(m.Payload(), &l.sums[len(l.sums)-1])
		}
		if err != nil {
			t.Errorf("%s: %v", m.Topic(), err)
		}
	}))
	return l
}

func done(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(testenv.Patience) || token.Error() != nil {
		t.Fatalf("mqtt: %v", token.Error())
	}
}

// state is the newest word of the exercise checker about itself.
func (l *listener) state() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.State
}

// sets is how many summaries came.
func (l *listener) sets() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sums)
}

// play publishes recorded poses, about as fast as a subscriber may take them.
func (l *listener) play(t *testing.T, file string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(testenv.ReadShared(t, "inputs", "consumers", file)))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		done(t, l.client.Publish("posefuse/room1/pose", 0, false, bytes.Clone(lines.Bytes())))
		time.Sleep(2 * time.Millisecond)
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
}

// checker is the exercise checker as a process.
type checker struct {
	cmd *exec.Cmd
	log *lockedBuffer
}

func startChecker(t *testing.T, b *mosquitto, args ...string) *checker {
	t.Helper()
	c := &checker{cmd: exec.Command(binary(t), append([]string{"exercise", "--broker", b.url()}, args...)...), log: new(lockedBuffer)}
	c.cmd.Stderr, c.cmd.Stdout = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	return c
}

func (c *checker) stop(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("exercise: %v\n%s", err, c.log)
	}
}

// TestExerciseConsumersOverMQTT: what subscribers were seen to get wrong, by
// the program on a foreign broker.
func TestExerciseConsumersOverMQTT(t *testing.T) {
	b := startMosquitto(t, "allow_anonymous true", nil)
	l := listen(t, b, "", "")
	for _, c := range []struct {
		file, exercise string
		sets           string // repetitions/left/right/incomplete of each set
		fault, word    string
		clean          bool // no fault at all
	}{
		{"lunge-right", "A10", "4/0/4/0", "", "", true},
		{"lunge-right", "lunge left-front", "0/0/4/0", "wrong_side", "", false},
		{"limb-extension-from-hanging", "A07", "4/4/0/0", "", "", true},
		{"limb-extension-from-hanging", "", "4/4/0/0", "", "", true},
		{"rest-5s", "squat", "4/0/0/0", "", "", false},
		{"slow-hold", "A12", "3/0/0/0", "too_slow", "", false},
		{"tall-then-child", "A12", "2/0/0/0 3/0/0/0", "", "", false},
		{"sits-down-after", "A12", "3/0/0/0", "", "", false},
		{"clock-back-5s", "A12", "5/0/0/0", "", "stepped back by", false},
		{"restart-after-8s", "A12", "5/0/0/0", "", "began again", false},
		{"arm-extension-normal-tempo", "A07", "4/4/0/0", "", "", true},
		{"half-squats", "A12", "3/0/0/2", "", "", false},
		{"short-skeleton", "A12", "", "", "16 joints", false},
	} {
		t.Run(c.file+" "+c.exercise, func(t *testing.T) {
			l.mu.Lock()
			l.events, l.sums, l.status = nil, nil, message.ExerciseStatus{}
			l.mu.Unlock()
			args := []string{"--room", "room1"}
			if c.exercise != "" {
				args = append(args, "--exercise", c.exercise)
			}
			p := startChecker(t, b, args...)
			testenv.Wait(t, "the exercise checker", func() bool { return l.state() == message.Online })
			l.play(t, c.file+".jsonl.gz")
			if c.file == "sits-down-after" { // while the person still sits
				testenv.Wait(t, "the summary of who sat down", func() bool { return l.sets() == 1 })
			}
			p.stop(t)
			want := len(strings.Fields(c.sets))
			testenv.Wait(t, "the end", func() bool { return l.state() == message.Stopped && l.sets() >= want })
			l.mu.Lock()
			defer l.mu.Unlock()
			var got []string
			faults := map[string]bool{}
			for _, s := range l.sums {
				if time.Since(mustTime(t, s.End)) < -time.Hour {
					t.Errorf("ends at %s", s.End)
				}
				got = append(got, fmt.Sprintf("%d/%d/%d/%d", s.Repetitions, s.Left, s.Right, s.Incomplete))
				for _, f := range s.Faults {
					faults[f.Key] = true
				}
			}
			if strings.Join(got, " ") != c.sets {
				t.Errorf("sets %v, want %s\n%s", got, c.sets, p.log)
			}
			if c.fault != "" && !faults[c.fault] || c.clean && len(faults) > 0 {
				t.Errorf("faults %v, want %q", faults, c.fault)
			}
			if !strings.Contains(p.log.String(), c.word) {
				t.Errorf("the log does not say %q:\n%s", c.word, p.log)
			}
		})
	}
}

func mustTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestExerciseRefusedByACL: where a broker lets the user write results but not
// read poses, the program says what to do, and nothing says online.
func TestExerciseRefusedByACL(t *testing.T) {
	pw := filepath.Join(t.TempDir(), "pw")
	for _, u := range []string{"rehab", "admin"} {
		args := []string{"-b", pw, u, "secret"}
		if u == "rehab" {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.Command("mosquitto_passwd", args...).CombinedOutput(); err != nil {
			testenv.LeaveOut(t, fmt.Sprintf("mosquitto_passwd: %v %s: install it with: apt-get install mosquitto", err, out))
		}
	}
	passwords, err := os.ReadFile(pw)
	if err != nil {
		t.Fatal(err)
	}
	b := startMosquitto(t, "allow_anonymous false\npassword_file DIR/pw\nacl_file DIR/acl", map[string]string{
		"pw":  string(passwords),
		"acl": string(testenv.ReadShared(t, "inputs", "consumers", "acl-refused", "acl")),
	})
	l := listen(t, b, "admin", "secret")
	p := startChecker(t, b, "--room", "room1", "--exercise", "A12", "--username", "rehab", "--password", "secret")
	testenv.Wait(t, "a word about the refusal", func() bool { return strings.Contains(p.log.String(), "refused") })
	if log := p.log.String(); !strings.Contains(log, "posefuse/room1/pose") || !strings.Contains(log, "rehab") {
		t.Error(log)
	}
	if l.state() == message.Online {
		t.Error("status online")
	}
}
