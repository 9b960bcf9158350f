package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/frame"
	"posefuse/message"
	"posefuse/recording"
	"posefuse/recording/session"
	"posefuse/recording/sim"
)

// fakeClock is a room clock in a bubble.
type fakeClock struct{ start time.Time }

func (c fakeClock) NowNS() int64              { return int64(time.Since(c.start)) }
func (c fakeClock) WallAt(ns int64) time.Time { return c.start.Add(time.Duration(ns)) }

// recordPoses records a session of a clip's true poses with an error, in the
// room's frame, by the real recorder, and returns its folder.
func recordPoses(t *testing.T, clip recording.Clip, rig *frame.Rig, root string) (dir string) {
	t.Helper()
	r := session.NewRecorder(session.Config{Root: root, Clock: fakeClock{time.Now()}})
	info, err := r.Start(session.Request{Subject: "P1", Consent: true}, session.Room{Name: "room1", Rig: rig, Setup: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range clip.Len() {
		truth, err := clip.Truth(i)
		if err != nil {
			t.Fatal(err)
		}
		var joints [17][3]float64
		for j, p := range truth {
			p[1] += 0.04 * math.Sin(float64(3*i+7*j)) // what a network errs
			joints[j] = rig.RoomFromCamera.Apply(p)
		}
		at := int64(i) * 100_000_000
		text, err := message.AppendPose(nil, &message.Pose{Schema: message.PoseSchema, Room: "room1", Frame: "room", CaptureNS: at, JointsM: &joints})
		if err != nil {
			t.Fatal(err)
		}
		r.Pose(text, at, "room", &joints)
		time.Sleep(100 * time.Millisecond)
	}
	if _, err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, info.ID)
}

// labelTable is a clip's true poses as CSV, from a frame on.
func labelTable(t *testing.T, clip recording.Clip, from int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("time_s")
	for j := range 17 {
		fmt.Fprintf(&b, ",joint%d_x_m,joint%d_y_m,joint%d_z_m", j, j, j)
	}
	for i := from; i < clip.Len(); i++ {
		truth, err := clip.Truth(i)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n%g", float64(i-from)/10)
		for _, p := range truth {
			fmt.Fprintf(&b, ",%g,%g,%g", p[0], p[1], p[2])
		}
	}
	return b.String() + "\n"
}

// TestLabelsBesideASession: a session that the recorder wrote gets the joints of a
// file that began 1.3 s later, and those of another movement are refused.
func TestLabelsBesideASession(t *testing.T) {
	open := func(activity int) recording.Clip {
		ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "clean", FramesPerClip: 150})
		if err != nil {
			t.Fatal(err)
		}
		clip, err := ds.Open(recording.Key{Subject: 4, Activity: activity})
		if err != nil {
			t.Fatal(err)
		}
		return clip
	}
	clip := open(12)
	rig := frame.Rig{RoomFromCamera: frame.Transform{R: [3][3]float64{{1, 0, 0}, {0, 0, 1}, {0, -1, 0}}, T: [3]float64{0, 0, 0.9}}}
	var dir string
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) { dir = recordPoses(t, clip, &rig, root) })
	file := filepath.Join(t.TempDir(), "labels.csv")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ds, err := session.NewDataset([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	const late = 13
	write(labelTable(t, clip, late))
	told, err := labelSession(ds, dir, file, 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(told)
	labelled, err := ds.Open(ds.Keys()[0])
	if err != nil {
		t.Fatal(err)
	}
	if n := labelled.Len(); n < clip.Len()-late-1 || n > clip.Len()-late {
		t.Errorf("%d frames of %d are labelled", n, clip.Len()-late)
	}
	off := func(first int) (sum float64) {
		for i := range labelled.Len() {
			got, truthErr := labelled.Truth(i)
			if truthErr != nil {
				t.Fatal(truthErr)
			}
			want, _ := clip.Truth(min(first+i, clip.Len()-1))
			for j := range got {
				for k := range got[j] {
					sum += math.Abs(got[j][k]-want[j][k]) / float64(51*labelled.Len())
				}
			}
		}
		return sum
	}
	sum := min(off(late), off(late+1)) // a millisecond decides which is the first
	if sum > 0.005 {
		t.Errorf("labels are %.4f m from the truth of their time on average", sum)
	}
	write(labelTable(t, open(22), 0))
	if _, err = labelSession(ds, dir, file, 10); err == nil || !strings.Contains(err.Error(), "do not move as the session") {
		t.Errorf("another movement: %v", err)
	}
	write(strings.Replace(labelTable(t, clip, 0), "time_s", "when", 1))
	if _, err = labelSession(ds, dir, file, 10); err == nil || !strings.Contains(err.Error(), "time_s or capture_ns") {
		t.Errorf("no time: %v", err)
	}
}
