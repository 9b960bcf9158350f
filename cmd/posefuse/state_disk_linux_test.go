package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/pipeline"
	"posefuse/recording"
)

// TestStateOnAReadOnlyDisk: a whole daemon whose state folder is on a disk that was
// read-only before it began. It measures, says what is not kept and refuses what
// would have to be kept, and its temporary folder is gone when it ends. Where another
// daemon holds the folder it refuses to start, as ever.
//
// It runs in a process with a user's own mounts.
func TestStateOnAReadOnlyDisk(t *testing.T) {
	withOwnMounts(t, func(t *testing.T) {
		t.Run("new folder", func(t *testing.T) { stateOnAReadOnlyDisk(t, func(string) {}) })
		t.Run("folder that was used", func(t *testing.T) {
			stateOnAReadOnlyDisk(t, func(state string) {
				release, err := pipeline.LockState(state)
				if err != nil {
					t.Fatal(err)
				}
				release()
			})
		})
		t.Run("folder that another daemon holds", heldOnAReadOnlyDisk)
	})
}

// readOnlyState returns a state folder on a disk of its own that is read-only once
// prepare has left something there.
func readOnlyState(t *testing.T, prepare func(state string)) (state string) {
	t.Helper()
	state = filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(t, "tmpfs", state, "tmpfs", 0, "size=8m")
	prepare(state)
	if err := syscall.Mount("", state, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatalf("the disk does not become read-only: %v", err)
	}
	if err := os.WriteFile(filepath.Join(state, "x"), nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("the disk is not read-only: %v", err)
	}
	return state
}

func stateOnAReadOnlyDisk(t *testing.T, prepare func(state string)) {
	state, temporary := readOnlyState(t, prepare), t.TempDir()
	t.Setenv("POSEFUSE_STATE_DIR", state)
	t.Setenv("TMPDIR", temporary)
	r := startRoom(t, "ouster", "history: {enabled: true}\nrecord: {enabled: true}\n")
	live := r.subscribeNATS(t)
	r.play(t, recording.Key{Subject: 1, Activity: 12})
	awaitPose(t, live, 0, "RLMW")

	for part, words := range map[string]string{
		"state": "mount it writable and start the daemon again", "history": "no sets can be kept",
		"recorder": "no session can be recorded", "audit": "is not kept",
	} {
		if h := r.partOf(t, part); h.Severity == "ok" || !strings.Contains(h.Text, words) {
			t.Errorf("part %s is %s, %s: %q; want %q in it", part, h.Code, h.Severity, h.Text, words)
		}
	}
	if h := r.partOf(t, "bus.store"); h.Severity != "ok" {
		t.Errorf("the bus has a folder of its own and is %s: %s", h.Code, h.Text)
	}
	made, err := filepath.Glob(filepath.Join(temporary, "posefuse-state-*"))
	if err != nil || len(made) != 1 {
		t.Fatalf("temporary folders: %v, %v", made, err)
	}
	if info, statErr := os.Stat(made[0]); statErr != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("temporary folder: %v, %v", info, statErr)
	}

	nc, err := nats.Connect("nats://" + r.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	link := &daemonLink{nc, "room1"}
	for _, c := range []struct {
		name    string
		request any
		want    string
	}{
		{"history.begin", historyRequest{"P9", true}, "no sets are kept"},
		{"history.delete", historyRequest{Subject: "P9"}, "nothing was deleted"},
		{"record.start", map[string]any{"subject": "P9", "consent": true}, "nothing is recorded"},
		{"retrain.start", retrainRequest{}, "nothing is learned"},
		{"model.rollback", struct{}{}, "the model stays"},
		{"model.shadow", map[string]any{"name": "a", "version": "1.0.0", "ticks": 10}, "no model runs beside"},
	} {
		_, err := link.ask(t.Context(), c.name, c.request)
		if err == nil || !strings.Contains(err.Error(), c.want+": state_dir "+state+" is on a read-only disk") {
			t.Errorf("%s: %v; want %q and why", c.name, err, c.want)
		}
	}

	from := len(live.snapshot())
	testenv.Wait(t, "poses go on", func() bool { return len(live.snapshot()) >= from+20 })
	live.check(t, "NATS") // no seq is missing
	r.stop(t)
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left when the daemon ended: %v, %v", left, err)
	}
}

func heldOnAReadOnlyDisk(t *testing.T) {
	var held *os.File // only read, for a disk with a file that is written does not become read-only
	state := readOnlyState(t, func(state string) {
		var err error
		if held, err = os.OpenFile(filepath.Join(state, "lock"), os.O_RDONLY|os.O_CREATE, 0o600); err == nil {
			err = syscall.Flock(int(held.Fd()), syscall.LOCK_EX)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	defer held.Close() //nolint:errcheck // only read
	cmd := exec.CommandContext(t.Context(), os.Getenv(ownDiskEnv), "run", "--state", state, "--camera", filepath.Join("..", "..", "docs", "page-session.png"))
	cmd.Env = append(os.Environ(), "POSEFUSE_BUS_NATS_LISTEN="+testenv.FreeAddr(t))
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("is in use by another posefuse")) {
		t.Errorf("a second daemon: %v\n%s", err, out)
	}
}
