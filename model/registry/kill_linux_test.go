package registry

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/internal/testenv"
)

// helperEnv makes TestHelper a process to be "killed", or one whose disk is
// "full". It runs in the state folder, in which fromDir is a checkpoint to add.
const (
	helperEnv = "TESTREGISTRY_HELPER"
	fromDir   = "from"
)

// helper returns that process.
func helper(t *testing.T, r *Registry, what, version string) *exec.Cmd {
	t.Helper()
	writeCheckpoint(t, filepath.Join(r.dir, fromDir), version)
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelper$", "-test.v="+fmt.Sprint(what == "full"))
	cmd.Dir, cmd.Env = r.dir, append(os.Environ(), helperEnv+"="+what)
	return cmd
}

// TestKilledWhilePromoting kills a process that adds, promotes and rolls back at
// random moments: what is left always has one whole model that serves, every
// version it names is whole, and the next process goes on.
func TestKilledWhilePromoting(t *testing.T) {
	kills := 20
	if testenv.Full() {
		kills = 200
	}
	r := with(t, "1", "2")
	promote(t, r, "1")
	rng := rand.New(rand.NewPCG(1, 2))
	served, added := map[string]int{}, map[int]bool{}
	for i := range kills {
		cmd := helper(t, r, "killed", fmt.Sprint("k", i))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err = cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err = out.Read(make([]byte, 1)); err != nil { // it is at work
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.IntN(20_000)) * time.Microsecond)
		if err = cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err = cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the process did not live until it was killed: %v", err)
		}
		served[serving(t, r)]++
		x, err := r.Index()
		if err != nil {
			t.Fatal(err)
		}
		added[len(x.Entries)] = true
		for _, e := range x.Entries[max(len(x.Entries)-2, 0):] {
			if err := r.use(e, nil); err != nil {
				t.Fatalf("after kill %d: %v", i, err)
			}
		}
	}
	t.Logf("%d kills; what served after: %v; %d versions were added", kills, served, len(added))
	promote(t, r, "2")
	if got := serving(t, r); got != "2" {
		t.Errorf("%s serves", got)
	}
}

// TestFullDisk: there is no room for a version, then none for registry.json:
// both are refused, and what serves goes on.
func TestFullDisk(t *testing.T) {
	r := with(t, "1", "2")
	promote(t, r, "1")
	if out, err := helper(t, r, "full", "3").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := serving(t, r); got != "1" {
		t.Errorf("%s serves", got)
	}
	if got := states(t, r); got != "1 promoted, 2 candidate" {
		t.Error(got)
	}
	if left, err := filepath.Glob(filepath.Join(r.dir, modelsDir, incoming+"*")); err != nil || len(left) > 0 {
		t.Errorf("half a version is left: %v (%v)", left, err)
	}
	promote(t, r, "2") // with room again
}

// TestHelper is the other process of the tests above.
func TestHelper(t *testing.T) {
	r := Open(".", nil)
	switch os.Getenv(helperEnv) {
	case "killed":
		fmt.Print("x")
		if _, err := r.Add(fromDir, "killed"); err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			promote(t, r, fmt.Sprint(i%2+1))
			if i%3 == 2 {
				if _, err := r.Rollback("killed", Retired, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	case "full":
		signal.Ignore(syscall.SIGXFSZ)
		for _, limit := range []uint64{2000, 100} { // below a weights file, below registry.json
			if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Add(fromDir, ""); !errors.Is(err, syscall.EFBIG) {
				t.Errorf("limit %d: added: %v", limit, err)
			}
		}
		if _, err := r.Promote(id("2"), "", nil); !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("promoted: %v", err)
		}
	}
}
