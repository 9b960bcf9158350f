package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/motionfile"
	"posefuse/recording/session"
)

// exits runs the binary and returns what it prints, both ways, and its exit code.
func exits(t *testing.T, args ...string) (text string, code int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary(t), args...).CombinedOutput()
	if bad, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), bad.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// decode runs the binary with --json and decodes what it prints.
func decode[T any](t *testing.T, args ...string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(posefuse(t, append(args, "--json")...)), &v); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return v
}

// TestSessionsOfALiveRoom goes the way of a session, as a user would: recorded,
// listed, verified, played twice with the same poses, exported, deleted; and that of
// one whose daemon is killed.
func TestSessionsOfALiveRoom(t *testing.T) {
	r := startRoom(t, "ouster", "record: {enabled: true, free_gib: 0}\nhistory: {enabled: true}\n")
	live := r.subscribeNATS(t)
	r.play(t, recording.Key{Subject: 1, Activity: 12})
	awaitPose(t, live, 0, "RLMW")
	state := filepath.Join(r.dir, "state")
	ask := []string{"--nats", "nats://" + r.nats}
	if text, code := exits(t, append([]string{"record", "start", "--subject", "P1"}, ask...)...); code != 1 || !strings.Contains(text, "consent") {
		t.Errorf("without consent: exit code %d, %s", code, text)
	}
	begun := decode[sessionBrief](t, append([]string{"record", "start", "--subject", "P1", "--consent"}, ask...)...)
	if text, code := exits(t, append([]string{"record", "start", "--subject", "P2", "--consent"}, ask...)...); code != 1 || !strings.Contains(text, "being recorded") {
		t.Errorf("a second session: exit code %d, %s", code, text)
	}
	historyOf(t, r, ask, state)
	awaitRecorded(t, ask, 400)
	if text, code := exits(t, "sessions", "delete", begun.ID, "--yes", "--state", state); code != 1 || !strings.Contains(text, "being recorded") {
		t.Errorf("deleting it: exit code %d, %s", code, text)
	}
	done := decode[sessionBrief](t, append([]string{"record", "stop"}, ask...)...)
	if done.ID != begun.ID || done.Messages < 400 || done.Subject != "P1" {
		t.Errorf("%+v", done)
	}
	if list := decode[[]sessionBrief](t, "sessions", "list", "--state", state); len(list) != 1 || list[0].Messages != done.Messages || list[0].State != session.Complete {
		t.Errorf("%+v", list)
	}
	replayOverNATS(t, r, done)
	info := posefuse(t, "sessions", "info", done.ID, "--state", state)
	if !strings.Contains(info, "/lidar/points") || !strings.Contains(info, "P1") {
		t.Error(info)
	}
	if c := decode[session.Check](t, "sessions", "verify", done.ID, "--state", state); c.Messages != done.Messages || c.Torn {
		t.Errorf("%+v", c)
	}
	dir := filepath.Join(state, session.Folder, done.ID)
	poses := filepath.Join(r.dir, "poses.jsonl")
	first := decode[replaySummary](t, "replay", dir, "--fast", "--poses", poses)
	second := decode[replaySummary](t, "replay", dir, "--speed", "3")
	if first.Poses == 0 || first.SHA256 != second.SHA256 || first.Poses != second.Poses || first.Compared > 0 && *first.MeanMM > 1000 {
		t.Errorf("%+v\n%+v", first, second)
	}
	if b, err := os.ReadFile(poses); err != nil || bytes.Count(b, []byte("\n")) != first.Poses {
		t.Errorf("--poses: %v, %d lines", err, bytes.Count(b, []byte("\n")))
	}
	csv := posefuse(t, "sessions", "export", dir)
	_, by := readInfo(t, dir)
	if lines := strings.Count(csv, "\n"); uint64(lines) != by[session.TopicPose]+1 {
		t.Errorf("%d lines of CSV, %d poses", lines, by[session.TopicPose])
	}
	exportsOf(t, dir)
	jsonl := posefuse(t, "sessions", "export", dir, "--as", "jsonl", "--channel", "/clock")
	if uint64(strings.Count(jsonl, "\n")) != by[session.TopicClock] {
		t.Errorf("clock: %s", jsonl)
	}
	killed(t, r, ask, state)
	if text, code := exits(t, "sessions", "delete", "--subject", "P1", "--state", state); code != 0 || !strings.Contains(text, "would delete") {
		t.Errorf("exit code %d, %s", code, text)
	}
	posefuse(t, "sessions", "delete", "--subject", "P1", "--yes", "--state", state)
	if list := decode[[]sessionBrief](t, "sessions", "list", "--state", state); len(list) != 1 || list[0].Subject != "P2" {
		t.Errorf("%+v", list)
	}
}

