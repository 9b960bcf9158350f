package plot

import (
	"bytes"
	"fmt"
	"strings"
)

// svg is a canvas that writes Scalable Vector Graphics. Text stays text, so
// that a report can be searched.
type svg struct{ b bytes.Buffer }

func newSVG(width, height float64, title string) *svg {
	s := &svg{}
	fmt.Fprintf(&s.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" font-family="Go, Helvetica, Arial, sans-serif" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&s.b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", escape(title))
	return s
}

func (s *svg) bytes() []byte {
	s.b.WriteString("</svg>\n")
	return s.b.Bytes()
}

func (s *svg) path(points []point) {
	for i, p := range points {
		verb := " L"
		if i == 0 {
			verb = "M"
		}
		fmt.Fprintf(&s.b, "%s%.2f %.2f", verb, p.x, p.y)
	}
}

func (s *svg) fill(outline []point, c colour, opacity float64) {
	s.b.WriteString(`<path d="`)
	s.path(outline)
	fmt.Fprintf(&s.b, ` Z" fill="%s"`, c)
	if opacity < 1 {
		fmt.Fprintf(&s.b, ` fill-opacity="%g"`, opacity)
	}
	s.b.WriteString("/>\n")
}

func (s *svg) stroke(line []point, width float64, c colour, dash []float64) {
	s.b.WriteString(`<path d="`)
	s.path(line)
	fmt.Fprintf(&s.b, `" fill="none" stroke="%s" stroke-width="%g" stroke-linejoin="round" stroke-linecap="round"`, c, width)
	if len(dash) > 0 {
		s.b.WriteString(` stroke-dasharray="`)
		for i, d := range dash {
			if i > 0 {
				s.b.WriteByte(' ')
			}
			fmt.Fprintf(&s.b, "%g", d)
		}
		s.b.WriteByte('"')
	}
	s.b.WriteString("/>\n")
}

func (s *svg) text(p point, text string, size float64, a anchor, upward bool, c colour) {
	fmt.Fprintf(&s.b, `<text x="%.2f" y="%.2f" font-size="%g" fill="%s" text-anchor="%s"`, p.x, p.y, size, c, [...]string{"start", "middle", "end"}[a])
	if upward {
		fmt.Fprintf(&s.b, ` transform="rotate(-90 %.2f %.2f)"`, p.x, p.y)
	}
	fmt.Fprintf(&s.b, ">%s</text>\n", escape(text))
}

// escape makes text safe inside an element; what XML cannot hold at all is
// left out.
func escape(text string) string {
	text = strings.Map(func(r rune) rune {
		if (r < 0x20 && r != '\t') || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
