package nn

// TokenHeadConfig sizes a TokenHead.
type TokenHeadConfig struct {
	N, Width int // modalities and width of their features
	Tokens   int // per modality
	Learned  int // tokens that read from those
	C        int // width of a token, a multiple of Heads
	Layers   int
	Heads    int
	Hidden   int // width between the linear layers of the feed-forward part
	Out      int
}

// TokenHead fuses in the manner of X-Fi (Chen et al. 2024): a projector per
// modality turns its feature into tokens; the tokens of the modalities that
// are present lie side by side; in each layer the learned tokens read from
// them by cross-attention and pass a feed-forward part, both with the
// normalisation before; the pose is a linear map of the learned tokens'
// normalised mean.
//
// A modality whose feature is zero in every value is absent: its tokens are
// left out, not zero. Without any modality the pose is the same for every
// sample.
type TokenHead[T Float] struct {
	TokenHeadConfig

	projectors []*Linear[T]
	learned    *Tensor[T] // [Learned, C]
	layers     []*tokenLayer[T]
	norm       *LayerNorm[T]
	fc         *Linear[T]

	b            int
	in           [][]T
	parts        [][]T  // per modality [b, Tokens·C]
	tokens       []T    // [b, N·Tokens, C]
	present      []bool // b x N·Tokens
	start        []T    // [b, Learned, C]
	mean, normed []T    // [b, C]
	out          []T
	dnormed      []T
	dmean, dx    []T
	dtokens      []T
	grads        [][]T
	sum          colSum[T]
}

// tokenLayer is one layer on the learned tokens.
type tokenLayer[T Float] struct {
	attn         *CrossAttention[T]
	f1, f2       *Linear[T]
	ln1, ln2     *LayerNorm[T]
	x, y, n1, n2 []T
	h, out       []T
	dh, dn       []T
	rows         int
}

// NewTokenHead builds the head.
func NewTokenHead[T Float](s *Store[T], name string, cfg TokenHeadConfig) *TokenHead[T] {
	h := &TokenHead[T]{TokenHeadConfig: cfg, in: make([][]T, cfg.N), parts: make([][]T, cfg.N), grads: make([][]T, cfg.N)}
	for i := range cfg.N {
		h.projectors = append(h.projectors, NewLinear(s, name+".projectors."+itoa(i), cfg.Width, cfg.Tokens*cfg.C, true))
	}
	h.learned = s.Tensor(name+".tokens", Weight, cfg.C, cfg.C, cfg.Learned, cfg.C)
	for i := range cfg.Layers {
		n := name + ".layers." + itoa(i)
		h.layers = append(h.layers, &tokenLayer[T]{
			attn: NewCrossAttention(s, n+".cross_attn", cfg.Learned, cfg.N*cfg.Tokens, cfg.C, cfg.Heads),
			f1:   NewLinear(s, n+".linear1", cfg.C, cfg.Hidden, true), f2: NewLinear(s, n+".linear2", cfg.Hidden, cfg.C, true),
			ln1: NewLayerNorm(s, n+".norm1", cfg.C), ln2: NewLayerNorm(s, n+".norm2", cfg.C)})
	}
	h.norm = NewLayerNorm(s, name+".norm", cfg.C)
	h.fc = NewLinear(s, name+".fc", cfg.C, cfg.Out, true)
	h.sum.init()
	return h
}

