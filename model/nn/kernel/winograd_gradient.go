package kernel

type winogradGradient[T Float] struct {
	g         *Winograd[T]
	x, dy, dw []T
	v, z, u   []T
	fv, fz    int
	first, n  int // tiles of the chunk in work
	acc       int
	stage     gradientStage
	parts     pieces
}

// chunkTiles is how many tiles one pass of the weight gradient covers; it must
// not depend on the number of threads, since it decides the order of the sum.
func (g *Winograd[T]) chunkTiles(all int) int {
	const bytes = 4 << 20
	return evenly(all, max(bytes/(products*4*(g.Cin+g.paddedN())), 96))
}

// Gradient writes the gradient of the weights, [Cout, Cin, 3, 3], to dw. It uses
// Scratch.Weights.
func (g *Winograd[T]) Gradient(x, dy, dw []T, n int) {
	_, _, _ = x[n*g.H*g.W*g.Cin-1], dy[n*g.H*g.W*g.Cout-1], dw[g.Cin*g.Cout*9-1]
	np, all := g.paddedN(), n*g.perImage()
	ws := g.Scratch.get()
	s := &g.gradient
	s.g, s.x, s.dy, s.dw, s.u, s.acc = g, x, dy, dw, atLeast(&g.Scratch.Weights, g.WeightLen()), 0
	most := g.chunkTiles(all)
	s.fv, s.fz = most*g.Cin+apart, most*np+apart
	s.v, s.z = atLeast(&ws.v, products*s.fv), atLeast(&ws.m, products*s.fz)
	for s.first = 0; s.first < all; s.first += s.n {
		s.n = min(most, all-s.first)
		s.do(tileGradients, (s.n+11)/12)
		s.do(weightGradients, products)
		s.acc = 1
	}
	lanes := 1
	if k := g.kernels(); k.lanes > 0 {
		lanes = k.lanes
	}
	s.do(filterGradients, (g.Cout+lanes-1)/lanes)
	s.x, s.dy, s.dw, s.u, s.v, s.z = nil, nil, nil, nil, nil, nil
	g.Scratch.put(ws)
}

// gradientStage is what the parts of a weight gradient's job are.
type gradientStage int

const (
	tileGradients   gradientStage = iota // the chunk's tiles
	weightGradients                      // the 36 products
	filterGradients                      // vectors of output channels
)

// do runs one stage in so many parts.
func (s *winogradGradient[T]) do(stage gradientStage, parts int) {
	s.stage = stage
	s.parts.start(parts)
	Do(min(Threads(), parts), 1, s)
}

// Run works on parts of the stage until none is left.
func (s *winogradGradient[T]) Run(int, int) {
	ws := s.g.Scratch.get()
	for i, ok := s.parts.take(); ok; i, ok = s.parts.take() {
		switch s.stage {
		case tileGradients:
			s.transformTiles(ws, i)
		case weightGradients:
			g, np := s.g, s.g.paddedN()
			mulTransposed(g.kernels(), g.Cin, s.n, np, s.v[i*s.fv:], g.Cin, s.z[i*s.fz:], np, s.u[i*g.weightStride():], np, s.acc)
		case filterGradients:
			if k := s.g.kernels(); k.lanes > 0 {
				s.vector(ws, i*k.lanes)
			} else {
				s.filters(i)
			}
		}
	}
	s.g.Scratch.put(ws)
}

func (s *winogradGradient[T]) transformTiles(ws *workspace[T], part int) {
	g, np := s.g, s.g.paddedN()
	if n := g.W * max(g.Cin, g.Cout); len(ws.zeros) < n {
		ws.zeros = make([]T, n)
	}
	lo, hi := s.parts.span(part, s.n)
	t := g.tileAt(s.first + lo)
	for i := lo; i < hi; i++ {
		g.transformInput(ws, s.x, t, s.v[i*g.Cin:], s.fv)
		s.transform(ws, t, s.z[i*np:])
		g.next(&t)
	}
}

// filters computes the gradient of the filters of output channel co.
func (s *winogradGradient[T]) filters(co int) {
	g, np := s.g, s.g.paddedN()
	for ci := range g.Cin {
		var u [products]float64
		for p := range u {
			u[p] = float64(s.u[p*g.weightStride()+ci*np+co])
		}
		for i, v := range filterTile(&u) {
			s.dw[(co*g.Cin+ci)*9+i] = T(v)
		}
	}
}

// transform writes the transformed output gradient of a tile.
func (s *winogradGradient[T]) transform(ws *workspace[T], t winogradTile, dst []T) {
	g := s.g
	c := g.Cout
	done := 0
	if k := g.kernels(); k.lanes > 0 && c >= k.lanes {
		dy32, z32 := any(s.dy).([]float32), any(ws.zeros).([]float32)
		for r := range tileOut {
			if y := t.y + r; y < g.H {
				ws.rows[r] = &dy32[(t.image*g.H+y)*g.W*c]
			} else {
				ws.rows[r] = &z32[0]
			}
		}
		n := c / k.lanes
		done = n * k.lanes
		d32 := any(dst).([]float32)
		_ = d32[(products-1)*s.fz+c-1]
		k.gradient(&ws.rows, 4*t.x*c, 4*c, inside(t.x, tileOut, g.W), n, &d32[0], 4*s.fz)
	}
	h, w := min(tileOut, g.H-t.y), min(tileOut, g.W-t.x)
	for ch := done; ch < c; ch++ {
		var d [tileOut * tileOut]T
		for r := range h {
			for j := range w {
				d[r*tileOut+j] = s.dy[((t.image*g.H+t.y+r)*g.W+t.x+j)*c+ch]
			}
		}
		for p, v := range gradientTile(&d) {
			dst[p*s.fz+ch] = v
		}
	}
}

// vector computes the gradient of the filters of one vector of output channels
// from co on.
func (s *winogradGradient[T]) vector(ws *workspace[T], co int) {
	g, k := s.g, s.g.kernels()
	np := g.paddedN()
	f := &ws.filters
	u32, f32 := any(s.u).([]float32), any(f[:]).([]float32)
	for ci := range g.Cin {
		k.filter(&u32[ci*np+co], 4*g.weightStride(), &f32[0], 4*maxLanes)
		for l := range min(k.lanes, g.Cout-co) {
			w := s.dw[((co+l)*g.Cin+ci)*9:][:9]
			for i := range w {
				w[i] = f[i*maxLanes+l]
			}
		}
	}
}
