package person

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
)

// learned returns a finder that knows an empty room with a chair.
func learned(m *testRoom) *Finder {
	f := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
	for k := range 150 {
		xyz, _ := m.sweep(0)
		f.Cloud(int64(k+1)*200e6, xyz, nil)
	}
	return f
}

func TestBackgroundSurvivesARestart(t *testing.T) {
	m := newTestRoom(3)
	m.furnish(chair(0.3, 3.2)...)
	before := learned(m)
	var file bytes.Buffer
	if err := before.SaveBackground(&file); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", file.Len())
	if file.Len() > 64<<10 {
		t.Errorf("%d bytes, want a small file", file.Len())
	}
	f := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
	if err := f.LoadBackground(bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	m.people = []*walker{newWalker(2, 6, 12, stands(0.2, 2.7))}
	xyz, owner := m.sweep(3)
	dst := f.Cloud(1e9, xyz, nil)
	mine, wrong := 0, 0
	for i, l := range f.Labels() {
		if l == Person && owner[i] == 1 {
			mine++
		} else if l == Person {
			wrong++
		}
	}
	var all int
	for _, o := range owner {
		all += o
	}
	if len(dst) == 0 || float64(mine) < 0.9*float64(all) || wrong > mine/20 {
		t.Errorf("first sweep after the restart: %d of the person's %d points and %d others", mine, all, wrong)
	}
	if n := f.Count(); n[Background] < 9*n[Other] {
		t.Errorf("%d background, %d other: the room is known", n[Background], n[Other])
	}

	other := NewFinder(Config{LiDARAtM: [3]float64{0.5, 0, 0.95}})
	if err := other.LoadBackground(bytes.NewReader(file.Bytes())); !errors.Is(err, ErrOtherRoom) {
		t.Errorf("LiDAR moved: %v", err)
	}
}

func TestBackgroundFileIsChecked(t *testing.T) {
	f := NewFinder(Config{})
	var file bytes.Buffer
	if err := f.SaveBackground(&file); err != nil {
		t.Fatal(err)
	}
	good := file.Bytes()
	for name, b := range map[string][]byte{
		"nothing":      nil,
		"another file": []byte("{\"version\":1}"),
		"cut":          good[:len(good)-1],
		"a bit turned": append(append([]byte{}, good[:40]...), append([]byte{good[40] ^ 1}, good[41:]...)...),
		"too long":     bytes.Repeat(good, maxFileSize/len(good)+2),
		"only a magic": []byte(fileMagic),
	} {
		if err := f.LoadBackground(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

func FuzzLoadBackground(f *testing.F) {
	finder := NewFinder(Config{Region: &Box{MaxM: [3]float64{2, 2, 2}}})
	var file bytes.Buffer
	if err := finder.SaveBackground(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes(), true)
	f.Add([]byte(fileMagic), false)
	f.Fuzz(func(t *testing.T, b []byte, sum bool) {
		if sum && len(b) > 4 { // a sum that fits, so that what is below it is read
			b = withSum(b[:len(b)-4])
		}
		n := NewFinder(Config{Region: &Box{MaxM: [3]float64{2, 2, 2}}})
		if n.LoadBackground(bytes.NewReader(b)) != nil {
			return
		}
		var again bytes.Buffer
		if err := n.SaveBackground(&again); err != nil {
			t.Fatal(err)
		}
		twice := NewFinder(Config{Region: &Box{MaxM: [3]float64{2, 2, 2}}})
		if err := twice.LoadBackground(&again); err != nil || !bytes.Equal(twice.back.presence, n.back.presence) {
			t.Fatalf("written again it differs: %v", err)
		}
	})
}

func withSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(bytes.Clone(b), crc32.ChecksumIEEE(b))
}
