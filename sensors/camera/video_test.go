package camera

import (
	"context"
	"errors"
	"image"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// somebody is what a detector says of a picture with a person.
func somebody() Detection {
	d := Detection{Person: true}
	for i := range d.Keypoints.XY {
		d.Keypoints.XY[i], d.Keypoints.Score[i] = [2]float64{1, 1}, 0.5
	}
	return d
}

// luma is the brightness of a picture that grey made.
func luma(img image.Image) byte { return img.(*image.YCbCr).Y[0] }

// TestNewestPictureWins: a slow detector sees the newest picture, all others
// are counted, and few buffers serve them all.
func TestNewestPictureWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pictures = 100
		memory := map[*byte]bool{}
		cam := grabFunc(func(_ context.Context, in *intake) error {
			for seq := range uint64(pictures) {
				f := grey(seq, 16, byte(seq))
				f.Data = append(in.buffer(), f.Data...)
				memory[unsafe.SliceData(f.Data)] = true
				f.ReceiveNS = in.sink.NowNS()
				in.put(f)
				time.Sleep(10 * time.Millisecond)
			}
			return errors.New("the cable broke")
		})
		var looked []byte
		src := &VideoSource{name: "camera", grabber: cam, Detector: detectFunc(func(img image.Image) (Detection, error) {
			looked = append(looked, luma(img))
			time.Sleep(35700 * time.Microsecond)
			return somebody(), nil
		})}
		sink := newTestSink()
		if err := src.Run(t.Context(), sink); err == nil || err.Error() != "the cable broke" {
			t.Fatal(err)
		}
		for i, seq := range looked {
			// The detector is free each 35.7 ms, when the picture of that instant waits.
			if want := byte(i * 357 / 100); i > 0 && seq != want && want < pictures-1 {
				t.Errorf("look %d sees picture %d, want %d", i, seq, want)
			}
		}
		if n := len(looked); len(sink.samples) != n || int(sink.counts[outcomeOvertaken]) != pictures-n || len(sink.counts) != 1 {
			t.Errorf("%d looked at, %d samples, counts %v", n, len(sink.samples), sink.counts)
		}
		if len(memory) > 4 {
			t.Errorf("%d buffers for a place of one picture", len(memory))
		}
		x := <-sink.samples
		if x.Sensor != "camera" || x.Modality != modality.Camera || x.ReceiveNS != 42 || x.Keypoints.Width != 16 || x.Keypoints.Height != 16 {
			t.Errorf("%+v", x)
		}
	})
}

// TestEveryPictureEndsInOneCounter, whatever becomes of it.
func TestEveryPictureEndsInOneCounter(t *testing.T) {
	outside := somebody()
	outside.Keypoints.XY[3][0] = math.NaN()
	frames := []Frame{
		grey(0, 4, 0), grey(1, 4, 1), grey(2, 4, 2), grey(3, 4, 3),
		{Encoding: YUV420, Width: 4, Height: 4, Data: []byte{1}},
		{Encoding: YUV420, Width: 0, Height: 4},
		{Encoding: YUYV, Width: MaxImageSide + 2, Height: 4},
		{Encoding: YUYV, Width: 16384, Height: 16384},
		{Encoding: JPEG}, {Encoding: 99, Width: 1, Height: 1},
	}
	src := &VideoSource{name: "camera", EveryPicture: true,
		grabber: grabFunc(func(_ context.Context, in *intake) error {
			for _, f := range frames {
				in.put(f)
			}
			return ErrEnded
		}),
		Detector: detectFunc(func(img image.Image) (Detection, error) {
			switch luma(img) {
			case 0:
				return somebody(), nil
			case 1:
				return Detection{}, nil
			case 2:
				return Detection{}, errors.New("broken weights")
			}
			return outside, nil
		})}
	sink := newTestSink()
	if err := src.Run(t.Context(), sink); !errors.Is(err, ErrEnded) {
		t.Fatal(err)
	}
	want := map[string]uint64{"nobody": 1, outcomeFailed: 2, string(ImageCut): 1, string(ImageSize): 3, string(BadImage): 2}
	if len(sink.samples) != 1 || !equalCounts(sink.counts, want) {
		t.Errorf("%d samples, counts %v, want %v", len(sink.samples), sink.counts, want)
	}
	if err := (&VideoSource{}).Run(t.Context(), sink); !errors.Is(err, errNoDetector) {
		t.Errorf("without a detector: %v", err)
	}
}

func equalCounts(got, want map[string]uint64) bool {
	for k, v := range want {
		if got[k] != v {
			return false
		}
	}
	return len(got) == len(want)
}

// TestRestartOfTheCamerasClock: the first sample after it tells, also if nobody
// was there at first, or the source ran anew meanwhile.
func TestRestartOfTheCamerasClock(t *testing.T) {
	const second = int64(1e9)
	var stamps []int64
	src := &VideoSource{name: "camera", EveryPicture: true,
		grabber: grabFunc(func(_ context.Context, in *intake) error {
			for seq, at := range stamps {
				f := grey(uint64(seq), 2, byte(seq))
				f.DeviceNS, f.HasDevice = max(at, -at), true
				if at < 0 {
					f.Data[0] = 255 // nobody
				}
				in.put(f)
			}
			return ErrEnded
		}),
		Detector: detectFunc(func(img image.Image) (Detection, error) {
			if luma(img) == 255 {
				return Detection{}, nil
			}
			return somebody(), nil
		})}
	sink := newTestSink()
	for _, c := range []struct {
		stamps []int64
		want   []bool
	}{
		{[]int64{10 * second, 11 * second, 12*second - 1, 12 * second}, []bool{false, false, false, false}},
		{[]int64{-3 * second, -4 * second, 5 * second, 6 * second}, []bool{true, false}},
		{[]int64{20 * second, 19*second + 1, 1, 2}, []bool{false, false, true, false}},
	} {
		stamps = c.stamps
		if err := src.Run(t.Context(), sink); !errors.Is(err, ErrEnded) {
			t.Fatal(err)
		}
		for i, want := range c.want {
			if x := <-sink.samples; x.Restarted != want {
				t.Errorf("stamps %v: sample %d restarted: %v", c.stamps, i, x.Restarted)
			}
		}
	}
}

// TestPanicOfADetectorEndsOneRun and nothing else.
func TestPanicOfADetectorEndsOneRun(t *testing.T) {
	put := uint64(0)
	looks := 0
	src := &VideoSource{name: "camera",
		grabber: grabFunc(func(ctx context.Context, in *intake) error {
			for ctx.Err() == nil {
				in.put(grey(put, 2, 7))
				put++
				time.Sleep(time.Millisecond)
			}
			return nil
		}),
		Detector: detectFunc(func(image.Image) (Detection, error) {
			if looks++; looks%3 == 0 {
				panic("index out of range")
			}
			return Detection{}, nil
		})}
	sink := newTestSink()
	for range 2 {
		err := src.Run(t.Context(), sink)
		if err == nil || !strings.Contains(err.Error(), "index out of range (") || !strings.Contains(err.Error(), "video_test.go:") {
			t.Errorf("got %v", err)
		}
	}
	sum := uint64(0)
	for _, n := range sink.counts {
		sum += n
	}
	if sum != put || sink.counts[outcomeFailed] != 2 || sink.counts[sensors.OutcomeNobody] != 4 {
		t.Errorf("%d pictures, counts %v", put, sink.counts)
	}
}
