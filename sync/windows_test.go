package timesync

import (
	"testing"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// TestCameraWindowHoles: single lost frames repeat the frame before; beyond a
// long gap the window is padded with the oldest frame after it.
func TestCameraWindowHoles(t *testing.T) {
	fakes := frameSet(30*time.Millisecond, 100)[:1]
	fakes[0].alive = func(i int) bool { return i != 70 && i != 75 && i != 76 && (i < 30 || i >= 37) }
	ticks, _ := drive(t, Config{Sensors: allSensors()[:1]}, fakes, 9*time.Second)
	checked := 0
	for _, g := range ticks {
		if g.sample[0] == nil || g.sample[0].Seq < 78 {
			continue
		}
		checked++
		frame := int(g.sample[0].Seq)
		filled := 0
		for k, c := range g.camera {
			want := frame - 80 + k
			switch {
			case want < 37:
				want = 37
				filled++
			case want == 70:
				want = 69
				filled++
			case want == 75 || want == 76:
				want = 74
				filled++
			}
			if int(c.Seq) != want {
				t.Fatalf("tick of frame %d: entry %d is frame %d, want %d", frame, k, c.Seq, want)
			}
		}
		if g.filled[0] != filled {
			t.Errorf("tick of frame %d: %d entries filled, want %d", frame, g.filled[0], filled)
		}
	}
	if checked < 8 {
		t.Fatalf("%d windows checked", checked)
	}
}

// TestCSIWindowFillsLostPackets: up to three lost packets are filled by a
// neighbour, four make the modality absent.
func TestCSIWindowFillsLostPackets(t *testing.T) {
	for lost := 0; lost <= 4; lost++ {
		fakes := frameSet(30*time.Millisecond, 50)
		fakes = []fake{fakes[0], fakes[3]}
		fakes[1].alive = func(i int) bool { return i%10 < 3 || i%10 >= 3+lost }
		ticks, _ := drive(t, Config{Sensors: []SensorConfig{{Modality: modality.Camera}, {Modality: modality.CSI}}}, fakes, 4500*time.Millisecond)
		for _, g := range ticks[15:] {
			if lost == 4 {
				if g.state[modality.CSI] != Gap && g.state[modality.CSI] != Late {
					t.Fatalf("4 lost: %s", g.state[modality.CSI])
				}
				continue
			}
			if g.state[modality.CSI] != Fused || g.filled[modality.CSI] != lost {
				t.Fatalf("%d lost: %s, %d filled", lost, g.state[modality.CSI], g.filled[modality.CSI])
			}
			base := g.csi[0].Seq
			if base%10 != 0 {
				t.Fatalf("%d lost: window starts with packet %d", lost, base)
			}
			for k, p := range g.csi {
				want := base + uint64(k)
				if k >= 3 && k < 3+lost {
					want = base + 2
				}
				if p.Seq != want {
					t.Fatalf("%d lost: entry %d is packet %d, want %d", lost, k, p.Seq-base, want-base)
				}
			}
		}
	}
}

// TestCameraWindowNeverGoesBack: the newest frame belongs to the tick before,
// so that this tick's is an older one; the window stays in order.
func TestCameraWindowNeverGoesBack(t *testing.T) {
	in := newInput(SensorConfig{Modality: modality.Camera, Queue: 8}, Config{})
	in.tick, in.maxGap = 100*ms, int64(DefaultMaxGap)
	var frames []*sensors.Sample
	for _, at := range []int64{900 * ms, 1030 * ms, 1060 * ms} {
		s := &sensors.Sample{Modality: modality.Camera, CaptureNS: at}
		frames = append(frames, s)
		in.q.insert(entry{sample: s, at: at})
	}
	in.q.use(in.q.at(2)) // by the tick before
	slot := Slot{Sample: frames[1]}
	in.fillCamera(&slot, 1, 1150*ms, true)
	for i := 1; i < len(slot.Window); i++ {
		if slot.Window[i].CaptureNS < slot.Window[i-1].CaptureNS {
			t.Fatalf("entry %d was captured at %d ns, the one before at %d", i, slot.Window[i].CaptureNS, slot.Window[i-1].CaptureNS)
		}
	}
	if last := slot.Window[CameraWindow-1]; last != frames[1] {
		t.Errorf("the window ends with the frame of %d ns", last.CaptureNS)
	}
}
