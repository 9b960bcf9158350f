package camera

import (
	"context"
	"errors"
	"image"
	"testing"

	"golang.org/x/sys/unix"
)

// grabFunc is a camera made of a function.
type grabFunc func(ctx context.Context, in *intake) error

func (f grabFunc) grab(ctx context.Context, in *intake) error { return f(ctx, in) }

// detectFunc is a detector made of a function.
type detectFunc func(img image.Image) (Detection, error)

func (f detectFunc) Detect(img image.Image) (Detection, error) { return f(img) }
func (detectFunc) Reset()                                      {}

// grey is a picture of one brightness.
func grey(seq uint64, side int, luma byte) Frame {
	f := Frame{Seq: seq, Encoding: YUV420, Width: side, Height: side, Data: make([]byte, side*side+2*((side+1)/2)*((side+1)/2))}
	for i := range side * side {
		f.Data[i] = luma
	}
	return f
}

// TestEveryPictureOfAFile: a detector that is slower than the file misses
// nothing, and the source ends as the file does.
func TestEveryPictureOfAFile(t *testing.T) {
	const pictures = 40
	film := grabFunc(func(_ context.Context, in *intake) error {
		for seq := range uint64(pictures) {
			in.put(grey(seq, 2, byte(seq)))
		}
		return ErrEnded
	})
	var watched, looked []byte
	var nice []int
	src := &VideoSource{name: "camera", maxHz: 1, grabber: film, EveryPicture: true,
		Watch: func(img image.Image) { watched = append(watched, img.(*image.YCbCr).Y[0]) },
		Detector: detectFunc(func(img image.Image) (Detection, error) {
			looked = append(looked, img.(*image.YCbCr).Y[0])
			if p, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()); err == nil {
				nice = append(nice, 20-p)
			}
			return Detection{Person: len(looked)%2 == 0}, nil
		})}
	sink := newTestSink()
	if err := src.Run(t.Context(), sink); !errors.Is(err, ErrEnded) {
		t.Fatal(err)
	}
	for seq := range byte(pictures) {
		if int(seq) >= len(looked) || looked[seq] != seq || watched[seq] != seq {
			t.Fatalf("looked at %v, watched %v", looked, watched)
		}
	}
	if len(sink.samples) != pictures/2 || sink.counts["nobody"] != pictures/2 || len(sink.counts) != 1 {
		t.Errorf("%d samples, counts %v", len(sink.samples), sink.counts)
	}
	// Not that of the process: its first thread may have been a detector's once.
	own, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nice {
		if want := min(20-own+lookingNice, highestNice); n != want {
			t.Fatalf("the detector's thread is nice by %d, the program by %d; want %d", n, 20-own, want)
		}
	}
	if len(nice) != pictures {
		t.Errorf("%d of %d nice values read", len(nice), pictures)
	}
}

// TestEveryPictureEndsWithItsContext: a file that waits for the detector ends
// when it is told to.
func TestEveryPictureEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan struct{})
	src := &VideoSource{name: "camera", EveryPicture: true,
		grabber: grabFunc(func(ctx context.Context, in *intake) error {
			for seq := uint64(0); ctx.Err() == nil; seq++ {
				in.put(grey(seq, 2, 0))
			}
			close(held)
			return nil
		}),
		Detector: detectFunc(func(image.Image) (Detection, error) {
			cancel()
			<-held // the file goes on only because it is told to
			return Detection{}, nil
		})}
	if err := src.Run(ctx, newTestSink()); err != nil {
		t.Fatal(err)
	}
}
