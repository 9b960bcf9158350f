package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/font/sfnt"
	"pgregory.net/rapid"
)

func TestAxisHoldsItsValuesBetweenRoundEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(-1e5, 1e5).Draw(t, "low")
		high := low + rapid.Float64Range(0, 1e5).Draw(t, "width")
		logarithmic := rapid.Bool().Draw(t, "log")
		a := newAxis(low, high, 0, 100, 7, logarithmic)
		slack := 1e-6 * (a.high - a.low)
		if a.low > low+slack || a.high < high-slack {
			t.Fatalf("axis %g..%g does not hold %g..%g", a.low, a.high, low, high)
		}
		if len(a.ticks) < 2 || len(a.ticks) > 60 {
			t.Fatalf("%d ticks", len(a.ticks))
		}
		for i := 1; i < len(a.ticks); i++ {
			if !(a.ticks[i] > a.ticks[i-1]) || a.label(a.ticks[i]) == a.label(a.ticks[i-1]) {
				t.Fatalf("ticks %v do not rise or look alike", a.ticks)
			}
		}
	})
}

func TestAxisTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		log       bool
		want      string
	}{
		{0, 10, false, "0 2 4 6 8 10"},
		{49.2, 53.9, false, "49 50 51 52 53 54"},
		{-0.1, 0.25, false, "-0.10 -0.05 0.00 0.05 0.10 0.15 0.20 0.25"},
		{3, 3, false, "2.4 2.6 2.8 3.0 3.2 3.4 3.6"},
		{40, 900, true, "20 50 100 200 500 1000"},
		{0.001, 10, true, "0.001 0.01 0.1 1 10"},
	} {
		a := newAxis(c.low, c.high, 0, 1, 7, c.log)
		var got []string
		for _, v := range a.ticks {
			got = append(got, a.label(v))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%g..%g: %s, want %s", c.low, c.high, s, c.want)
		}
	}
}

func TestDashesCoverTheirShareOfTheLine(t *testing.T) {
	line := []point{{0, 0}, {30, 0}, {30, 70}}
	total := 0.0
	for _, part := range dashed(line, []float64{6, 4}) {
		for i := 1; i < len(part); i++ {
			total += math.Hypot(part[i].x-part[i-1].x, part[i].y-part[i-1].y)
		}
	}
	if math.Abs(total-60) > 1e-9 {
		t.Errorf("dashes of 6 in 10 cover %g of 100", total)
	}
}

func chart() *Chart {
	return &Chart{Title: "a < b & c", Caption: "simulated sensors", XLabel: "epoch", YLabel: "MPJPE, mm",
		Series: []Series{
			{Name: "one", X: []float64{1, 2, 3, 4}, Y: []float64{5, math.NaN(), 4, 3}, Low: []float64{4, 4, 3, 2}, High: []float64{6, 6, 5, 4}},
			{Name: "two", X: []float64{1, 2, 3, 4}, Y: []float64{6, 5, math.Inf(1), 4}, Dashed: true},
		},
		Marks: []Mark{{Name: "mean pose", Value: 7, Along: true}, {Name: "K", Value: 2}}}
}

func TestSVGIsWellFormedAndHoldsItsTexts(t *testing.T) {
	b, err := chart().SVG()
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		tok, readErr := d.Token()
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			t.Fatalf("%v in\n%s", readErr, b)
		}
		if c, ok := tok.(xml.CharData); ok {
			texts = append(texts, string(c))
		}
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{"a < b & c", "simulated sensors", "epoch", "MPJPE, mm", "one", "two", "mean pose"} {
		if !strings.Contains(all, want) {
			t.Errorf("no text %q", want)
		}
	}
	if strings.Contains(string(b), "NaN") || strings.Contains(string(b), "Inf") {
		t.Error("the drawing holds a number that is not finite")
	}
	again, err := chart().SVG()
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("the same chart gave other bytes (%v)", err)
	}
}

func TestPNGHasInkInEverySeriesColour(t *testing.T) {
	b, err := chart().PNG()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[colour]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, bl, _ := img.At(x, y).RGBA()
			seen[colour{uint8(r >> 8), uint8(g >> 8), uint8(bl >> 8)}]++
		}
	}
	for i := range 2 {
		if seen[palette[i]] < 200 {
			t.Errorf("colour %v: %d pixels", palette[i], seen[palette[i]])
		}
	}
	if seen[ink] < 200 {
		t.Errorf("text and axes: %d pixels", seen[ink])
	}
}

func TestEmptyAndRaggedChartsAreRefused(t *testing.T) {
	for name, c := range map[string]*Chart{
		"no series":      {},
		"nothing finite": {Series: []Series{{X: []float64{1}, Y: []float64{math.NaN()}}}},
		"log of zero":    {LogY: true, Series: []Series{{X: []float64{1}, Y: []float64{0}}}},
	} {
		if _, err := c.SVG(); !errors.Is(err, ErrEmpty) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ragged := &Chart{Series: []Series{{Name: "s", X: []float64{1, 2}, Y: []float64{1}}}}
	if _, err := ragged.PNG(); err == nil || errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), `"s"`) {
		t.Errorf("ragged: %v", err)
	}
}

