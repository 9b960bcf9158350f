package kernel

type winogradForward[T Float] struct {
	g       *Winograd[T]
	u, x, y []T
	ep      ConvEpilogue[T]
	tiles   int
	parts   pieces

	// for few tiles
	stage  forwardStage
	v, m   []T
	fv, fm int // distance of the products in v and m
}

// Forward convolves n images with the weights u that Pack transformed.
func (g *Winograd[T]) Forward(u, x, y []T, n int, ep ConvEpilogue[T]) {
	_, _, _ = u[g.WeightLen()-1], x[n*g.H*g.W*g.Cin-1], y[n*g.H*g.W*g.Cout-1]
	if ep.Bias != nil {
		_ = ep.Bias[g.Cout-1]
	}
	if ep.Res != nil {
		_ = ep.Res[n*g.H*g.W*g.Cout-1]
	}
	f := &g.forward
	f.g, f.u, f.x, f.y, f.ep, f.tiles = g, u, x, y, ep, n*g.perImage()
	if t := Threads(); t > 1 && f.tiles < fewTiles*t && g.WeightLen() >= manyWeights {
		f.byStages()
	} else {
		f.do(blockStage, g.blocks(f.tiles))
	}
	f.u, f.x, f.y, f.ep = nil, nil, nil, ConvEpilogue[T]{}
}

// With fewer than fewTiles tiles for each thread and at least manyWeights
// transformed weights, which then come from memory, threads share the weights
// rather than the tiles.
const fewTiles = 12

var manyWeights = 1 << 20

// forwardStage is what the parts of a job are.
type forwardStage int

const (
	blockStage   forwardStage = iota // blocks of tiles, all the way
	inputStage                       // tiles
	productStage                     // groups of columns of the products
	outputStage                      // tiles
)

// do runs a stage in so many parts.
func (f *winogradForward[T]) do(stage forwardStage, parts int) {
	f.stage = stage
	f.parts.start(parts)
	Do(min(Threads(), parts), 1, f)
}

// groupColumns is the width of a group of columns: whole panels on every path.
const groupColumns = 128

func (f *winogradForward[T]) byStages() {
	g, np := f.g, f.g.paddedN()
	ws := g.Scratch.get()
	f.fv, f.fm = f.tiles*g.Cin+apart, f.tiles*np+apart
	f.v, f.m = atLeast(&ws.v, products*f.fv), atLeast(&ws.m, products*f.fm)
	f.do(inputStage, f.tiles)
	f.do(productStage, products*((np+groupColumns-1)/groupColumns))
	f.do(outputStage, f.tiles)
	f.v, f.m = nil, nil
	g.Scratch.put(ws)
}

// blocks is the number of blocks that so many tiles are cut into, a multiple of
// the number of threads unless there are few tiles. No result depends on it.
func (g *Winograd[T]) blocks(tiles int) int {
	n, t := (tiles+g.blockTiles()-1)/g.blockTiles(), Threads()
	return min((n+t-1)/t*t, tiles)
}

// blockTiles is how many tiles a thread carries through all three stages at
// once: enough to use each weight several times, more where weights come from
// memory, and few enough to stay in cache. Measured.
func (g *Winograd[T]) blockTiles() int {
	if g.WeightLen() >= manyWeights {
		return 48
	}
	return 28
}

// Run works on parts of the stage until none is left.
func (f *winogradForward[T]) Run(int, int) {
	g := f.g
	ws := g.Scratch.get()
	if n := max(g.W*g.Cin, g.Cout); len(ws.zeros) < n {
		ws.zeros = make([]T, n)
	}
	np := g.paddedN()
	for i, ok := f.parts.take(); ok; i, ok = f.parts.take() {
		switch f.stage {
		case blockStage:
			f.block(ws, i)
		case inputStage:
			g.transformInput(ws, f.x, g.tileAt(i), f.v[i*g.Cin:], f.fv)
		case productStage:
			p, j := i%products, i/products*groupColumns
			mulPanels(g.kernels(), f.tiles, g.Cin, min(groupColumns, np-j), f.v[p*f.fv:], g.Cin, f.u[p*g.weightStride()+j*g.Cin:], g.panelWidth(), f.m[p*f.fm+j:], np)
		case outputStage:
			f.output(ws, g.tileAt(i), f.m[i*np:], f.fm)
		}
	}
	g.Scratch.put(ws)
}

// block takes a block of tiles through input transform, products and output
// transform.
func (f *winogradForward[T]) block(ws *workspace[T], part int) {
	g, np := f.g, f.g.paddedN()
	lo, hi := f.parts.span(part, f.tiles)
	n := hi - lo
	fv, fm := n*g.Cin+apart, n*np+apart
	v, m := atLeast(&ws.v, products*fv), atLeast(&ws.m, products*fm)
	t := g.tileAt(lo)
	for i := range n {
		g.transformInput(ws, f.x, t, v[i*g.Cin:], fv)
		g.next(&t)
	}
	for p := range products {
		mulPanels(g.kernels(), n, g.Cin, np, v[p*fv:], g.Cin, f.u[p*g.weightStride():], g.panelWidth(), m[p*fm:], np)
	}
	t = g.tileAt(lo)
	for i := range n {
		f.output(ws, t, m[i*np:], fm)
		g.next(&t)
	}
}

// output transforms the products of one tile and writes its outputs.
func (f *winogradForward[T]) output(ws *workspace[T], t winogradTile, m []T, fstride int) {
	g := f.g
	h, w := min(tileOut, g.H-t.y), min(tileOut, g.W-t.x)
	at := ((t.image*g.H+t.y)*g.W + t.x) * g.Cout
	done := 0
	if k := g.kernels(); k.lanes > 0 && g.Cout >= k.lanes {
		n := g.Cout / k.lanes
		done = n * k.lanes
		bias := f.ep.Bias
		if bias == nil {
			bias = ws.zeros
		}
		var res *float32
		if f.ep.Res != nil {
			res = &any(f.ep.Res).([]float32)[at]
		}
		m32 := any(m).([]float32)
		_ = m32[(products-1)*fstride+g.Cout-1]
		k.output(&m32[0], 4*fstride, n, &any(bias).([]float32)[0], &any(f.y).([]float32)[at],
			4*g.W*g.Cout, 4*g.Cout, h, w, res, float32(f.ep.floor()))
	}
	floor := f.ep.floor()
	for ch := done; ch < g.Cout; ch++ {
		var d [products]T
		for p := range d {
			d[p] = m[p*fstride+ch]
		}
		o := outputTile(&d)
		for r := range h {
			for c := range w {
				k := at + (r*g.W+c)*g.Cout + ch
				v := o[r*tileOut+c]
				if f.ep.Bias != nil {
					v += f.ep.Bias[ch]
				}
				if f.ep.Res != nil {
					v += f.ep.Res[k]
				}
				f.y[k] = max(v, floor)
			}
		}
	}
}