// Forward implements Head.
func (h *TokenHead[T]) Forward(features [][]T, b int) []T {
	h.b = b
	copy(h.in, features)
	keys, row := h.N*h.Tokens, h.Tokens*h.C
	tokens := grow(&h.tokens, b*keys*h.C)
	if cap(h.present) < b*keys {
		h.present = make([]bool, b*keys)
	}
	h.present = h.present[:b*keys]
	for m, f := range features {
		p := grow(&h.parts[m], b*row)
		h.projectors[m].Forward(f, p, b)
		for s := range b {
			has := !allZero(f[s*h.Width : (s+1)*h.Width])
			for t := range h.Tokens {
				h.present[s*keys+m*h.Tokens+t] = has
			}
			to := tokens[(s*h.N+m)*row : (s*h.N+m+1)*row]
			for i, v := range p[s*row : (s+1)*row] {
				to[i] = max(v, 0)
			}
		}
	}
	x := grow(&h.start, b*h.Learned*h.C)
	fillRows(x, h.learned.Value)
	for _, l := range h.layers {
		x = l.forward(x, tokens, h.present, b)
	}
	mean := grow(&h.mean, b*h.C)
	clear(mean)
	for s := range b {
		for t := range h.Learned {
			addRow(mean[s*h.C:(s+1)*h.C], x[(s*h.Learned+t)*h.C:], 1/T(h.Learned))
		}
	}
	h.norm.Forward(mean, grow(&h.normed, b*h.C), b)
	h.fc.Forward(h.normed, grow(&h.out, b*h.Out), b)
	return h.out
}

func allZero[T Float](x []T) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}

// Backward implements Head. The gradient of an absent feature is zero.
func (h *TokenHead[T]) Backward(dy []T) [][]T {
	b, row := h.b, h.Tokens*h.C
	h.fc.Backward(h.normed, dy, grow(&h.dnormed, b*h.C), 0, b)
	h.norm.Backward(h.mean, h.dnormed, grow(&h.dmean, b*h.C), b, false)
	dx := grow(&h.dx, b*h.Learned*h.C)
	for s := range b {
		for t := range h.Learned {
			d := dx[(s*h.Learned+t)*h.C:][:h.C]
			clear(d)
			addRow(d, h.dmean[s*h.C:], 1/T(h.Learned))
		}
	}
	clear(grow(&h.dtokens, b*h.N*row))
	for i := len(h.layers) - 1; i >= 0; i-- {
		dx = h.layers[i].backward(dx, h.dtokens)
	}
	h.sum.run(dx, h.learned.Grad, b)
	for m, l := range h.projectors {
		p := h.parts[m]
		for s := range b {
			has := h.present[(s*h.N+m)*h.Tokens]
			d := h.dtokens[(s*h.N+m)*row : (s*h.N+m+1)*row]
			for i, v := range p[s*row : (s+1)*row] {
				if has && v > 0 {
					p[s*row+i] = d[i]
				} else {
					p[s*row+i] = 0
				}
			}
		}
		l.Backward(h.in[m], p, grow(&h.grads[m], b*h.Width), 0, b)
	}
	return h.grads
}

func (l *tokenLayer[T]) forward(x, tokens []T, present []bool, b int) []T {
	l.rows = b * l.attn.Queries
	n := l.rows * l.attn.C
	l.x = x
	l.ln1.Forward(x, grow(&l.n1, n), l.rows)
	y := grow(&l.y, n)
	l.attn.Forward(l.n1, tokens, present, y, b)
	addRow(y, x, 1)
	l.ln2.Forward(y, grow(&l.n2, n), l.rows)
	h := grow(&l.h, l.rows*l.f1.Out)
	l.f1.Forward(l.n2, h, l.rows)
	for i, v := range h {
		h[i] = max(v, 0)
	}
	l.f2.Forward(h, grow(&l.out, n), l.rows)
	addRow(l.out, y, 1)
	return l.out
}

// backward overwrites dy with the gradient of the layer's input.
func (l *tokenLayer[T]) backward(dy, dtokens []T) []T {
	n := len(dy)
	dh := grow(&l.dh, len(l.h))
	l.f2.Backward(l.h, dy, dh, 0, l.rows)
	for i, v := range l.h {
		if v <= 0 {
			dh[i] = 0
		}
	}
	dn := grow(&l.dn, n)
	l.f1.Backward(l.n2, dh, dn, 0, l.rows)
	l.ln2.Backward(l.y, dn, dy, l.rows, true)
	l.attn.Backward(dy, dn, dtokens)
	l.ln1.Backward(l.x, dn, dy, l.rows, true)
	return dy
}
