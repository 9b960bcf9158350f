package camera

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

func TestJPEGRepair(t *testing.T) {
	src := gradient(50, 41)
	plain := encodeJPEG(t, src)
	want, err := jpeg.Decode(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	small := string(encodeJPEG(t, gradient(8, 8)))
	noTables := without(t, plain, markDHT)
	bare := without(t, noTables, markEOI)
	if _, err := jpeg.Decode(bytes.NewReader(noTables)); err == nil {
		t.Fatal("the tables were not removed")
	}
	for name, data := range map[string][]byte{
		"as it is":                         plain,
		"no Huffman tables":                noTables,
		"no end marker":                    without(t, plain, markEOI),
		"neither":                          bare,
		"half an end marker":               append(slices.Clone(bare), 0xFF),
		"zeros in place of the end marker": append(slices.Clone(plain), make([]byte, 300)...),
		"text behind the end":              append(slices.Clone(plain), "\r\n--boundary\r\n"...),
		"another picture behind the end":   append(slices.Clone(plain), small...),
		"another in place of the end":      append(slices.Clone(bare), small...),
		"garbage before the start":         append([]byte("\r\n\xff\xd8\x00\xff"), plain...),
		"fill bytes":                       insert(t, noTables, markSOF0, "\xff\xff\xff"),
		"bytes between the segments":       insert(t, noTables, markSOF0, "\x00\x01\x02"),
		"a preview that is a JPEG":         insert(t, noTables, markSOF0, "\xff\xe1"+string([]byte{byte((len(small) + 2) >> 8), byte(len(small) + 2)})+small),
		"a segment without length":         insert(t, noTables, markSOF0, "\xff\xe1\x00\x00"),
		"a JFIF header without content":    insert(t, noTables, markSOF0, "\xff\xe0\x00\x02"),
		"AVI1 of capture cards":            insert(t, noTables, markSOF0, "\xff\xe0\x00\x10AVI1"+strings.Repeat("\x00", 10)),
		"an end marker in a remark":        insert(t, noTables, markSOF0, "\xff\xfe\x00\x06\xff\xd9\xff\xd8"),
		"a restart marker at the end":      insert(t, noTables, markEOI, "\xff\xd0"),
	} {
		t.Run(name, func(t *testing.T) {
			var d decoder
			for range 2 { // the second uses memory of the first
				got, err := d.decode(&Frame{Encoding: JPEG, Data: data})
				if err != nil {
					t.Fatal(err)
				}
				same(t, got, want)
			}
		})
	}
}

// same fails if two pictures differ.
func same(t testing.TB, got, want image.Image) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Fatalf("%v, want %v", got.Bounds(), want.Bounds())
	}
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			if got.At(x, y) != want.At(x, y) {
				t.Fatalf("pixel %d, %d is %v, want %v", x, y, got.At(x, y), want.At(x, y))
			}
		}
	}
}

func TestJPEGKinds(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want color.Color
	}{
		"grey":              {flatJPEG(markSOF0, 20, 9, 200), color.Gray{Y: 200}},
		"colour":            {flatJPEG(markSOF0, 20, 9, 200, 90, 128), color.YCbCr{Y: 200, Cb: 90, Cr: 128}},
		"print":             {flatJPEG(markSOF0, 20, 9, 255, 155, 255, 235), color.CMYK{M: 100, K: 20}},
		"progressive":       {flatJPEG(markSOF2, 20, 9, 200, 90, 128), color.YCbCr{Y: 200, Cb: 90, Cr: 128}},
		"progressive grey":  {flatJPEG(markSOF2, 20, 9, 3), color.Gray{Y: 3}},
		"extended":          {flatJPEG(markSOF0+1, 20, 9, 3), color.Gray{Y: 3}},
		"one pixel":         {flatJPEG(markSOF0, 1, 1, 77), color.Gray{Y: 77}},
		"one row":           {flatJPEG(markSOF0, MaxImageSide, 1, 77), color.Gray{Y: 77}},
		"8K":                {flatJPEG(markSOF0, 7680, 4320, 77), color.Gray{Y: 77}},
		"progressive of 4K": {flatJPEG(markSOF2, 3840, 2160, 77), color.Gray{Y: 77}},
	} {
		t.Run(name, func(t *testing.T) {
			var d jpegDecoder
			img, err := d.decode(c.data)
			if err != nil {
				t.Fatal(err)
			}
			b := img.Bounds()
			for _, at := range []image.Point{{}, {b.Dx() - 1, b.Dy() - 1}} {
				if got := img.At(at.X, at.Y); got != c.want {
					t.Errorf("pixel %v is %#v, want %#v", at, got, c.want)
				}
			}
		})
	}
}

