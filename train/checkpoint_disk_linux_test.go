package train

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model"
)

// fullEnv makes TestDiskFull's helper train into the folder it names.
const fullEnv = "POSEFUSE_TEST_FULL_DISK"

// The disk is full while the checkpoint of epoch 3 is written: the error names
// the folder and the way on, the checkpoint of epoch 2 is whole, nothing
// half-written stays, and resumed training leaves the same weights.
func TestDiskFull(t *testing.T) {
	data, held := checkpointData(t)
	c := course{method: AGM, head: model.ConcatHead, held: true}
	want, opt := c.start(t, held)
	if err := Run(t.Context(), want, data, opt); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"file size limit", "full file system"} {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			cmd := exec.Command(os.Args[0], "-test.run=^TestFullDiskHelper$", "-test.v")
			cmd.Env = append(os.Environ(), fullEnv+"="+dir)
			if kind == "full file system" {
				// A file system of its own, on which the files are copied back
				// and forth by the helper, for it ends with the process.
				cmd.Env = append(cmd.Env, fullEnv+"_MOUNT=1")
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
					UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
			}
			out, err := cmd.CombinedOutput()
			if bytes.Contains(out, []byte("cannot mount")) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
				testenv.LeaveOut(t, fmt.Sprintf("this system lets nobody mount a file system in a user namespace, the file size limit stands for it: %v %s", err, out))
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, part := range []string{"the checkpoint of epoch 2 in " + dir + " is whole", "MiB are free"} {
				if !bytes.Contains(out, []byte(part)) {
					t.Errorf("the error lacks %q:\n%s", part, out)
				}
			}
			if left, err := filepath.Glob(filepath.Join(dir, pendingName+"*")); err != nil || len(left) > 0 {
				t.Errorf("half-written files are left: %v (%v)", left, err)
			}
			net, opt := c.start(t, held)
			opt.Checkpoint, opt.Resume = dir, true
			opt.Warn = func(s string) { t.Errorf("warning: %s", s) }
			opt.Resumed = func(r ResumeInfo) {
				if r.Epoch != 2 {
					t.Errorf("resumed after epoch %d, want 2", r.Epoch)
				}
			}
			if err := Run(t.Context(), net, data, opt); err != nil {
				t.Fatal(err)
			}
			equalBits(t, net, want)
		})
	}
}

// TestFullDiskHelper is the process whose disk is full.
func TestFullDiskHelper(t *testing.T) {
	dir := os.Getenv(fullEnv)
	if dir == "" {
		return // only TestDiskFull starts it
	}
	data, held := checkpointData(t)
	net, opt := course{method: AGM, head: model.ConcatHead, held: true}.start(t, held)
	opt.Checkpoint = dir
	var last int
	size := int64(0)
	for _, x := range networkTensors(net) {
		size += 12 * int64(len(x.Value))
	}
	fill := func() error {
		signal.Ignore(syscall.SIGXFSZ)
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(size / 2), Max: uint64(size / 2)})
	}
	kept := dir + ".kept"
	mounted := os.Getenv(fullEnv+"_MOUNT") != ""
	if mounted {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", 8*size)); err != nil {
			t.Fatalf("cannot mount: %v", err)
		}
		fill = func() error { // all but half of what the checkpoint takes
			var st syscall.Statfs_t
			if err := syscall.Statfs(dir, &st); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "else"), make([]byte, int64(st.Bavail)*st.Bsize-size/2), 0o644)
		}
	}
	opt.AfterEpoch = func(e EpochInfo) error {
		if last = e.Epoch; last == 3 {
			return fill()
		}
		return nil
	}
	err := Run(t.Context(), net, data, opt)
	var failed *CheckpointError
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EFBIG)
	if !errors.As(err, &failed) || last != 3 || !full {
		t.Fatalf("training ended after epoch %d with %v, want a checkpoint's error in epoch 3", last, err)
	}
	t.Log(err)
	if !mounted {
		return
	}
	// Out of the file system that ends with this process.
	if err := errors.Join(os.CopyFS(kept, os.DirFS(dir)), syscall.Unmount(dir, syscall.MNT_DETACH), os.CopyFS(dir, os.DirFS(kept))); err != nil {
		t.Fatal(err)
	}
}
