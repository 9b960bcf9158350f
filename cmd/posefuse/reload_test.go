package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/pipeline"
	"posefuse/recording/session"
)

// TestReloadInService changes a running daemon's file: the command says what is in
// force and what waits, the exercises are told in the new language, and a file that
// cannot be used leaves them so.
func TestReloadInService(t *testing.T) {
	r := startRoom(t, "livox", "record: {enabled: true}\nhistory: {enabled: true}\n")
	file := filepath.Join(r.dir, "posefuse.yaml")
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("nats://" + r.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	names := func() string {
		m, askErr := nc.Request("posefuse.room1.ctl.exercise.list", nil, testenv.Patience)
		if askErr != nil {
			return askErr.Error()
		}
		return string(m.Data)
	}
	testenv.Wait(t, "the exercises in English", func() bool { return strings.Contains(names(), `"raise hand left"`) })
	for _, c := range []struct {
		name, old, new string
		waiting        []string
		refused        string // by the command
	}{
		{"in service", "exercise: {enabled: true}\nrecord: {enabled: true}\nhistory: {enabled: true}",
			"exercise: {enabled: true, language: de, set_rest_s: 9}\nrecord: {enabled: true, keep_days: 3, segment_min: 1}\nhistory: {enabled: true, keep_days: 9}\naudit: {keep_days: 9}\nlog: {level: warn}", nil, ""},
		{"a restart", "exercise: {enabled: true}", "exercise: {enabled: true, language: de}\nsync: {rate_hz: 12}", []string{"sync.rate_hz"}, ""},
		{"refused", "exercise: {enabled: true}", "exercise: {enabled: true, exercise: sqat, language: fr}", nil, "sqat"},
		{"no definitions", "exercise: {enabled: true}", "exercise: {enabled: true, definitions: /dev/null, language: fr}", nil, "exercise.definitions"},
	} {
		writeFile(t, file, bytes.Replace(doc, []byte(c.old), []byte(c.new), 1))
		out, runErr := exec.Command(binary(t), "reload", "--nats", "nats://"+r.nats, "--json").CombinedOutput()
		var reply pipeline.Reloaded
		if c.refused == "" && (runErr != nil || json.Unmarshal(out, &reply) != nil || !slices.Equal(reply.Waiting, append([]string{}, c.waiting...))) ||
			c.refused != "" && (runErr == nil || !strings.Contains(string(out), c.refused)) {
			t.Errorf("%s: %v, %s", c.name, runErr, out)
		}
		testenv.Wait(t, c.name+": the exercises in German", func() bool { return strings.Contains(names(), `"Linke Hand heben"`) })
	}
	// The next session has the raw bytes that the file names now.
	writeFile(t, file, bytes.Replace(doc, []byte("record: {enabled: true}"), []byte("record: {enabled: true, free_gib: 0, raw: [lidar]}"), 1))
	ask := []string{"--nats", "nats://" + r.nats}
	posefuse(t, append([]string{"reload"}, ask...)...)
	posefuse(t, append([]string{"record", "start", "--subject", "P1", "--consent"}, ask...)...)
	if s := decode[session.Status](t, append([]string{"record", "status"}, ask...)...); !slices.Equal(s.Raw, []string{"lidar"}) {
		t.Errorf("a session after record.raw: [lidar] has the raw bytes of %q", s.Raw)
	}
	posefuse(t, append([]string{"record", "stop"}, ask...)...)
	// SIGHUP does the same.
	writeFile(t, file, doc)
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "English again", func() bool { return strings.Contains(names(), `"raise hand left"`) })
}
