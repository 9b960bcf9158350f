package session

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/frame"
	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/skeleton"
)

// TestDataset: the frames of sessions are those of their ticks, each with what was
// captured nearest to it, over the edges of what is held at a time.
func TestDataset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := newTest(t)
		rig := frame.Rig{RoomFromCamera: frame.Transform{R: [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}, Camera: frame.Intrinsics{WidthPx: 1280, HeightPx: 960}}
		const frames = 125
		var dirs []string
		for _, subject := range []string{"B", "A", "B"} {
			room := Room{Background: []byte("learned")}
			if len(dirs) == 0 {
				room.Rig = &rig
			}
			i, err := r.Start(Request{Subject: subject, Consent: true}, room)
			if err != nil {
				t.Fatal(err)
			}
			n := frames
			if len(dirs) > 0 {
				n = 12
			}
			for k := range n {
				recordFrame(r, k, k != 50)
			}
			if _, err := r.Stop(); err != nil {
				t.Fatal(err)
			}
			dirs = append(dirs, filepath.Join(r.cfg.Root, i.ID))
			time.Sleep(2 * time.Second)
		}
		ds, err := NewDataset([]string{dirs[2], dirs[0], dirs[1]})
		if err != nil {
			t.Fatal(err)
		}
		want := []recording.Key{{Subject: 1, Activity: 1}, {Subject: 1, Activity: 2}, {Subject: 2, Activity: 1}}
		if !slices.Equal(ds.Keys(), want) || ds.Dir(want[1]) != dirs[2] || ds.Modalities() != modality.All || ds.Describe() != "3 recorded sessions of 2 people" {
			t.Errorf("%v, %s, %v, %s", ds.Keys(), ds.Dir(want[1]), ds.Modalities(), ds.Describe())
		}
		clip, err := ds.Open(want[0])
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := frame.RigOf(clip); !ok || !reflect.DeepEqual(got, rig) || clip.Len() != frames || string(clip.(recording.Backgrounded).Background()) != "learned" {
			t.Fatalf("%v %+v, %d frames", ok, got, clip.Len())
		}
		if _, err := clip.Truth(0); !errors.Is(err, ErrNoTruth) {
			t.Error(err)
		}
		for _, i := range append(count(0, frames), 3, 124, 49) { // in order, then anywhere
			checkFrame(t, clip, i)
		}
		var f recording.Frame
		if err := clip.Frame(frames, &f); err == nil {
			t.Error("a frame beyond the last")
		}
		if other, err := ds.Open(want[2]); err != nil || other.Len() != 12 {
			t.Errorf("%v", err)
		} else if _, ok := frame.RigOf(other); ok {
			t.Error("a rig that nobody noted")
		}
		if _, err := ds.Open(recording.Key{Subject: 3, Activity: 1}); err == nil {
			t.Error("a session that is not there")
		}
		if _, err := NewDataset([]string{dirs[0], dirs[0]}); err == nil {
			t.Error("a session given twice")
		}
	})
}

// recordFrame hands over the samples of a tick, numbered k, then its pose.
func recordFrame(r *Recorder, k int, radar bool) {
	tick := r.cfg.Clock.NowNS()
	for p := range csiPackets {
		h := make([]complex64, csiAntennas*csiSubcarrier)
		for i := range h {
			h[i] = complex(0, float32(math.Pow(10, float64(p)/20)))
		}
		at := tick - 45e6 + int64(p)*10e6
		r.Sample(&sensors.Sample{Modality: modality.CSI, Seq: uint64(10*k + p), ReceiveNS: at, CaptureNS: at, CSI: &sensors.CSIPacket{Antennas: 3, Subcarriers: 114, H: h}})
	}
	keys := &sensors.Keypoints{Width: 640, Height: 480}
	keys.XY[2], keys.Score[2] = [2]float64{float64(k), 100}, 0.5
	for _, s := range []*sensors.Sample{{Modality: modality.Camera, Keypoints: keys}, {Modality: modality.LiDAR, Cloud: &sensors.PointCloud{XYZ: []float32{float32(k), 1, 2}}}} {
		s.Seq, s.ReceiveNS, s.CaptureNS = uint64(k), tick, tick+3e6
		r.Sample(s)
	}
	if radar {
		r.Sample(&sensors.Sample{Modality: modality.Radar, Seq: uint64(k), ReceiveNS: tick, CaptureNS: tick + 4e6, Radar: &sensors.RadarFrame{Points: []sensors.RadarPoint{{X: float32(k), SNRdB: 7}}}})
	}
	time.Sleep(60 * time.Millisecond)
	r.Pose(fmt.Appendf(nil, `{"seq":%d}`, k), tick, "room", &skeleton.Pose{})
	time.Sleep(40 * time.Millisecond)
}

func checkFrame(t *testing.T, clip recording.Clip, i int) {
	t.Helper()
	var f recording.Frame
	if err := clip.Frame(i, &f); err != nil {
		t.Fatal(err)
	}
	absent := modality.Set(0)
	if i == 50 {
		absent = modality.Of(modality.Radar)
	} else if len(f.MmWave) != 5 || f.MmWave[0] != float64(i) || f.MmWave[4] != 7 {
		t.Errorf("frame %d: radar %v", i, f.MmWave)
	}
	if f.Absent != absent || f.RGB[2] != [2]float64{2 * float64(i), 200} || f.Scores[2] != 0.5 || !slices.Equal(f.LiDAR, []float64{float64(i), 1, 2}) {
		t.Errorf("frame %d: absent %v, joints %v, cloud %v", i, f.Absent, f.RGB[2], f.LiDAR)
	}
	for p := range csiPackets {
		if got := f.CSIAmp[5*csiPackets+p]; math.Abs(got-float64(p)) > 1e-5 || math.Abs(f.CSIPhase[p]-math.Pi/2) > 1e-6 {
			t.Errorf("frame %d: packet %d has %v dB", i, p, got)
		}
	}
}
