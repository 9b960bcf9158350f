package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"posefuse/history"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/recording"
)

// ownDiskEnv makes a test the process that may mount: it holds the path of the
// program.
const ownDiskEnv = "TEST_OWN_DISK_PROGRAM"

// TestHistoryOnABadDisk: the disk of a whole daemon's state becomes full, has room
// again, becomes read-only, is writable again. The session goes on with every pose,
// the status says how many sets are not kept and what helps, the page hears it, and
// none of the sets is missing in the end, without another one that follows.
//
// It runs in a process with a user's own mounts, so that no root is needed. A disk
// that becomes read-only under open files cannot be had there: a read-only view of
// it over the same path stands for it, which files that are opened from then on meet.
func TestHistoryOnABadDisk(t *testing.T) { withOwnMounts(t, historyOnABadDisk) }

// withOwnMounts runs a test in a process that may mount, for itself alone. Where a
// system allows nobody that, the test is left out.
func withOwnMounts(t *testing.T, test func(*testing.T)) {
	t.Helper()
	if program := os.Getenv(ownDiskEnv); program != "" {
		buildBinary = func() (string, error) { return program, nil }
		test(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), ownDiskEnv+"="+binary(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("cannot mount")) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		testenv.LeaveOut(t, fmt.Sprintf("this system lets nobody mount a file system in a user namespace: %v %s", err, out))
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// mount mounts for the rest of a test, or until unmount.
func mount(t *testing.T, source, target, kind string, flags uintptr, data string) (unmount func()) {
	t.Helper()
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	mounted := true
	unmount = func() {
		if !mounted {
			return
		}
		mounted = false
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}
	t.Cleanup(unmount)
	return unmount
}

func historyOnABadDisk(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(t, "tmpfs", state, "tmpfs", 0, "size=32m")
	t.Setenv("POSEFUSE_STATE_DIR", state)
	r := startRoom(t, "ouster", "history: {enabled: true}\n")
	live := r.subscribeNATS(t)
	r.play(t, recording.Key{Subject: 1, Activity: 12})
	awaitPose(t, live, 0, "RLMW")
	nc, err := nats.Connect("nats://" + r.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	posefuse(t, "history", "begin", "--subject", "P9", "--consent", "--nats", "nats://"+r.nats)

	set := func(id string) {
		t.Helper()
		text, err := json.Marshal(message.ExerciseSummary{Schema: message.ExerciseSummarySchema, Room: "room1", ID: id, Exercise: "A12", Name: "squat", Repetitions: 8, Faults: []message.Fault{}})
		if err == nil {
			err = nc.Publish("posefuse.room1.exercise.summary", text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	kept := func(want ...string) {
		t.Helper()
		testenv.Wait(t, fmt.Sprintf("%v are kept", want), func() bool {
			entries, broken, err := history.Read(filepath.Join(state, history.Folder), "P9")
			var got []string
			for _, e := range entries {
				got = append(got, e.Set.ID)
			}
			return err == nil && broken == 0 && slices.Equal(got, want)
		})
	}
	says := func(code string, parts ...string) {
		t.Helper()
		testenv.Wait(t, "history is "+code, func() bool {
			h := r.partOf(t, "history")
			return h.Code == code && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(h.Text, p) })
		})
	}
	goesOn := func(what string) {
		t.Helper()
		from := len(live.snapshot())
		testenv.Wait(t, "poses while "+what, func() bool { return len(live.snapshot()) >= from+20 })
	}

	set("a")
	kept("a")
	says("keeping", "1 so far")

	fill := filepath.Join(state, "fill")
	if err := fillUp(fill); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	for i := range 40 { // more than what is left of the last block
		set(fmt.Sprintf("b%02d", i))
	}
	says("unwritable", "sets are not kept", "no space left on device", "make room")
	goesOn("the disk is full")
	says("unwritable", "make room")
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	want := []string{"a"}
	for i := range 40 {
		want = append(want, fmt.Sprintf("b%02d", i))
	}
	kept(want...)
	says("keeping", "41 so far")

	view := mount(t, state, state, "", syscall.MS_BIND, "")
	if err := syscall.Mount("", state, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	set("c")
	says("unwritable", "1 sets are not kept", "read-only file system", "mount it writable")
	goesOn("the disk is read-only")
	view()
	kept(append(want, "c")...)
	says("keeping", "42 so far")
	live.check(t, "NATS") // no seq is missing
}

// fillUp writes a file until the disk takes no more, and returns why.
func fillUp(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for len(block) > 0 {
		n, werr := f.Write(block)
		if err = werr; n < len(block) {
			block = block[:len(block)/2]
		}
	}
	return errors.Join(err, f.Close())
}

// partOf returns what a part of the daemon says on its page.
func (r *room) partOf(t *testing.T, name string) message.PartHealth {
	t.Helper()
	resp, err := http.Get("http://" + r.web + "/api/status")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	var s message.Status
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Parts {
		if p.Part == name {
			return p
		}
	}
	return message.PartHealth{}
}
