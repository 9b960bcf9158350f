package calibration

import (
	"bytes"
	"fmt"
	"image"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestPrintedBoardIsTheBoard: the squares of the drawing, painted, are found as
// the board that was asked for.
func TestPrintedBoardIsTheBoard(t *testing.T) {
	for _, b := range []Board{a4Board, {Columns: 7, Rows: 5, SquareM: 0.03}, {Columns: 4, Rows: 3, SquareM: 0.012}} {
		svg, err := b.SVG()
		if err != nil {
			t.Fatal(err)
		}
		const scale = 3.0 // pixels per millimetre
		img := image.NewGray(image.Rect(0, 0, int(scale*paperWidthMM), int(scale*paperHeightMM)))
		for i := range img.Pix {
			img.Pix[i] = 255
		}
		squares := regexp.MustCompile(`<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/>`).FindAllSubmatch(svg, -1)
		for _, m := range squares {
			var v [4]float64
			for i := range v {
				v[i], _ = strconv.ParseFloat(string(m[i+1]), 64)
			}
			for y := int(scale * v[1]); y < int(scale*(v[1]+v[3])); y++ {
				for x := int(scale * v[0]); x < int(scale*(v[0]+v[2])); x++ {
					img.Pix[img.PixOffset(x, y)] = 0
				}
			}
		}
		v, err := Find("sheet", img, b)
		if err != nil || len(v.Points) != b.Columns*b.Rows {
			t.Errorf("%+v: %d corners, %v", b, len(v.Points), err)
		}
		pdf, err := b.PDF()
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(pdf, []byte(" re\n")); n != len(squares) {
			t.Errorf("%+v: %d squares in the PDF, %d in the SVG", b, n, len(squares))
		}
		checkPDF(t, pdf)
	}
	if _, err := (Board{Columns: 9, Rows: 6, SquareM: 0.04}).PDF(); err == nil || !strings.Contains(err.Error(), "at most 25.7 mm") {
		t.Errorf("a board larger than the paper: %v", err)
	}
	if _, err := (Board{Columns: 9, Rows: 6}).SVG(); err == nil {
		t.Error("squares of nothing")
	}
}

// checkPDF follows the file's table to its objects and the stream's length to its
// end.
func checkPDF(t *testing.T, pdf []byte) {
	t.Helper()
	start := regexp.MustCompile(`startxref\n(\d+)\n%%EOF\n$`).FindSubmatch(pdf)
	if start == nil {
		t.Fatal("no startxref at the end")
	}
	at, _ := strconv.Atoi(string(start[1]))
	if !bytes.HasPrefix(pdf[at:], []byte("xref\n")) {
		t.Fatalf("no table at %d", at)
	}
	for i, m := range regexp.MustCompile(`(\d{10}) 00000 n \n`).FindAllSubmatch(pdf[at:], -1) {
		o, _ := strconv.Atoi(string(m[1]))
		if !bytes.HasPrefix(pdf[o:], fmt.Appendf(nil, "%d 0 obj\n", i+1)) {
			t.Errorf("object %d is not at %d", i+1, o)
		}
	}
	m := regexp.MustCompile(`/Length (\d+) >>\nstream\n`).FindSubmatchIndex(pdf)
	n, _ := strconv.Atoi(string(pdf[m[2]:m[3]]))
	if !bytes.HasPrefix(pdf[m[1]+n:], []byte("endstream")) {
		t.Error("the stream has another length")
	}
}
