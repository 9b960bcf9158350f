package main

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"

	"posefuse/sensors"
	"posefuse/sensors/camera"
)

// cocoBones are the pairs of keypoints that a figure joins.
var cocoBones = [...][2]int{{5, 7}, {7, 9}, {6, 8}, {8, 10}, {5, 6}, {5, 11}, {6, 12}, {11, 12}, {11, 13}, {13, 15}, {12, 14}, {14, 16},
	{0, 1}, {0, 2}, {1, 3}, {2, 4}}

// Colours of a figure, as on the page.
var (
	figureLeft   = color.NRGBA{0x38, 0xd6, 0xb4, 0xff}
	figureRight  = color.NRGBA{0x6f, 0xb7, 0xff, 0xff}
	figureMiddle = color.NRGBA{0xe6, 0xed, 0xf5, 0xff}
)

// writeFigure writes the picture as PNG, with the figure over it if somebody is
// there.
func writeFigure(path string, img image.Image, d *camera.Detection) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err // names the file
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	c := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(c, c.Rect, img, img.Bounds().Min, draw.Src)
	if d.Person {
		drawFigure(c, &d.Keypoints)
	}
	if err = png.Encode(f, c); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// drawFigure draws bones and joints, fainter the lower their score.
func drawFigure(c *image.RGBA, k *sensors.Keypoints) {
	radius := figureRadius(c.Rect, k)
	for _, b := range cocoBones {
		from, to := k.XY[b[0]], k.XY[b[1]]
		shade := boneColour(b[0], b[1])
		score := min(k.Score[b[0]], k.Score[b[1]])
		stamp(c, from, to, radius*0.6, shade, score)
	}
	for i, p := range k.XY {
		stamp(c, p, p, radius, jointColour(i), k.Score[i])
	}
}

// figureRadius is that of a joint: a person far away gets a thin figure.
func figureRadius(picture image.Rectangle, k *sensors.Keypoints) float64 {
	lo, hi := k.XY[0], k.XY[0]
	for i, p := range k.XY {
		if k.Score[i] >= 0.2 {
			lo = [2]float64{min(lo[0], p[0]), min(lo[1], p[1])}
			hi = [2]float64{max(hi[0], p[0]), max(hi[1], p[1])}
		}
	}
	size := max(hi[0]-lo[0], hi[1]-lo[1])
	return max(min(size/50, float64(max(picture.Dx(), picture.Dy()))/160), 1.2)
}

func jointColour(i int) color.NRGBA {
	switch {
	case i == 0:
		return figureMiddle
	case i%2 == 1:
		return figureLeft
	}
	return figureRight
}

func boneColour(a, b int) color.NRGBA {
	if left, right := jointColour(a), jointColour(b); a != 0 && left != right {
		return figureMiddle
	}
	return jointColour(b)
}

// stamp paints the pixels within radius of the line from a to b.
func stamp(c *image.RGBA, a, b [2]float64, radius float64, shade color.NRGBA, score float64) {
	box := image.Rect(int(math.Floor(min(a[0], b[0])-radius)), int(math.Floor(min(a[1], b[1])-radius)),
		int(math.Ceil(max(a[0], b[0])+radius))+1, int(math.Ceil(max(a[1], b[1])+radius))+1).Intersect(c.Rect)
	along := [2]float64{b[0] - a[0], b[1] - a[1]}
	length2 := along[0]*along[0] + along[1]*along[1]
	shade.A = uint8(255 * (0.2 + 0.8*min(max(score, 0), 1)))
	paint := image.NewUniform(shade)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			// The pixel's place along the line, and its distance from there.
			px, py := float64(x)+0.5-a[0], float64(y)+0.5-a[1]
			at := 0.0
			if length2 > 0 {
				at = min(max((px*along[0]+py*along[1])/length2, 0), 1)
			}
			if math.Hypot(px-at*along[0], py-at*along[1]) <= radius {
				draw.Draw(c, image.Rect(x, y, x+1, y+1), paint, image.Point{}, draw.Over)
			}
		}
	}
}
