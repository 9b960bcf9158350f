package calibration

import (
	"bytes"
	"fmt"
	"strings"
)

// Paper is A4, landscape, millimetres.
const (
	paperWidthMM  = 297.0
	paperHeightMM = 210.0
	marginMM      = 8.0 // that printers leave
	textMM        = 14.0
)

// sheet is what is on the paper: black squares and lines of text.
type sheet struct {
	squares [][3]float64 // left, top, side, millimetres from the upper left corner
	lines   []string
	leftMM  float64 // of the text
	topMM   float64
}

// sheet lays the board out. It refuses one that is too large for the paper and
// says how large its squares may be.
func (b Board) sheet() (*sheet, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	side := 1000 * b.SquareM
	cols, rows := b.Columns+1, b.Rows+1
	w, h := float64(cols)*side, float64(rows)*side
	most := min((paperWidthMM-2*marginMM)/float64(cols), (paperHeightMM-2*marginMM-textMM)/float64(rows))
	if side > most {
		return nil, fmt.Errorf("%d x %d squares of %g mm do not fit on A4: at most %.1f mm", cols, rows, side, most)
	}
	s := &sheet{leftMM: (paperWidthMM - w) / 2, topMM: marginMM + h + 6}
	for r := range rows {
		for c := range cols {
			if (r+c)%2 == 0 {
				s.squares = append(s.squares, [3]float64{s.leftMM + float64(c)*side, marginMM + float64(r)*side, side})
			}
		}
	}
	s.lines = []string{
		fmt.Sprintf("posefuse calibrate camera --columns %d --rows %d    (%d x %d squares of %g mm)", b.Columns, b.Rows, cols, rows, side),
		fmt.Sprintf("Print at 100 %%. Measure the squares' whole width and height: they must be to each other as %g to %g mm, within half a millimetre.", w, h),
		"Glue the sheet to something flat and stiff, such as glass or a thick board. Take 15 pictures: all over the picture, near, and tilted each way.",
	}
	return s, nil
}

// SVG returns the board as a drawing to be printed on A4, landscape.
func (b Board) SVG() ([]byte, error) {
	s, err := b.sheet()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%gmm" height="%gmm" viewBox="0 0 %g %g">`+"\n", paperWidthMM, paperHeightMM, paperWidthMM, paperHeightMM)
	fmt.Fprintf(&out, `<rect width="%g" height="%g" fill="#fff"/>`+"\n", paperWidthMM, paperHeightMM)
	for _, q := range s.squares {
		fmt.Fprintf(&out, `<rect x="%.3f" y="%.3f" width="%.3f" height="%.3f"/>`+"\n", q[0], q[1], q[2], q[2])
	}
	for i, line := range s.lines {
		fmt.Fprintf(&out, `<text x="%.3f" y="%.3f" font-family="Helvetica, Arial, sans-serif" font-size="3.2">%s</text>`+"\n", s.leftMM, s.topMM+4.4*float64(i), line)
	}
	out.WriteString("</svg>\n")
	return out.Bytes(), nil
}

// PDF returns the board as a page to be printed on A4, landscape.
func (b Board) PDF() ([]byte, error) {
	s, err := b.sheet()
	if err != nil {
		return nil, err
	}
	const point = 72 / 25.4 // per millimetre
	var page bytes.Buffer
	fmt.Fprintf(&page, "%.6f 0 0 %.6f 0 0 cm\n0 g\n", point, point) // millimetres from here on, from the lower left
	for _, q := range s.squares {
		fmt.Fprintf(&page, "%.3f %.3f %.3f %.3f re\n", q[0], paperHeightMM-q[1]-q[2], q[2], q[2])
	}
	page.WriteString("f\nBT\n/F1 3.2 Tf\n4.4 TL\n")
	fmt.Fprintf(&page, "%.3f %.3f Td\n", s.leftMM, paperHeightMM-s.topMM)
	escape := strings.NewReplacer(`\`, `\\`, `(`, `\(`, `)`, `\)`)
	for _, line := range s.lines {
		fmt.Fprintf(&page, "(%s) Tj T*\n", escape.Replace(line))
	}
	page.WriteString("ET\n")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %.3f %.3f] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>", paperWidthMM*point, paperHeightMM*point),
		fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", page.Len(), page.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var out bytes.Buffer
	out.WriteString("%PDF-1.6\n")
	var at []int
	for i, o := range objects {
		at = append(at, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range at {
		fmt.Fprintf(&out, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return out.Bytes(), nil
}
