package kernel

type winogradPack[T Float] struct {
	g           *Winograd[T]
	u, w, scale []T
	turned      bool
}

// Pack transforms the weights w, [Cout, Cin, 3, 3], to u, each output channel
// multiplied by its scale unless that is nil. Turned, w is [Cin, Cout, 3, 3] and
// the filters are rotated by half a turn: then Forward computes the gradient
// of the input of the convolution whose weights w are.
func (g *Winograd[T]) Pack(u, w, scale []T, turned bool) {
	_, _ = u[g.WeightLen()-1], w[g.Cin*g.Cout*9-1]
	g.pack = winogradPack[T]{g, u, w, scale, turned}
	grain := 1
	if k := g.kernels(); k.lanes > 0 {
		grain = k.lanes
	}
	Do(g.paddedN(), grain, &g.pack)
	g.pack = winogradPack[T]{}
}

// Run transforms the filters of output channels lo..hi-1.
func (p *winogradPack[T]) Run(lo, hi int) {
	g := p.g
	np, width := g.paddedN(), g.panelWidth()
	if k := g.kernels(); k.lanes > 0 {
		ws := g.Scratch.get()
		for ; lo < hi; lo += k.lanes {
			p.vector(ws, lo)
		}
		g.Scratch.put(ws)
		return
	}
	for co := lo; co < hi; co++ {
		at, pw := panelAt(g.Cin, np, width, co)
		for ci := range g.Cin {
			var f [9]float64
			switch {
			case co >= g.Cout:
			case p.turned:
				for i, v := range p.w[(ci*g.Cout+co)*9:][:9] {
					f[8-i] = float64(v)
				}
			default:
				for i, v := range p.w[(co*g.Cin+ci)*9:][:9] {
					f[i] = float64(v)
				}
			}
			if p.scale != nil && co < g.Cout {
				for i := range f {
					f[i] *= float64(p.scale[co])
				}
			}
			u := weightTile(&f)
			d := p.u[at+ci*pw:]
			for i, v := range u {
				d[i*g.weightStride()] = T(v)
			}
		}
	}
}

// vector transforms the filters of one vector of output channels from co on.
func (p *winogradPack[T]) vector(ws *workspace[T], co int) {
	g, k := p.g, p.g.kernels()
	np := g.paddedN()
	at, pw := panelAt(g.Cin, np, g.panelWidth(), co)
	f := &ws.filters
	clear(f[:])
	out, in := 9*g.Cin, 9 // distance of output and of input channels in w
	if p.turned {
		out, in = 9, 9*g.Cout
	}
	u32, f32 := any(p.u).([]float32), any(f[:]).([]float32)
	for ci := range g.Cin {
		for l := range min(k.lanes, g.Cout-co) {
			w := p.w[(co+l)*out+ci*in:][:9]
			switch {
			case p.turned:
				for i, v := range w {
					f[(8-i)*maxLanes+l] = v
				}
			case p.scale != nil:
				for i, v := range w {
					f[i*maxLanes+l] = v * p.scale[co+l]
				}
			default:
				for i, v := range w {
					f[i*maxLanes+l] = v
				}
			}
		}
		k.weights(&f32[0], 4*maxLanes, &u32[at+ci*pw], 4*g.weightStride())
	}
}