func TestJPEGRefused(t *testing.T) {
	plain := encodeJPEG(t, gradient(50, 41))
	flat := flatJPEG(markSOF2, 16, 16, 1, 2, 3)
	oneOfThree := slices.Clone(flatJPEG(markSOF0, 8, 8, 9, 9, 9))
	for _, p := range pieces(t, oneOfThree) {
		if p.marker == markSOS { // its scan brings the first colour only
			oneOfThree = slices.Concat(oneOfThree[:p.start], []byte{0xFF, markSOS, 0, 8, 1, 1, 0, 0, 63, 0, 0x2B, 0xFF, markEOI})
		}
	}
	manyScans := []byte{0xFF, markSOI}
	for _, p := range pieces(t, flat) {
		n := 1
		if p.marker == 0 || p.marker == markSOS {
			n = 0
		}
		for range n {
			if p.marker == markEOI {
				for range maxScans + 1 {
					manyScans = append(manyScans, 0xFF, markSOS, 0, 8, 1, 1, 0, 0, 0, 0, 0)
				}
			}
			manyScans = append(manyScans, flat[p.start:p.end]...)
		}
	}
	for name, c := range map[string]struct {
		data []byte
		want Reason
	}{
		"nothing":                      {nil, BadImage},
		"text":                         {[]byte("<html>no picture</html>"), BadImage},
		"start only":                   {jpegStart, ImageCut},
		"start and end":                {[]byte{0xFF, markSOI, 0xFF, markEOI}, BadImage},
		"no pixels":                    {patchSize(t, plain, 0, 0), ImageSize},
		"no rows":                      {patchSize(t, plain, 50, 0), ImageSize},
		"too wide":                     {patchSize(t, plain, MaxImageSide+1, 1), ImageSize},
		"too many pixels":              {patchSize(t, plain, 16384, 16384), ImageSize},
		"sizes beyond what data holds": {patchSize(t, plain, 7680, 4320), ImageCut},
		"progressive of 8K":            {patchSize(t, flat, 7680, 4320), ImageSize},
		"progressive beyond its data":  {patchSize(t, flat, 3840, 2160), ImageCut},
		"lossless":                     {setMarker(t, plain, markSOF0, 0xC3), BadImage},
		"arithmetic":                   {setMarker(t, plain, markSOF0, 0xC9), BadImage},
		"frame header cut":             {insert(t, plain, markSOF0, "\xff\xc0\x00\x07\x08\x00\x10\x00\x10"), BadImage},
		"two frame headers":            {insert(t, plain, markSOS, "\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00"), BadImage},
		"no scan":                      {without(t, without(t, plain, 0), markSOS), BadImage},
		"too many scans":               {manyScans, BadImage},
		"a colour without its scan":    {oneOfThree, ImageCut},
		"end marker too early":         {append(slices.Clone(plain[:len(plain)-100]), 0xFF, markEOI), ImageCut},
	} {
		t.Run(name, func(t *testing.T) {
			var d jpegDecoder
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			img, err := d.decode(c.data)
			runtime.ReadMemStats(&after)
			if e, ok := errors.AsType[*ImageError](err); !ok || e.Reason != c.want || img != nil {
				t.Errorf("got %v (picture: %v), want %s", err, img != nil, c.want)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
				t.Errorf("took %d bytes before it was refused", grown)
			}
		})
	}
}

