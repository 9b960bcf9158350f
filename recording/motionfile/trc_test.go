package motionfile

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const trcOfThree = "PathFileType\t4\t(X/Y/Z)\twalk.trc\n" +
	"DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n" +
	"100.00\t100.00\t3\t2\tmm\t100.00\t1\t3\n" +
	"Frame#\tTime\tS01:RKNE\t\t\tL Knee\t\t\n" +
	"\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n" +
	"\n" +
	"1\t0.000\t1000.5\t-20\t3e2\t10\t20\t30\n" +
	"2\t0.010\t\t\t\t10\t20\t30\n" +
	"3\t0.020\tNaN\tNaN\tNaN\t0.000\t0.000\t0.000\n"

// TestReadTRC: the variants that programs write are read alike.
func TestReadTRC(t *testing.T) {
	for name, text := range map[string]string{
		"as OpenSim":          trcOfThree,
		"CR LF":               strings.ReplaceAll(trcOfThree, "\n", "\r\n"),
		"CR":                  strings.ReplaceAll(trcOfThree, "\n", "\r"),
		"byte order mark":     "\ufeff" + trcOfThree,
		"no blank line":       strings.Replace(trcOfThree, "\n\n", "\n", 1),
		"no end of line":      strings.TrimSuffix(trcOfThree, "\n"),
		"decimal comma":       strings.ReplaceAll(strings.ReplaceAll(trcOfThree, "0.0", "0,0"), "1000.5", "1000,5"),
		"trailing tabs":       strings.ReplaceAll(trcOfThree, "\t10\t20\t30\n", "\t10\t20\t30\t\t\n"),
		"centimetres":         strings.NewReplacer("\tmm\t", "\tcm\t", "1000.5", "100.05", "-20", "-2", "3e2", "30", "\t10\t20\t30", "\t1\t2\t3").Replace(trcOfThree),
		"metres":              strings.NewReplacer("\tmm\t", "\tm\t", "1000.5", "1.0005", "-20", "-.02", "3e2", ".3", "\t10\t20\t30", "\t.01\t.02\t.03").Replace(trcOfThree),
		"header without tail": strings.NewReplacer("\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames", "", "\t100.00\t1\t3\n", "\n").Replace(trcOfThree),
	} {
		m, err := ReadTRC(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := &Motion{RateHz: 100, Names: []string{"S01:RKNE", "L Knee"}, Points: [][]Point{
			{{1.0005, -0.02, 0.3}, {0.01, 0.02, 0.03}}, {missing(), {0.01, 0.02, 0.03}}, {missing(), missing()},
		}}
		same(t, m, want, 1e-12)
		if m.TimesS[2] != 0.02 || m.Gaps[0] != 2 || m.Gaps[1] != 1 || m.Marker("rkne") != 0 {
			t.Errorf("%s: times %v, gaps %v, marker %d", name, m.TimesS, m.Gaps, m.Marker("rkne"))
		}
	}
}

// TestReadTRCBad: what is wrong is named with its line.
func TestReadTRCBad(t *testing.T) {
	replace := func(old, with string) string { return strings.Replace(trcOfThree, old, with, 1) }
	for _, c := range []struct{ text, want string }{
		{"", "no TRC file"},
		{"a,b,c\n", "line 1: this is no TRC file"},
		{replace("\tmm\t", "\tinch\t"), `line 3: Units: unit "inch"`},
		{replace("100.00", "fast"), `DataRate is "fast"`},
		{replace("100.00", "-1"), `DataRate is "-1"`},
		{replace("3\t2\tmm", "30\t2\tmm"), "NumFrames says 30 frames, the file has 3: it is cut short"},
		{replace("3\t2\tmm", "3\t7\tmm"), "NumMarkers says 7, there are 2 names"},
		{replace("1000.5", "x1"), `line 7: marker S01:RKNE: "x1" is no number`},
		{replace("2\t0.010\t\t", "2\t0.010\t5\t"), "line 8: marker S01:RKNE: some of x, y, z are empty"},
		{replace("0.010", "0.000"), "frame 2: time 0 s does not come after"},
		{replace("\t30\n", "\t30\t40\n"), "line 7: 7 values for 2 markers"},
		{replace("0.000\t1000.5", "soon\t1000.5"), `line 7: time "soon"`},
		{trcOfThree[:strings.Index(trcOfThree, "Frame#")], "Frame#, Time and the markers' names are missing"},
		{trcOfThree[:strings.Index(trcOfThree, "1\t0.000")], "cut short"},
		{replace("1\t0.000", strings.Repeat("1", maxLine+1)+"\t0.000"), "line 7: bufio.Scanner: token too long"},
	} {
		if _, err := ReadTRC(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// TestTRCRoundTrip: what is written is read back within the last digit.
func TestTRCRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMotion(t, false)
		var b bytes.Buffer
		if err := WriteTRC(&b, "a\tb\n.trc", m); err != nil {
			t.Fatal(err)
		}
		got, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, m, 0.6e-6)
	})
}

// TestWriteTRCWithAGap: OpenSim stops at one, so none is written.
func TestWriteTRCWithAGap(t *testing.T) {
	m := &Motion{RateHz: 10, Names: []string{"Hip"}, Points: [][]Point{{{1, 2, 3}}, {missing()}}}
	if err := WriteTRC(new(bytes.Buffer), "x", m); err == nil || !strings.Contains(err.Error(), "frame 2: marker Hip is missing") {
		t.Errorf("error %v", err)
	}
}

func FuzzReadTRC(f *testing.F) {
	f.Add([]byte(trcOfThree))
	f.Add([]byte(strings.ReplaceAll(trcOfThree, "\t", " ")))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ReadTRC(bytes.NewReader(data))
		if err != nil {
			return
		}
		for i, frame := range m.Points {
			if len(frame) != len(m.Names) {
				t.Fatalf("frame %d has %d places for %d markers", i, len(frame), len(m.Names))
			}
			for _, p := range frame {
				if !p.Seen() && !math.IsNaN(p[0]) {
					t.Fatalf("frame %d: %v is neither seen nor missing", i, p)
				}
			}
		}
		_ = fmt.Sprint(m.Poses(named()))
	})
}
