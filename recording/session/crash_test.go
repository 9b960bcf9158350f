package session

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// childEnv makes the test binary a recorder into a folder.
const childEnv = "SESSION_TEST_CHILD"

// recordUntilKilled offers numbered sweeps and prints, every few milliseconds, how
// many it offered and how many bytes the recorder says are on the disk.
func recordUntilKilled(dir string) {
	clock := &testClock{start: time.Now()}
	r := NewRecorder(Config{Root: dir, Clock: clock, Segment: 1500 * time.Millisecond})
	i, err := r.Start(agreed, Room{Name: "room1"})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("session", i.ID)
	for seq := 0; ; seq++ {
		fmt.Println(seq, r.Status().Bytes)
		now := clock.NowNS()
		r.Sample(&sensors.Sample{Modality: modality.LiDAR, Seq: uint64(seq), ReceiveNS: now, CaptureNS: now, Cloud: &sensors.PointCloud{XYZ: make([]float32, 3*200)}})
		time.Sleep(10 * time.Millisecond)
	}
}

// killOnce records in a child, kills it after a while, and checks what is left.
func killOnce(t *testing.T, after time.Duration) {
	root := filepath.Join(t.TempDir(), Folder)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	var id string
	offered, onDisk := -1, int64(0)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		n, bad := strconv.Atoi(word)
		switch {
		case word == "session":
			id = rest
		case bad != nil:
			t.Errorf("the child says %q", lines.Text())
		default:
			if b, cut := strconv.ParseInt(rest, 10, 64); cut == nil { // not the line that was cut
				offered, onDisk = n, b
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if id == "" {
		return // before it began
	}
	dir := filepath.Join(root, id)
	var size int64
	names, err := segmentFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		st, serr := os.Stat(filepath.Join(dir, name))
		if serr != nil {
			t.Fatal(serr)
		}
		size += st.Size()
	}
	if size < onDisk {
		t.Errorf("after %v: %d bytes, the recorder said %d are on the disk", after, size, onDisk)
	}
	c, err := Recover(dir)
	if err != nil {
		t.Fatalf("after %v: %v", after, err)
	}
	got := lidarSeqs(t, dir)
	if len(got) > offered+2 || !slices.Equal(got, count(0, len(got))) || c.ByTopic[TopicLiDAR] != uint64(len(got)) {
		t.Errorf("after %v: sweeps %v, offered %d; %+v", after, got, offered, c)
	}
	if v, err := Verify(dir); err != nil || v.Torn || v.Messages != c.Messages {
		t.Errorf("after %v: verify: %v, %+v", after, err, v)
	}
	before := snapshot(t, dir)
	if again, err := Recover(dir); err != nil || again.Changed || snapshot(t, dir) != before {
		t.Errorf("after %v: recovered twice: %v, %+v", after, err, again)
	}
}

// kills ends recorders at random moments, some at a time.
func kills(t *testing.T, n int) {
	rng := rand.New(rand.NewPCG(15, 1))
	var wg sync.WaitGroup
	room := make(chan struct{}, 10)
	for range n {
		after := 50*time.Millisecond + time.Duration(rng.Int64N(int64(4*time.Second)))
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			killOnce(t, after)
		})
	}
	wg.Wait()
}

func TestKilledRecorder(t *testing.T) { kills(t, 20) }

func TestKilledRecorderOften(t *testing.T) {
	testenv.NoRace(t, "the processes that are killed are what it is about")
	testenv.Slow(t)
	kills(t, 200)
}
