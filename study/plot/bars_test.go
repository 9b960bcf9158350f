package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"testing"
)

func TestBars(t *testing.T) {
	b := Bars{Title: "rooms", Caption: "simulated", XLabel: "MPJPE, mm", Names: []string{"base", "far <1 m>", "dark"}}
	b.Series = []BarSeries{{Name: "raw", Values: []float64{61, 629, math.NaN()}}}
	count := func() (shapes int, drawn []byte) {
		t.Helper()
		drawn, err := b.SVG()
		if err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(bytes.NewReader(drawn))
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				return shapes, drawn
			}
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := tok.(xml.StartElement); ok && e.Name.Local != "text" {
				shapes++
			}
		}
	}
	one, drawn := count()
	for _, want := range []string{"rooms", "far &lt;1 m&gt;", "dark", ">629<", ">61<", "MPJPE, mm", "simulated"} {
		if !bytes.Contains(drawn, []byte(want)) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if bytes.Contains(drawn, []byte("NaN")) {
		t.Error("a value that is no number is drawn")
	}
	low := b.height()
	b.Series = append(b.Series, BarSeries{Name: "room", Values: []float64{62, 65, 70}})
	// Three bars, a level, two fields of the legend.
	if two, _ := count(); two != one+6 {
		t.Errorf("%d shapes with a second series, %d before", two, one)
	}
	if b.height() <= low {
		t.Error("a second series needs no room")
	}
	pixels, err := b.PNG()
	if err != nil {
		t.Fatal(err)
	}
	if img, err := png.Decode(bytes.NewReader(pixels)); err != nil || img.Bounds().Dx() != 2*chartWidth {
		t.Errorf("image: %v", err)
	}
	b.Series[1].Values = b.Series[1].Values[:2]
	if _, err := b.SVG(); err == nil {
		t.Error("a series without a value for each name is drawn")
	}
	empty := Bars{Names: []string{"a"}, Series: []BarSeries{{Values: []float64{math.Inf(1)}}}}
	if _, err := empty.PNG(); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing to draw: %v", err)
	}
}
