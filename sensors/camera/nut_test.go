package camera

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// tinyNUT is four pictures of 5 x 3 pixels, as ffmpeg 5.1 writes them.
func tinyNUT(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/tiny.nut")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const tinyBytes = 5*3 + 2*3*2

// readNUT returns all pictures with their times, and why there are no more.
func readNUT(b []byte) (pictures [][]byte, at []time.Duration, err error) {
	r, err := newNUTReader(bufio.NewReader(bytes.NewReader(b)))
	for err == nil {
		var p []byte
		var d time.Duration
		if p, d, err = r.picture(nil); err == nil {
			pictures, at = append(pictures, p), append(at, d)
		}
	}
	return pictures, at, err
}

func TestNUT(t *testing.T) {
	b := tinyNUT(t)
	pictures, at, err := readNUT(b)
	if !errors.Is(err, io.EOF) || len(pictures) != 4 {
		t.Fatalf("%d pictures: %v", len(pictures), err)
	}
	for i, p := range pictures {
		if want := time.Duration(i) * 100 * time.Millisecond; at[i] != want {
			t.Errorf("picture %d at %s, want %s", i, at[i], want)
		}
		if len(p) != tinyBytes || !bytes.Contains(b, p) {
			t.Errorf("picture %d has %d bytes", i, len(p))
		}
	}
}

// nutFile is a file with frames of any bytes, with our own headers.
func nutFile(width, height byte, change func(main, stream []byte) ([]byte, []byte), frames ...[]byte) []byte {
	header := func(code string, body []byte) []byte {
		body = append(slices.Clone(body), 0, 0, 0, 0) // a checksum, which nobody looks at
		return slices.Concat([]byte(code), []byte{byte(len(body))}, body)
	}
	// One time base of 1/10 s. Byte 0: key frame with coded time and length; all
	// others are impossible.
	main := []byte{
		3, 1, 1, 1, 1, 10,
		1<<5 | 1<<3, 6, 0, 1, 0, 0, 0, 1,
		0xc0, 0, 6, 0, 1, 0, 0, 0, 0x82, 0x00, // 8192: impossible, 256 of them
		1, 2, 0xaa, 0xbb, // a part that frames need not repeat
	}
	stream := []byte{0, 0, 4, 'I', '4', '2', '0', 0, 4, 0, 0, 0, 0, width, height, 0, 0, 0}
	if change != nil {
		main, stream = change(main, stream)
	}
	file := slices.Concat([]byte(nutMagic), header("NMzV\x1f_\x04\xad", main), header("NS\x11@[\xf2\xf9\xdb", stream))
	return slices.Concat(append([][]byte{file}, frames...)...)
}

func TestNUTHeadersThatCannotBe(t *testing.T) {
	picture := append([]byte{0, 1, 6}, "abcdef"...)
	if p, _, err := readNUT(nutFile(2, 2, nil, picture, picture)); len(p) != 2 || !errors.Is(err, io.EOF) || string(p[0]) != "abcdef" {
		t.Fatalf("the file that is to be spoiled is none: %q, %v", p, err)
	}
	set := func(of string, i int, v ...byte) func(main, stream []byte) ([]byte, []byte) {
		return func(main, stream []byte) ([]byte, []byte) {
			if of == "main" {
				return slices.Replace(main, i, i+1, v...), stream
			}
			return main, slices.Replace(stream, i, i+1, v...)
		}
	}
	sync := func(v ...byte) []byte {
		return slices.Concat([]byte("NK\xe4\xad\xee\xca\x45\x69"), []byte{byte(len(v) + 5)}, v, []byte{0, 0, 0, 0, 0})
	}
	endless := bytes.Repeat([]byte{0xff}, 20)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"nothing":           {nil, "EOF"},
		"another file":      {bytes.Repeat([]byte("RIFF"), 20), "begin with another mark"},
		"version":           {nutFile(2, 2, set("main", 0, 9)), "version 9"},
		"two streams":       {nutFile(2, 2, set("main", 1, 2)), "2 streams"},
		"no time base":      {nutFile(2, 2, set("main", 3, 0)), "0 time bases"},
		"no time":           {nutFile(2, 2, set("main", 5, 0)), "time base of 1/0"},
		"empty table":       {nutFile(2, 2, set("main", 13, 0)), "table of frames"},
		"sound":             {nutFile(2, 2, set("stream", 1, 1)), "class 1"},
		"other pixels":      {nutFile(2, 2, set("stream", 3, 'Y')), `pictures as "Y420"`},
		"no such time base": {nutFile(2, 2, set("stream", 7, 3)), "time base 3 of 1"},
		"long times":        {nutFile(2, 2, set("stream", 8, 40)), "times of 40 bits"},
		"no size":           {nutFile(0, 2, nil), "image_size"},
		"huge":              {nutFile(2, 2, set("stream", 13, 0x84, 0x80, 0x80, 0)), "pictures of 8388608 x 2"},
		"endless number":    {nutFile(2, 2, nil, append([]byte{0}, endless...)), "a number without an end"},
		"cut header":        {nutFile(2, 2, func(main, stream []byte) ([]byte, []byte) { return main, stream[:9] }), "pictures of 0 x 0"},
		"long header":       {[]byte(nutMagic + "NMzV\x1f_\x04\xad\xff\xff\xff\xff\x7f"), "a header of"},
		"impossible frame":  {nutFile(2, 2, nil, []byte{7}), "an impossible frame"},
		"before its header": {append([]byte(nutMagic), picture...), "a picture before its header"},
		"another size":      {nutFile(2, 2, nil, picture, []byte{0, 2, 5}), errPictureSize.Error()},
		"cut picture":       {nutFile(2, 2, nil, picture[:5]), "unexpected EOF"},
		"early syncpoint":   {append([]byte(nutMagic), sync(1)...), "a syncpoint before"},
		"far syncpoint":     {nutFile(2, 2, nil, sync(0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), picture), "EOF"},
	} {
		_, _, err := readNUT(c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestNUTTimes: times are sent as their low bits, or whole; syncpoints start
// their count anew.
func TestNUTTimes(t *testing.T) {
	frame := func(pts byte) []byte { return append([]byte{0, pts, 6}, "abcdef"...) }
	sync := []byte("NK\xe4\xad\xee\xca\x45\x69\x06\x64\x00\x00\x00\x00\x00") // at 100
	_, at, err := readNUT(nutFile(2, 2, nil, frame(1), frame(9), frame(1), frame(16+50), sync, frame(5)))
	want := []time.Duration{100, 900, 1700, 5000, 10100}
	for i := range want {
		want[i] *= time.Millisecond
	}
	if !errors.Is(err, io.EOF) || !slices.Equal(at, want) {
		t.Errorf("%v, want %v (%v)", at, want, err)
	}
}

func FuzzNUT(f *testing.F) {
	f.Add(tinyNUT(f))
	f.Add(nutFile(2, 2, nil, append([]byte{0, 1, 6}, "abcdef"...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		pictures, _, err := readNUT(b)
		if err == nil {
			t.Fatal("it has no end")
		}
		total := 0
		for _, p := range pictures {
			total += len(p)
		}
		// What is left out in frames is at most one repeated part each.
		if total > (1+nutMaxElision)*len(b) {
			t.Fatalf("%d bytes of pictures from %d", total, len(b))
		}
	})
}
