package camera

import (
	"errors"
	"image"
	"image/color"
	"testing"
)

func TestPackedPixels(t *testing.T) {
	// Two rows of four pixels in rows of twelve bytes: black, white, mid grey and
	// a colour in the limited range of video, then the range's ends.
	data := []byte{
		16, 128, 235, 128, 126, 90, 126, 240, 0xAA, 0xAA, 0xAA, 0xAA,
		0, 0, 255, 255, 16, 16, 235, 240,
	}
	var d decoder
	img, err := d.decode(&Frame{Encoding: YUYV, Width: 4, Height: 2, Stride: 12, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	want := [2][4]color.YCbCr{
		{{0, 128, 128}, {255, 128, 128}, {128, 85, 255}, {128, 85, 255}},
		{{0, 0, 255}, {255, 0, 255}, {0, 1, 255}, {255, 1, 255}},
	}
	for y, row := range want {
		for x, c := range row {
			if got := img.At(x, y); got != c {
				t.Errorf("pixel %d, %d is %v, want %v", x, y, got, c)
			}
		}
	}
	again, err := d.decode(&Frame{Encoding: YUYV, Width: 4, Height: 2, Stride: 12, Data: data})
	if err != nil || again != img {
		t.Errorf("the memory of the planes was not used again: %v", err)
	}
	other, err := d.decode(&Frame{Encoding: YUYV, Width: 2, Height: 1, Data: data})
	if err != nil || other.Bounds() != image.Rect(0, 0, 2, 1) || other.At(1, 0) != want[0][1] {
		t.Errorf("another size in mid-stream: %v, %v", other, err)
	}
}

func TestPlanesAndPackedPixelsOfOddSizes(t *testing.T) {
	for name, c := range map[string]struct {
		frame Frame
		want  Reason // "" if it is a picture
	}{
		"planes of odd sides":     {Frame{Encoding: YUV420, Width: 5, Height: 3, Data: make([]byte, 15+2*6)}, ""},
		"longer than the picture": {Frame{Encoding: YUV420, Width: 5, Height: 3, Data: make([]byte, 100)}, ""},
		"planes cut":              {Frame{Encoding: YUV420, Width: 5, Height: 3, Data: make([]byte, 15+2*6-1)}, ImageCut},
		"last row without stride": {Frame{Encoding: YUYV, Width: 4, Height: 2, Stride: 12, Data: make([]byte, 20)}, ""},
		"packed cut":              {Frame{Encoding: YUYV, Width: 4, Height: 2, Stride: 12, Data: make([]byte, 19)}, ImageCut},
		"half a pair of pixels":   {Frame{Encoding: YUYV, Width: 3, Height: 2, Data: make([]byte, 100)}, ImageSize},
		"rows that overlap":       {Frame{Encoding: YUYV, Width: 4, Height: 2, Stride: 6, Data: make([]byte, 100)}, ImageSize},
		"no pixels":               {Frame{Encoding: YUYV, Width: 4, Height: 0}, ImageSize},
		"negative":                {Frame{Encoding: YUV420, Width: -4, Height: -4}, ImageSize},
		"beyond a number":         {Frame{Encoding: YUV420, Width: 1 << 40, Height: 1 << 40}, ImageSize},
		"8K":                      {Frame{Encoding: YUV420, Width: 7680, Height: 4320}, ImageCut},
		"more than 8K":            {Frame{Encoding: YUV420, Width: 7680, Height: 4322}, ImageSize},
	} {
		t.Run(name, func(t *testing.T) {
			var d decoder
			img, err := d.decode(&c.frame)
			if c.want == "" {
				if err != nil || img.Bounds() != image.Rect(0, 0, c.frame.Width, c.frame.Height) {
					t.Errorf("got %v, %v", img, err)
				}
				return
			}
			if e, ok := errors.AsType[*ImageError](err); !ok || e.Reason != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
