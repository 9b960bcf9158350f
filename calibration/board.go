// Package calibration finds out what a camera's lens is and where a room's
// sensors stand, from what they see: pictures of a printed checkerboard, a person
// who walks about. It reads no files and knows no drivers.
package calibration

import (
	"errors"
	"fmt"
	"image"
	"math"
)

// Board is a checkerboard: how many corners it has inside, where four squares
// meet, and how long a square's side is.
type Board struct {
	Columns int     // corners inside, to the right
	Rows    int     // downwards
	SquareM float64 // side of a square, metres
}

// Validate refuses boards that cannot be found or printed.
func (b Board) Validate() error {
	switch {
	case b.Columns < 3 || b.Rows < 3 || b.Columns > 60 || b.Rows > 60:
		return fmt.Errorf("a board of %d x %d inner corners: want 3 to 60 each way; a board of 10 x 7 squares has 9 x 6", b.Columns, b.Rows)
	case !(b.SquareM >= 0.002 && b.SquareM <= 1):
		return fmt.Errorf("squares of %v mm: want 2 to 1000", 1000*b.SquareM)
	}
	return nil
}

// Point is a corner of the board in a picture.
type Point struct {
	Column, Row int     // on the board
	X, Y        float64 // pixels; the middle of the upper left pixel is (0, 0)
}

// View is a board in one picture.
type View struct {
	Name          string // of the picture, for people
	Width, Height int    // of the picture, pixels
	Points        []Point
}

// What a picture may lack.
var (
	ErrNoBoard     = errors.New("no checkerboard is seen")
	ErrCutOff      = errors.New("the board is not whole in the picture")
	ErrOtherBoard  = errors.New("another board")
	errFewCorners  = errors.New("too few of the board's corners are seen")
	minFilledShare = 0.75 // of the corners; shade and light may hide the others
)

// Find returns the board in a picture, colour or grey. Errors wrap ErrNoBoard,
// ErrCutOff or ErrOtherBoard.
func Find(name string, img image.Image, b Board) (View, error) {
	v := View{Name: name, Width: img.Bounds().Dx(), Height: img.Bounds().Dy()}
	full := grayOf(img)
	var best map[cell]int
	var from []corner
	scale, bestScale := 1.0, 1.0
	for g := full; min(g.w, g.h) >= 100; g, scale = g.half(), 2*scale {
		if g.w > 2400 {
			continue // squares of this many pixels show in a smaller picture as well
		}
		all := g.corners()
		if at := largest(all, b); len(at) > len(best) {
			best, from, bestScale = at, all, scale
		}
		if len(best) >= b.Columns*b.Rows {
			break
		}
	}
	if len(best) < 9 {
		return v, ErrNoBoard
	}
	lo, hi := extent(best)
	cols, rows := hi.col-lo.col+1, hi.row-lo.row+1
	if 3*cols*rows < b.Columns*b.Rows {
		return v, ErrNoBoard // a tiled floor, a shirt
	}
	turned := cols == b.Rows && rows == b.Columns && cols != rows
	switch {
	case !turned && (cols != b.Columns || rows != b.Rows):
		why := ErrOtherBoard
		if max(cols, rows) <= max(b.Columns, b.Rows) && min(cols, rows) <= min(b.Columns, b.Rows) {
			why = ErrCutOff
		}
		return v, fmt.Errorf("%w: %d x %d inner corners are seen, %d x %d wanted", why, cols, rows, b.Columns, b.Rows)
	}
	v.Points = locate(full.blurred(0.8), best, from, lo, hi, bestScale)
	if turned {
		for i, p := range v.Points { // a quarter turn, not a mirror
			v.Points[i].Column, v.Points[i].Row = p.Row, cols-1-p.Column
		}
	}
	if n := len(v.Points); float64(n) < minFilledShare*float64(b.Columns*b.Rows) {
		return v, fmt.Errorf("%w: %w, %d of %d", ErrNoBoard, errFewCorners, n, b.Columns*b.Rows)
	}
	return v, nil
}

// largest returns the largest board that grows from one of the corners.
func largest(all []corner, b Board) map[cell]int {
	const most = 2000 // the strongest; a page of text has more
	g := newGrower(all[:min(len(all), most)])
	var best map[cell]int
	seen := map[int]bool{}
	for seed, tries := 0, 0; seed < len(g.all) && tries < 60; seed++ {
		if seen[seed] {
			continue // of a board that did not grow to more
		}
		tries++
		at := g.grow(seed)
		for _, i := range at {
			seen[i] = true
		}
		if len(at) > len(best) {
			best = at
		}
		if len(best) >= b.Columns*b.Rows {
			break
		}
	}
	return best
}

// locate finds the corners to a fraction of a pixel in the whole picture.
func locate(full *gray, at map[cell]int, from []corner, lo, hi cell, scale float64) (out []Point) {
	place := func(c cell) (x, y float64, ok bool) {
		i, ok := at[c]
		if !ok {
			return 0, 0, false
		}
		return from[i].x*scale + (scale-1)/2, from[i].y*scale + (scale-1)/2, true
	}
	for row := lo.row; row <= hi.row; row++ {
		for col := lo.col; col <= hi.col; col++ {
			x, y, ok := place(cell{col, row})
			if !ok {
				continue
			}
			// A window that holds no other corner.
			least := math.Inf(1)
			for _, s := range steps {
				if nx, ny, ok := place(cell{col + s.col, row + s.row}); ok {
					least = min(least, math.Hypot(nx-x, ny-y))
				}
			}
			c := corner{x: x, y: y}
			if full.refine(&c, min(max(0.4*least, 2.5), 11)) && math.Hypot(c.x-x, c.y-y) < 0.25*least {
				out = append(out, Point{Column: col - lo.col, Row: row - lo.row, X: c.x, Y: c.y})
			}
		}
	}
	return out
}
