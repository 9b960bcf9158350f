package main

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"posefuse/sensors"
	"posefuse/sensors/camera"
)

// TestFigureIsDrawn: joints have their side's colour where they are, faint with
// a low score, and a joint outside the picture breaks nothing.
func TestFigureIsDrawn(t *testing.T) {
	var d camera.Detection
	d.Person = true
	d.Keypoints = sensors.Keypoints{Width: 320, Height: 200}
	k := &d.Keypoints
	for i := range k.XY {
		k.XY[i], k.Score[i] = [2]float64{-100, 400}, 1
	}
	k.XY[5], k.XY[7] = [2]float64{100, 50}, [2]float64{160, 50} // left shoulder and elbow
	k.XY[10], k.Score[10] = [2]float64{40, 150}, 0              // right wrist, a guess
	picture := image.NewYCbCr(image.Rect(0, 0, 320, 200), image.YCbCrSubsampleRatio420)
	for i := range picture.Cb {
		picture.Cb[i], picture.Cr[i] = 128, 128
	}
	file := filepath.Join(t.TempDir(), "figure.png")
	if err := writeFigure(file, picture, &d); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	at := func(x, y int) color.NRGBA { return color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA) }
	if img.Bounds() != picture.Rect || at(300, 20) != (color.NRGBA{A: 255}) {
		t.Errorf("%v, %v where nothing is", img.Bounds(), at(300, 20))
	}
	if at(100, 50) != figureLeft || at(130, 50) != figureLeft {
		t.Errorf("shoulder %v, arm %v, want %v", at(100, 50), at(130, 50), figureLeft)
	}
	if c := at(40, 150); c.B < 40 || c.B > 120 || c.B <= c.R {
		t.Errorf("a guessed joint is %v", c)
	}
	d.Person = false
	if err := writeFigure(file, picture, &d); err != nil {
		t.Fatal(err)
	}
	if err := writeFigure(filepath.Join(file, "x.png"), picture, &d); err == nil {
		t.Error("written below a file")
	}
}