// exportsOf writes a session in every format that other programs read.
func exportsOf(t *testing.T, dir string) {
	t.Helper()
	for _, format := range []string{"trc", "c3d", "mot", "bvh", "angles", "sets", "fhir", "report"} {
		to := filepath.Join(t.TempDir(), "out."+format)
		posefuse(t, "sessions", "export", dir, "--format", format, "--to", to)
		text, err := os.ReadFile(to)
		if err != nil || len(text) < 100 {
			t.Errorf("%s: %v, %d bytes", format, err, len(text))
			continue
		}
		if format == "trc" || format == "c3d" {
			m, err := motionfile.Read(bytes.NewReader(text))
			if err != nil || len(m.Names) != 17 || len(m.Points) < 20 || len(m.Gaps) > 0 {
				t.Errorf("%s: %v, %+v", format, err, m)
			}
		}
	}
}

func readInfo(t *testing.T, dir string) (session.Info, map[string]uint64) {
	t.Helper()
	i, err := session.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, by := i.Messages()
	return i, by
}

// awaitRecorded waits until so many messages were recorded and some are on the disk.
func awaitRecorded(t *testing.T, ask []string, n uint64) {
	t.Helper()
	testenv.Wait(t, "the session grows", func() bool {
		time.Sleep(300 * time.Millisecond) // a process each time
		s := decode[session.Status](t, append([]string{"record", "status"}, ask...)...)
		return s.Messages >= n && s.Bytes > 100_000
	})
}

// killed kills the daemon in the middle of a session and recovers it.
func killed(t *testing.T, r *room, ask []string, state string) {
	t.Helper()
	begun := decode[sessionBrief](t, append([]string{"record", "start", "--subject", "P2", "--consent"}, ask...)...)
	awaitRecorded(t, ask, 200)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.ended
	if text := posefuse(t, "sessions", "list", "--state", state); !strings.Contains(text, "interrupted") {
		t.Error(text)
	}
	args := []string{"sessions", "recover", begun.ID, "--state", state}
	text, code := exits(t, args...)
	if code != 0 && code != exitLost || !strings.Contains(text, fmt.Sprintf("session %s:", begun.ID)) {
		t.Errorf("exit code %d, %s", code, text)
	}
	if text, code = exits(t, args...); code != 0 {
		t.Errorf("recovered twice: exit code %d, %s", code, text)
	}
	dir := filepath.Join(state, session.Folder, begun.ID)
	if i, _ := readInfo(t, dir); i.State != session.Recovered {
		t.Errorf("%+v", i)
	}
	file := filepath.Join(dir, "000001.mcap")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-100] ^= 1 // of the summary: how many chunks there are, the machine decides
	writeFile(t, file, b)
	if text, code = exits(t, append([]string{"sessions", "verify"}, args[2:]...)...); code != exitLost {
		t.Errorf("verify of a damaged one: exit code %d, %s", code, text)
	}
	if text, code = exits(t, args...); code != exitLost {
		t.Errorf("recover of a damaged one: exit code %d, %s", code, text)
	}
	writeFile(t, file, []byte("#ROSBAG V2.0\n"))
	if text, code = exits(t, args...); code != 1 || !strings.Contains(text, "not an MCAP file") {
		t.Errorf("recover of a foreign file: exit code %d, %s", code, text)
	}
}
