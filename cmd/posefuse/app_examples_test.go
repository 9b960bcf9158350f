package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
)

// TestAppExamples runs the examples of docs/exercise-app.md.
func TestAppExamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "exercise-app.md"))
	if err != nil {
		t.Fatal(err)
	}
	port := testenv.FreePort(t)
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(testenv.Patience) {
		t.Fatal("no server")
	}
	nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for lang, c := range map[string]struct {
		file    string
		command []string
	}{
		"python": {"app.py", []string{"python3"}},
		"js":     {"app.js", []string{"node"}},
		"go":     {"main.go", []string{"go", "run"}},
	} {
		t.Run(lang, func(t *testing.T) {
			_, code, ok := strings.Cut(string(text), "```"+lang+"\n")
			code, _, closed := strings.Cut(code, "```")
			if !ok || !closed {
				t.Fatal("no example")
			}
			if _, missing := exec.LookPath(c.command[0]); missing != nil {
				testenv.LeaveOut(t, missing.Error())
			}
			dir := t.TempDir()
			if lang == "go" { // inside the module, whose libraries it uses
				if dir, err = os.MkdirTemp(".", "example-"); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = os.RemoveAll(dir) }()
			}
			path := filepath.Join(dir, c.file)
			if err = os.WriteFile(path, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			if lang == "go" {
				path = filepath.Join(dir, "app")
				if out, failed := exec.Command("go", "build", "-o", path, filepath.Join(".", dir, c.file)).CombinedOutput(); failed != nil {
					t.Fatalf("%v\n%s", failed, out)
				}
				c.command = nil
				if path, err = filepath.Abs(path); err != nil {
					t.Fatal(err)
				}
			}
			args := append(c.command, path)
			said := new(lockedBuffer)
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), fmt.Sprintf("NATS=127.0.0.1:%d", port))
			cmd.Stdout, cmd.Stderr = said, said
			if err = cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			testenv.Wait(t, "the example", func() bool { return strings.Contains(said.String(), "listening") })
			for n := 1; n <= 2; n++ {
				if err = nc.Publish("posefuse.room1.exercise.event", fmt.Appendf(nil, `{"name":"squat","repetitions":%d,"text":"Göd – ok"}`, n)); err != nil {
					t.Fatal(err)
				}
			}
			testenv.Wait(t, "two events in "+said.String(), func() bool {
				return strings.Contains(said.String(), "squat 1 Göd – ok") && strings.Contains(said.String(), "squat 2 Göd – ok")
			})
		})
	}
}
