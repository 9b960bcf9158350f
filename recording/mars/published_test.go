package mars

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/mmfi"
)

// writePublished writes the first n frames of a person's recordings in the authors'
// form and returns the folder.
func writePublished(t *testing.T, subject, n int) string {
	t.Helper()
	d, err := Open(testenv.Shared(t, "realdata/mars"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	dir := filepath.Join(root, "synced_data", "wooutlier", fmt.Sprintf("subject%d", subject), "timesplit")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var header []string
	for _, axis := range []string{"_X", "_Y", "_Z"} {
		for _, joint := range kinectNames {
			header = append(header, joint+axis)
		}
	}
	from := 0
	for p, to := range []int{(6*n + 9) / 10, (6*n+9)/10 + (2*n+9)/10, n} {
		radar, kinect := "Frame #,# Obj,X,Y,Z,Doppler,Intensity,Abs Time\n", strings.Join(header, ",")+"\n"
		for _, activity := range closest {
			c, err := d.open[recording.Key{Subject: subject, Activity: activity}]()
			if err != nil {
				t.Fatal(err)
			}
			for i := from; i < to; i++ {
				s := c.frames[i]
				for r := s.first; r < s.first+s.n; r++ {
					v := c.points[r*radarColumns:]
					radar += fmt.Sprintf("%d,%d,%.8g,%.8g,%.8g,%.8g,%.8g,1.6171e+09\n", s.number, s.n, v[0], v[1], v[2], v[3], math.Pow(10, v[4]/10))
				}
				var cells []string
				for axis := range 3 {
					for j := range kinectJoints {
						cells = append(cells, fmt.Sprintf("%.5g", c.joints[(i*kinectJoints+j)*3+axis]))
					}
				}
				kinect += strings.Join(cells, ",") + "\n"
			}
		}
		for name, text := range map[string]string{"radar_data_": radar, "kinect_data_": kinect} {
			if err := os.WriteFile(filepath.Join(dir, name+parts[p]+".csv"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		from = to
	}
	return root
}

// TestPublishedFormGivesTheSameFrames reads real recordings in both forms.
func TestPublishedFormGivesTheSameFrames(t *testing.T) {
	const n = 41
	root := writePublished(t, 3, n)
	own, err := Open(testenv.Shared(t, "realdata/mars"), Options{History: 3, RadarFrame: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{root, filepath.Join(root, "synced_data"), filepath.Join(root, "synced_data/wooutlier")} {
		d, openErr := Open(folder, Options{History: 3, RadarFrame: true})
		if openErr != nil {
			t.Fatal(openErr)
		}
		if len(d.Keys()) != 10 || !strings.Contains(d.Describe(), "as published") {
			t.Fatalf("%s: %d clips, %s", folder, len(d.Keys()), d.Describe())
		}
	}
	d, err := Open(root, Options{History: 3, RadarFrame: true})
	if err != nil {
		t.Fatal(err)
	}
	var got, want recording.Frame
	for _, k := range d.Keys() {
		a, err := d.Open(k)
		if err != nil {
			t.Fatal(err)
		}
		b, err := own.Open(k)
		if err != nil {
			t.Fatal(err)
		}
		if a.Len() != n {
			t.Fatalf("%s: %d frames, want %d", k, a.Len(), n)
		}
		for i := range n {
			if err := a.Frame(i, &got); err != nil {
				t.Fatal(err)
			}
			if err := b.Frame(i, &want); err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got.MmWave, want.MmWave, func(x, y float64) bool { return math.Abs(x-y) < 1e-5 }) {
				t.Fatalf("%s frame %d: other points", k, i)
			}
			p, _ := a.Truth(i)
			q, _ := b.Truth(i)
			for j := range p {
				for axis := range 3 {
					if math.Abs(p[j][axis]-q[j][axis]) > 1e-4 {
						t.Fatalf("%s frame %d: joint %d is at %v, want %v", k, i, j, p[j], q[j])
					}
				}
			}
		}
		// 60 % of 41 frames are 24.6: the authors round up, 25; then 9, of 8.2.
		for share, border := range map[float64]int{0.6: 25, 0.8: 34} {
			if at, known := a.(recording.Bordered).Border(share); !known || at != border {
				t.Errorf("%s: the border at %g is %d", k, share, at)
			}
		}
	}
}

func TestDamagedPublishedFormIsRefused(t *testing.T) {
	whole := writePublished(t, 3, 5)
	change := func(old, with string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, with, 1) }
	}
	for name, c := range map[string]struct {
		file   string
		change func(string) string
		want   string
	}{
		"a missing table":    {"kinect_data_validate.csv", nil, "kinect_data_validate.csv"},
		"an empty table":     {"radar_data_test.csv", func(string) string { return "" }, "is empty"},
		"no column":          {"radar_data_train.csv", change("Doppler", "Speed"), `no column "Doppler"`},
		"a header only":      {"radar_data_train.csv", func(s string) string { return s[:strings.Index(s, "\n")+1] }, "has no rows"},
		"no number":          {"radar_data_train.csv", change(",1.6171e+09\n", ",1.6171e+09\n1,2,x,4,5,6,7,8\n"), `column X: "x"`},
		"too few cells":      {"kinect_data_train.csv", func(s string) string { return s + "1,2\n" }, "2 cells, the header has 75"},
		"a pose too few":     {"kinect_data_train.csv", func(s string) string { return s[:strings.LastIndex(s[:len(s)-1], "\n")+1] }, "radar frames, but joints of"},
		"a movement missing": {"radar_data_test.csv", func(s string) string { return s + "1,1,0,2,0,0,9,1\n" }, "radar frames, but joints of"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.CopyFS(root, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(root, "synced_data/wooutlier/subject3/timesplit", c.file)
			if c.change == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				b, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, []byte(c.change(string(b))), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			d, err := Open(root, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Open(d.Keys()[0]); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "synced_data") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestFeatureMaps reads maps whose values tell frame, point and column.
func TestFeatureMaps(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "feature")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, a *mmfi.Array) {
		t.Helper()
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := mmfi.WriteNPY(f, a); err != nil {
			t.Fatal(err)
		}
	}
	frame := 0
	for p, n := range []int{6, 3, 2} {
		maps, labels := make([]float64, n*featurePoints*radarColumns), make([]float64, n*57)
		for i := range n {
			for point := range 3 + frame { // the rest is padding
				for k := range radarColumns {
					maps[(i*featurePoints+point)*radarColumns+k] = float64(1 + frame + 10*point + 100*k)
				}
			}
			for k := range 57 {
				labels[i*57+k] = float64(frame) + float64(k)/100
			}
			frame++
		}
		write("featuremap_"+parts[p]+".npy", mmfi.NewFloat64Array(maps, n, 8, 8, 5))
		write("labels_"+parts[p]+".npy", mmfi.NewFloat64Array(labels, n, 57))
	}
	d, err := Open(root, Options{History: 8})
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Open(d.Keys()[0])
	if err != nil {
		t.Fatal(err)
	}
	if c.Len() != 11 {
		t.Fatalf("%d frames", c.Len())
	}
	var f recording.Frame
	for i := range 11 {
		if err := c.Frame(i, &f); err != nil {
			t.Fatal(err)
		}
		if len(f.MmWave) != (3+i)*radarColumns || f.MmWave[0] != float64(1+i) || f.MmWave[radarColumns+1] != float64(111+i) {
			t.Errorf("frame %d has %d points, %v", i, len(f.MmWave)/radarColumns, f.MmWave[:5])
		}
		p, err := c.Truth(i)
		if err != nil {
			t.Fatal(err)
		}
		// The right ankle is the 17th label of each axis: x, then y, then z.
		want := [3]float64{float64(i) + 0.16, -(float64(i) + 0.54), float64(i) + 0.35}
		for axis, v := range p[3] {
			if math.Abs(v-want[axis]) > 1e-9 {
				t.Errorf("frame %d: the right ankle is at %v, want %v", i, p[3], want)
			}
		}
	}
	for share, border := range map[float64]int{0.6: 6, 0.8: 9} {
		if at, known := c.(recording.Bordered).Border(share); !known || at != border {
			t.Errorf("the border at %g is %d", share, at)
		}
	}
	write("labels_test.npy", mmfi.NewFloat64Array(make([]float64, 57), 1, 57))
	if _, err := d.Open(d.Keys()[0]); err == nil || !strings.Contains(err.Error(), "2 feature maps of test, but 1 labels") {
		t.Errorf("labels that are too few: %v", err)
	}
}

func FuzzScanTable(f *testing.F) {
	f.Add([]byte("Frame #,X\n1,0.5\n1,2\n2,-1e3\n"))
	f.Add([]byte("\xef\xbb\xbfX,Frame #\n,\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows := 0
		err := scanTable(strings.NewReader(string(b)), "table", []string{"Frame #", "X"}, func(v []float64) error {
			rows++
			if len(v) != 2 || math.IsNaN(v[0]+v[1]) {
				t.Errorf("row %v", v)
			}
			return nil
		})
		if err == nil && rows == 0 {
			t.Error("no row and no error")
		}
	})
}
