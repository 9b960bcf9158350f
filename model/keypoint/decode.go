package keypoint

import "math"

// mostCentral returns the cell of the person looked at: that whose centre is
// surest and nearest to the middle.
func (n *network) mostCentral() int {
	cell, best := 0, float32(-1)
	for i, v := range n.centre.y {
		if s := sigmoid(v) * n.centreWeight[i]; s > best {
			cell, best = i, s
		}
	}
	return cell
}

// centreScore is how sure a person's centre must be to be looked at.
const centreScore = 0.3

// centres returns the cells in which people may have their centres: at most
// four, the first ones from the top.
func (n *network) centres() []int {
	found := n.found[:0:len(n.found)]
	at := func(y, x int) float32 {
		if y < 0 || x < 0 || y >= n.cells || x >= n.cells {
			return float32(math.Inf(-1))
		}
		return n.centre.y[y*n.cells+x]
	}
	for cell, v := range n.centre.y {
		if len(found) == cap(found) || sigmoid(v) < centreScore {
			continue
		}
		y, x, top := cell/n.cells, cell%n.cells, true
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				top = top && at(y+dy, x+dx) <= v
			}
		}
		if top {
			found = append(found, cell)
		}
	}
	return found
}

// personAt reads the joints of the person whose centre is in a cell, as CenterNet
// does: where the centre says a joint is, the joint's heatmap is searched, the
// nearer the better; the offset puts it between the cells.
func (n *network) personAt(cell int) (out [numKeypoints]Keypoint) {
	row, col := cell/n.cells, cell%n.cells
	var guess [2 * numKeypoints]float32
	copy(guess[:], n.regress.at(row, col))
	for j := range out {
		y, x := float32(row)+guess[2*j], float32(col)+guess[2*j+1]
		at, score := n.search(j, y, x)
		off := n.offset.at(at/n.cells, at%n.cells)
		out[j] = Keypoint{
			X:     float64((float32(at%n.cells) + off[2*j+1]) * n.toUnit),
			Y:     float64((float32(at/n.cells) + off[2*j]) * n.toUnit),
			Score: float64(score),
		}
	}
	return out
}

// search returns the cell in which joint j's heatmap over the distance to (y,
// x), in cells, is greatest, and the heatmap's value there. Of equals the first
// wins.
func (n *network) search(j int, y, x float32) (cell int, score float32) {
	value := func(i int, h float32) float32 {
		dy, dx := float32(i/n.cells)-y, float32(i%n.cells)-x
		return sigmoid(h) / (float32(math.Sqrt(float64(dy*dy+dx*dx))) + n.distance)
	}
	heat := n.heatmap.y
	// The guess itself is mostly best; what cannot beat the best at distance 0
	// needs no look.
	last := float32(n.cells - 1)
	cell = int(clamp(y, last))*n.cells + int(clamp(x, last))
	best := value(cell, heat[cell*numKeypoints+j])
	floor := logit(best * n.distance)
	for i := range n.cells * n.cells {
		h := heat[i*numKeypoints+j]
		if h < floor {
			continue
		}
		if v := value(i, h); v > best || v == best && i < cell {
			cell, best = i, v
			floor = logit(best * n.distance)
		}
	}
	return cell, sigmoid(heat[cell*numKeypoints+j])
}

// clamp returns v in 0..hi, 0 for what is no number.
func clamp(v, hi float32) float32 {
	if !(v > 0) {
		return 0
	}
	return min(v, hi)
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// logit is the inverse of sigmoid, a little lower, so that it bounds in spite of
// rounding.
func logit(p float32) float32 {
	if p >= 1 {
		return math.MaxFloat32
	}
	return float32(math.Log(float64(p)/(1-float64(p)))) - 1e-3
}