func TestReadCurve(t *testing.T) {
	const lines = `{"epoch":1,"train_mpjpe_mm":900,"lr":0.001,"shapley":{"R":10,"W":-1}}
{"epoch":2,"train_mpjpe_mm":500,"lr":0.001}
{"epoch":2,"train_mpjpe_mm":400,"val_mpjpe_mm":450,"lr":0.001}
{"epoch":3,"train_mp`
	got, err := ReadCurve(strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1].TrainMPJPEMM != 400 || got[1].ValMPJPEMM == nil || *got[1].ValMPJPEMM != 450 || got[0].Shapley["W"] != -1 {
		t.Errorf("read %+v", got)
	}
	_, err = ReadCurve(strings.NewReader("{\"epoch\":1}\nnonsense\n"))
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("broken line: %v", err)
	}
}

func TestEveryFixedTextHasItsGlyphs(t *testing.T) {
	f, err := typeface()
	if err != nil {
		t.Fatal(err)
	}
	e := Epoch{Epoch: 1, TrainMPJPEMM: 1, Shapley: map[string]float64{"R": 1}, Method: map[string]float64{"ratio W": 1}}
	curve := []Epoch{e, e}
	texts := []string{"φαβΔθ·×±–≤≥−%", modalityNames["R"] + modalityNames["L"] + modalityNames["M"] + modalityNames["W"]}
	for _, c := range trainingCharts(curve) {
		texts = append(texts, c.Title, c.XLabel, c.YLabel)
	}
	for _, text := range texts {
		for _, r := range text {
			if i, err := f.GlyphIndex(new(sfnt.Buffer), r); err != nil || i == 0 {
				t.Errorf("%q: the font has no %q", text, r)
			}
		}
	}
}

func FuzzReadCurve(f *testing.F) {
	f.Add([]byte("{\"epoch\":1,\"train_mpjpe_mm\":900}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		curve, err := ReadCurve(bytes.NewReader(b))
		for i := 1; err == nil && i < len(curve); i++ {
			if curve[i].Epoch <= curve[i-1].Epoch {
				t.Fatalf("epochs %d, %d", curve[i-1].Epoch, curve[i].Epoch)
			}
		}
	})
}

func TestTrainingWritesWhatTheCurveHas(t *testing.T) {
	dir := t.TempDir()
	val := 80.0
	curve := []Epoch{{Epoch: 1, TrainMPJPEMM: 100, ValMPJPEMM: &val, LR: 1e-3, Shapley: map[string]float64{"R": 3, "M": 1}}, {Epoch: 2, TrainMPJPEMM: 70, LR: 1e-4}}
	names, err := Training(dir, curve, "simulated sensors")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, " "); got != "mpjpe shapley" {
		t.Errorf("plots %q: the curve has no AWC ratio", got)
	}
	for _, n := range names {
		for _, ext := range []string{".svg", ".png"} {
			if info, err := os.Stat(filepath.Join(dir, n+ext)); err != nil || info.Size() < 500 {
				t.Errorf("%s%s: %v", n, ext, err)
			}
		}
	}
	if _, err := Training(dir, nil, ""); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty curve: %v", err)
	}
}

func TestPosesDrawBothInBothViews(t *testing.T) {
	truth := [][3]float64{{0, 0, 3}, {0, -0.6, 3}, {0.4, -0.6, 3.1}}
	p := Poses{Title: "poses", Caption: "simulated", Bones: [][2]int{{0, 1}, {1, 2}}, Figures: []Figure{{Name: "S01/A12 frame 3: 5 mm", Pose: truth, Truth: truth}}}
	b, err := p.SVG()
	if err != nil {
		t.Fatal(err)
	}
	// Two views of a pose and its truth: two bones and three joints each.
	if got := bytes.Count(b, []byte("<path")); got != 2*2*(2+3) {
		t.Errorf("%d shapes", got)
	}
	for _, want := range []string{"poses", "S01/A12 frame 3: 5 mm", palette[1].String(), palette[2].String()} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if b, err = p.PNG(); err != nil {
		t.Fatal(err)
	}
	if img, pngErr := png.Decode(bytes.NewReader(b)); pngErr != nil || img.Bounds().Dx() != 2*figureWidth {
		t.Errorf("image: %v", pngErr)
	}
	for name, bad := range map[string]Poses{
		"no figure":       {},
		"a missing joint": {Bones: [][2]int{{0, 3}}, Figures: p.Figures},
		"no number":       {Figures: []Figure{{Pose: [][3]float64{{math.NaN()}}, Truth: truth}}},
	} {
		if _, err := bad.SVG(); err == nil {
			t.Errorf("%s is drawn", name)
		}
	}
}
