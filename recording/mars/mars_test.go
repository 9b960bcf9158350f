package mars

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
)

// TestRealRecordings reads every clip and compares it with what the index and
// the origin's own measurements say of the data.
func TestRealRecordings(t *testing.T) {
	root := testenv.Shared(t, "realdata/mars")
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(root, indexName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Keys()) != len(rows)-1 {
		t.Fatalf("%d clips, the index has %d", len(d.Keys()), len(rows)-1)
	}
	var frames, points, still int
	for _, row := range rows[1:] {
		subject, _ := strconv.Atoi(row[1])
		activity, _ := strconv.Atoi(row[4][1:])
		c, err := d.Open(recording.Key{Subject: subject, Activity: activity})
		if err != nil {
			t.Fatal(err)
		}
		wantFrames, _ := strconv.Atoi(row[5])
		wantPoints, _ := strconv.Atoi(row[6])
		if c.Len() != wantFrames {
			t.Errorf("%s: %d frames, want %d", row[0], c.Len(), wantFrames)
		}
		got := 0
		var fr recording.Frame
		for i := range c.Len() {
			if err := c.Frame(i, &fr); err != nil {
				t.Fatal(err)
			}
			got += len(fr.MmWave) / radarColumns
			for r := 0; r < len(fr.MmWave); r += radarColumns {
				// Stored intensities are 2 to 2508.
				if db := fr.MmWave[r+4]; db < 3 || db > 34 {
					t.Fatalf("%s frame %d: intensity %g dB", row[0], i, db)
				}
				if fr.MmWave[r+3] == 0 {
					still++
				}
			}
			pose, err := c.Truth(i)
			if err != nil {
				t.Fatal(err)
			}
			checkBody(t, row[0], i, &pose)
		}
		if got != wantPoints {
			t.Errorf("%s: %d points, want %d", row[0], got, wantPoints)
		}
		frames += c.Len()
		points += got
	}
	if frames != 20556 || points != 735643 {
		t.Errorf("%d frames and %d points, want 20556 and 735643", frames, points)
	}
	// The origin measured 20 % of points with a Doppler of exactly zero.
	if s := float64(still) / float64(points); math.Abs(s-0.2) > 0.02 {
		t.Errorf("%.3f of the points stand still, want 0.20", s)
	}
}

// checkBody holds that a pose is a person who stands upright before the radar.
func checkBody(t *testing.T, clip string, i int, p *recording.Pose) {
	t.Helper()
	const pelvis, head, rightHip, leftHip = 0, 10, 1, 4
	if p[pelvis][2] < 0.5 || p[pelvis][2] > 5 {
		t.Fatalf("%s frame %d: the pelvis is %.2f m away", clip, i, p[pelvis][2])
	}
	if p[head][1] > p[pelvis][1] {
		t.Fatalf("%s frame %d: the head (y %.2f, down) is below the pelvis (%.2f)", clip, i, p[head][1], p[pelvis][1])
	}
	if p[rightHip][0] > p[leftHip][0] {
		t.Fatalf("%s frame %d: the right hip is on the radar's right: the person does not face it", clip, i)
	}
}

func TestHistory(t *testing.T) {
	root := testenv.Shared(t, "realdata/mars")
	one, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	three, err := Open(root, Options{History: 3})
	if err != nil {
		t.Fatal(err)
	}
	k := one.Keys()[0]
	a, err := one.Open(k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := three.Open(k)
	if err != nil {
		t.Fatal(err)
	}
	var fa, fb recording.Frame
	spans, gaps := b.(*clip).frames, 0
	for i := range 300 {
		if err := b.Frame(i, &fb); err != nil {
			t.Fatal(err)
		}
		want := 0
		for h := i; h >= max(0, i-2); h-- {
			if spans[i].number-spans[h].number > 3 {
				gaps++
				break
			}
			if err := a.Frame(h, &fa); err != nil {
				t.Fatal(err)
			}
			for n, v := range fa.MmWave {
				if fb.MmWave[want+n] != v {
					t.Fatalf("frame %d: value %d of frame %d is %g, want %g", i, n, h, fb.MmWave[want+n], v)
				}
			}
			want += len(fa.MmWave)
		}
		if len(fb.MmWave) != want {
			t.Errorf("frame %d: %d values, want %d", i, len(fb.MmWave), want)
		}
	}
	if gaps == 0 || gaps > 30 {
		t.Errorf("%d gaps in 300 frames: the sensor skipped some", gaps)
	}
	if err := b.Frame(b.Len(), &fb); err == nil {
		t.Error("took a frame after the last")
	}
	if _, err := b.Truth(-1); err == nil {
		t.Error("took a pose before the first")
	}
}

func TestBadFolders(t *testing.T) {
	write := func(t *testing.T, name, text string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	head := "clip,subject,mmfi_closest\n"
	for name, c := range map[string]struct{ index, want string }{
		"empty":       {"", "is empty"},
		"no column":   {"clip,subject\ns2,2\n", `no column "mmfi_closest"`},
		"subject":     {head + "s2,two,A07\n", `subject "two"`},
		"activity":    {head + "s2,2,A99\n", `activity "A99"`},
		"path":        {head + "../x,2,A07\n", "no file name"},
		"double":      {head + "a,2,A07\nb,2,A07\n", "both subject 2"},
		"short line":  {head + "a,2\n", "wrong number of fields"},
		"unreadable ": {head + "\"a,2,A07\n", indexName},
	} {
		if _, err := Open(write(t, indexName, c.index), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), indexName) {
		t.Errorf("no index: %v", err)
	}
	if _, err := Open(t.TempDir(), Options{History: 99}); err == nil {
		t.Error("took a history of 99 frames")
	}
	d, err := Open(write(t, indexName, head+"a,2,A07\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(d.Keys()[0]); err == nil || !strings.Contains(err.Error(), "a_radar.npy") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := d.Open(recording.Key{Subject: 9, Activity: 1}); err == nil {
		t.Error("opened a clip that is not there")
	}
}

// TestRadarFrame: the person's left is a facing radar's right.
func TestRadarFrame(t *testing.T) {
	root := testenv.Shared(t, "realdata/mars")
	var rows [2][]float64
	for i, o := range []Options{{}, {RadarFrame: true}} {
		d, err := Open(root, o)
		if err != nil {
			t.Fatal(err)
		}
		c, err := d.Open(d.Keys()[0])
		if err != nil {
			t.Fatal(err)
		}
		var f recording.Frame
		if err := c.Frame(40, &f); err != nil {
			t.Fatal(err)
		}
		rows[i] = f.MmWave
	}
	if len(rows[0]) == 0 || len(rows[0]) != len(rows[1]) {
		t.Fatalf("%d and %d values", len(rows[0]), len(rows[1]))
	}
	for a, b := rows[0], rows[1]; len(a) > 0; a, b = a[5:], b[5:] {
		if b[0] != a[1] || b[1] != -a[0] || b[2] != a[2] || b[3] != a[3] || b[4] != a[4] || b[0] < 0.5 {
			t.Fatalf("%v became %v", a[:5], b[:5])
		}
	}
}
