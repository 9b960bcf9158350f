package calibration

import "math"

// cell is a corner's place on the board: column to the right, row downwards.
type cell struct{ col, row int }

var steps = [4]cell{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}

// grower puts corners in the order of a board, beginning with one of them.
type grower struct {
	all   []corner
	first map[[2]int][]int // of all, by bucket
	used  map[int]bool
	at    map[cell]int
}

const bucketPx = 16

func newGrower(all []corner) *grower {
	g := &grower{all: all, first: map[[2]int][]int{}}
	for i, c := range all {
		b := bucket(c.x, c.y)
		g.first[b] = append(g.first[b], i)
	}
	return g
}

func bucket(x, y float64) [2]int { return [2]int{int(x) / bucketPx, int(y) / bucketPx} }

// near calls f with the corners within reach of a place.
func (g *grower) near(x, y, reach float64, f func(i int, distance float64)) {
	lo, hi := bucket(max(x-reach, 0), max(y-reach, 0)), bucket(max(x+reach, 0), max(y+reach, 0))
	for bx := lo[0]; bx <= hi[0]; bx++ {
		for by := lo[1]; by <= hi[1]; by++ {
			for _, i := range g.first[[2]int{bx, by}] {
				if d := math.Hypot(g.all[i].x-x, g.all[i].y-y); d <= reach {
					f(i, d)
				}
			}
		}
	}
}

// grow returns the board around a corner, of which that is (0, 0).
func (g *grower) grow(seed int) map[cell]int {
	g.used, g.at = map[int]bool{seed: true}, map[cell]int{{}: seed}
	c := &g.all[seed]
	// The edges as they point right and down; the board is not seen in a mirror.
	right, down := c.edges[0], c.edges[1]
	if math.Sin(down-right) < 0 {
		down += math.Pi
	}
	queue := []cell{{}}
	for k, angle := range [4]float64{right, down, right + math.Pi, down + math.Pi} {
		if i := g.along(seed, angle); i >= 0 {
			g.put(steps[k], i)
			queue = append(queue, steps[k])
		}
	}
	for tries := 0; len(queue) > 0 && tries < 4096; tries++ {
		at := queue[0]
		queue = queue[1:]
		for _, s := range steps {
			to := cell{at.col + s.col, at.row + s.row}
			if _, there := g.at[to]; there {
				continue
			}
			if i := g.predicted(at, s); i >= 0 {
				g.put(to, i)
				queue = append(queue, to, at)
			}
		}
	}
	return g.at
}

func (g *grower) put(at cell, i int) { g.at[at], g.used[i] = i, true }

// fits reports whether two corners can be neighbours: what is bright at one is
// dark at the other.
func (g *grower) fits(i, j int) bool {
	return !g.used[j] && axisTurn(g.all[i].bright, g.all[j].bright) > math.Pi/4
}

// along returns the nearest corner in a direction, -1 for none.
func (g *grower) along(from int, angle float64) int {
	c := &g.all[from]
	sin, cos := math.Sincos(angle)
	for reach := 12.0; reach < 400; reach *= 1.5 {
		best, least := -1, math.Inf(1)
		g.near(c.x, c.y, reach, func(i int, d float64) {
			dx, dy := g.all[i].x-c.x, g.all[i].y-c.y
			ahead, aside := dx*cos+dy*sin, math.Abs(dy*cos-dx*sin)
			if ahead > 4 && aside < 0.3*ahead && d < least && g.fits(from, i) {
				best, least = i, d
			}
		})
		if best >= 0 {
			return best
		}
	}
	return -1
}

// predicted returns the corner one step from a place of the board: where its
// neighbours say, -1 for none.
func (g *grower) predicted(at, s cell) int {
	from := g.at[at]
	c := &g.all[from]
	var dx, dy float64
	n := 0
	// The step before, and the same step in the lines on both sides.
	for _, p := range [3][2]cell{
		{{at.col - s.col, at.row - s.row}, at},
		{{at.col + s.row, at.row + s.col}, {at.col + s.row + s.col, at.row + s.col + s.row}},
		{{at.col - s.row, at.row - s.col}, {at.col - s.row + s.col, at.row - s.col + s.row}},
	} {
		a, ok1 := g.at[p[0]]
		b, ok2 := g.at[p[1]]
		if ok1 && ok2 {
			dx, dy, n = dx+g.all[b].x-g.all[a].x, dy+g.all[b].y-g.all[a].y, n+1
		}
	}
	if n == 0 {
		return -1
	}
	dx, dy = dx/float64(n), dy/float64(n)
	best, least := -1, math.Inf(1)
	g.near(c.x+dx, c.y+dy, 0.35*math.Hypot(dx, dy), func(i int, d float64) {
		if d < least && g.fits(from, i) {
			best, least = i, d
		}
	})
	return best
}

// extent returns the columns and rows of a board, without outer lines that hold
// less than half of what they could.
func extent(at map[cell]int) (lo, hi cell) {
	first := true
	for c := range at {
		if first {
			lo, hi, first = c, c, false
		}
		lo = cell{min(lo.col, c.col), min(lo.row, c.row)}
		hi = cell{max(hi.col, c.col), max(hi.row, c.row)}
	}
	for trimmed := true; trimmed && lo.col < hi.col && lo.row < hi.row; {
		trimmed = false
		count := func(in func(cell) bool) (n int) {
			for c := range at {
				if c.col >= lo.col && c.col <= hi.col && c.row >= lo.row && c.row <= hi.row && in(c) {
					n++
				}
			}
			return n
		}
		cols, rows := hi.col-lo.col+1, hi.row-lo.row+1
		for _, t := range []struct {
			line  *int
			by    int
			in    func(cell) bool
			whole int
		}{
			{&lo.col, 1, func(c cell) bool { return c.col == lo.col }, rows}, {&hi.col, -1, func(c cell) bool { return c.col == hi.col }, rows},
			{&lo.row, 1, func(c cell) bool { return c.row == lo.row }, cols}, {&hi.row, -1, func(c cell) bool { return c.row == hi.row }, cols},
		} {
			if 2*count(t.in) < t.whole {
				*t.line += t.by
				trimmed = true
				break
			}
		}
	}
	return lo, hi
}