// TestJPEGCutAnywhere: a cut picture is never taken for a whole one.
func TestJPEGCutAnywhere(t *testing.T) {
	for name, plain := range map[string][]byte{
		"baseline": encodeJPEG(t, gradient(64, 48)), "progressive": flatJPEG(markSOF2, 160, 120, 130, 90, 60),
	} {
		var d jpegDecoder
		want, err := d.decode(plain)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(plain) {
			img, err := d.decode(plain[:n])
			e, refused := errors.AsType[*ImageError](err)
			switch {
			case err == nil && n < len(plain)-4:
				t.Fatalf("%s: taken after %d of %d bytes", name, n, len(plain))
			case err == nil:
				same(t, img, want)
			case !refused || e.Reason != ImageCut && n > 3:
				t.Fatalf("%s: %d of %d bytes: %v", name, n, len(plain), err)
			}
		}
	}
}

// TestJPEGOfOthers reads pictures that other programs wrote.
func TestJPEGOfOthers(t *testing.T) {
	for name, size := range map[string]image.Point{
		"Blender_Suzanne1.jpg": {640, 480}, // progressive
		"ela_original.jpg":     {902, 770}, // progressive, with a preview and remarks
		"messi5.jpg":           {548, 342},
		"right01.jpg":          {640, 480}, // grey
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(testenv.OpenCVPicture(t, name))
			if err != nil {
				t.Fatal(err)
			}
			want, err := jpeg.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			var d jpegDecoder
			got, err := d.decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if got.Bounds().Size() != size {
				t.Errorf("%v, want %v", got.Bounds(), size)
			}
			same(t, got, want)
		})
	}
}

func TestStandardTables(t *testing.T) {
	// Numbers of codes by length, T.81 tables K.3 to K.6, by class and number.
	want := map[byte]string{
		0x00: "\x00\x01\x05\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00",
		0x01: "\x00\x03\x01\x01\x01\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00",
		0x10: "\x00\x02\x01\x03\x03\x02\x04\x03\x05\x05\x04\x04\x00\x00\x01\x7d",
		0x11: "\x00\x02\x01\x02\x04\x04\x03\x04\x07\x05\x04\x04\x00\x01\x02\x77",
	}
	for b := standardTables()[4:]; len(b) > 0; {
		if string(b[1:17]) != want[b[0]] {
			t.Errorf("table %02x has the numbers %v", b[0], b[1:17])
		}
		delete(want, b[0])
		n := 17
		for _, codes := range b[1:17] {
			n += int(codes)
		}
		b = b[n:]
	}
	if len(want) > 0 {
		t.Errorf("%d tables are missing", len(want))
	}
}

func FuzzJPEG(f *testing.F) {
	plain := encodeJPEG(f, gradient(24, 17))
	f.Add(plain, uint8(3))
	f.Add(without(f, plain, markDHT), uint8(1))
	f.Add(flatJPEG(markSOF2, 16, 16, 1, 2, 3), uint8(9))
	f.Add(flatJPEG(markSOF0, 16, 16, 1, 2, 3, 4), uint8(0))
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x00\xff\xff\xda\x00\x02\xff"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		var d jpegDecoder
		img, err := d.decode(data)
		if err == nil {
			if b := img.Bounds(); checkSize(b.Dx(), b.Dy()) != nil {
				t.Errorf("a picture of %v", b)
			}
		} else if e, ok := errors.AsType[*ImageError](err); !ok || e.Reason == "" {
			t.Errorf("not a reason for rejecting: %v", err)
		}
		// A picture that arrives in portions has the same pieces.
		var whole, grown []jpegPiece
		for w := walkFrom(0); ; {
			p, ok := w.next(data)
			if !ok {
				break
			}
			whole = append(whole, p)
		}
		w := walkFrom(0)
		for n := 0; n <= len(data); n += 1 + int(step) {
			for end := min(n, len(data)); ; {
				p, ok := w.next(data[:end])
				if !ok {
					break
				}
				grown = append(grown, p)
			}
		}
		for {
			p, ok := w.next(data)
			if !ok {
				break
			}
			grown = append(grown, p)
		}
		if !slices.Equal(whole, grown) {
			t.Errorf("whole %v, in portions %v", whole, grown)
		}
	})
}
