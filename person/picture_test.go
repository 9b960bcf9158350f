package person_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/person"
)

var update = flag.Bool("update", false, "write the pictures of docs anew instead of comparing with them")

// topView draws where the points of a sweep lie, seen from above, in cells of
// 5 cm: background grey, what is new and not the person orange, the person blue.
func topView(xyz []float32, labels []person.Label, region person.Box) []byte {
	const cellM, side = 0.05, 4 // metres, units of the picture
	at := func(v float32, k int) int { return int((float64(v) - region.MinM[k]) / cellM) }
	nx, ny := at(float32(region.MaxM[0]), 0), at(float32(region.MaxM[1]), 1)
	cells := map[[2]int]person.Label{}
	for i, l := range labels {
		if l >= person.Background {
			c := [2]int{at(xyz[3*i], 0), at(xyz[3*i+1], 1)}
			cells[c] = max(cells[c], l)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", nx*side, ny*side, nx*side, ny*side)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff" stroke="#888888"/>`+"\n", nx*side, ny*side)
	for _, l := range []person.Label{person.Background, person.Other, person.Person} {
		fmt.Fprintf(&b, `<path fill="%s" d="`, map[person.Label]string{person.Background: "#9a9a9a", person.Other: "#e08a1e", person.Person: "#1f5fbf"}[l])
		for y := range ny {
			for x := range nx {
				if got, ok := cells[[2]int{x, y}]; ok && got == l {
					fmt.Fprintf(&b, "M%d %dh%dv%dh-%dz", x*side, (ny-1-y)*side, side, side, side)
				}
			}
		}
		b.WriteString("\"/>\n")
	}
	fmt.Fprintf(&b, `<path d="M8 %dh%d" stroke="#000000" stroke-width="2"/><text x="8" y="%d" font-family="sans-serif" font-size="12">1 m</text>`+"\n</svg>\n", ny*side-8, int(side/cellM), ny*side-13)
	return b.Bytes()
}

// comparePicture holds a picture of docs to what the program draws now.
func comparePicture(t *testing.T, name string, picture []byte) {
	t.Helper()
	path := filepath.Join(testenv.Root(), "docs", name)
	if *update {
		if err := os.WriteFile(path, picture, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if runtime.GOARCH != "amd64" {
		return // a fused product can move a point into the next cell
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(picture, want) {
		t.Errorf("%s shows something else now; if that is meant: go test ./person -run RealSweeps -update", path)
	}
}
