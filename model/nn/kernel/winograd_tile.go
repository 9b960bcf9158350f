package kernel

// The interpolation points ±pointA and ±pointB; their product is 1, which
// leaves the transforms fewer factors.
const (
	pointA = 2.0 / 3
	pointB = 3.0 / 2
	a2     = pointA * pointA
	b2     = pointB * pointB
	a3     = a2 * pointA
	b3     = b2 * pointB
	scaleA = 1 / (2 * a2 * (a2 - b2))
	scaleB = 1 / (2 * b2 * (b2 - a2))
)

// inputTile replaces a 6 x 6 tile d by Bᵀ·d·B.
func inputTile[T Float](d *[products]T) {
	line := func(at, step int) {
		d0, d1, d2, d3, d4, d5 := d[at], d[at+step], d[at+2*step], d[at+3*step], d[at+4*step], d[at+5*step]
		d[at] = d0 + d4 - (a2+b2)*d2
		t, v := d4-b2*d2, pointA*(d3-b2*d1)
		d[at+step], d[at+2*step] = t+v, t-v
		t, v = d4-a2*d2, pointB*(d3-a2*d1)
		d[at+3*step], d[at+4*step] = t+v, t-v
		d[at+5*step] = d1 + d5 - (a2+b2)*d3
	}
	for j := range tileIn {
		line(j, tileIn)
	}
	for i := range tileIn {
		line(i*tileIn, 1)
	}
}

// outputTile returns the 4 x 4 outputs Aᵀ·m·A.
func outputTile[T Float](m *[products]T) (y [tileOut * tileOut]T) {
	line := func(m []T, step int) (y0, y1, y2, y3 T) {
		s1, e1 := m[step]+m[2*step], m[step]-m[2*step]
		s2, e2 := m[3*step]+m[4*step], m[3*step]-m[4*step]
		return m[0] + s1 + s2, pointA*e1 + pointB*e2, a2*s1 + b2*s2, a3*e1 + b3*e2 + m[5*step]
	}
	var t [tileOut * tileIn]T // [output row, product column]
	for j := range tileIn {
		t[j], t[tileIn+j], t[2*tileIn+j], t[3*tileIn+j] = line(m[j:], tileIn)
	}
	for r := range tileOut {
		y[r*tileOut], y[r*tileOut+1], y[r*tileOut+2], y[r*tileOut+3] = line(t[r*tileIn:], 1)
	}
	return y
}

// gradientTile returns A·dy·Aᵀ of the gradient of 4 x 4 outputs.
func gradientTile[T Float](dy *[tileOut * tileOut]T) (z [products]T) {
	line := func(y0, y1, y2, y3 T, z []T, step int) {
		z[0], z[5*step] = y0, y3
		e, o := y0+a2*y2, pointA*(y1+a2*y3)
		z[step], z[2*step] = e+o, e-o
		e, o = y0+b2*y2, pointB*(y1+b2*y3)
		z[3*step], z[4*step] = e+o, e-o
	}
	var t [tileIn * tileOut]T
	for j := range tileOut {
		line(dy[j], dy[tileOut+j], dy[2*tileOut+j], dy[3*tileOut+j], t[j:], tileOut)
	}
	for i := range tileIn {
		r := t[i*tileOut : (i+1)*tileOut]
		line(r[0], r[1], r[2], r[3], z[i*tileIn:], 1)
	}
	return z
}

// weightTile returns G·g·Gᵀ of a 3 x 3 filter.
func weightTile(g *[9]float64) (u [products]float64) {
	line := func(g0, g1, g2 float64, u []float64, step int) {
		u[0], u[5*step] = g0, g2
		e, o := scaleA*(g0+a2*g2), scaleA*pointA*g1
		u[step], u[2*step] = e+o, e-o
		e, o = scaleB*(g0+b2*g2), scaleB*pointB*g1
		u[3*step], u[4*step] = e+o, e-o
	}
	var t [tileIn * 3]float64
	for j := range 3 {
		line(g[j], g[3+j], g[6+j], t[j:], 3)
	}
	for i := range tileIn {
		line(t[3*i], t[3*i+1], t[3*i+2], u[i*tileIn:], 1)
	}
	return u
}

// filterTile returns Gᵀ·u·G, the gradient of a filter from that of its
// transform.
func filterTile(u *[products]float64) (g [9]float64) {
	line := func(u []float64, step int) (g0, g1, g2 float64) {
		s1, e1 := scaleA*(u[step]+u[2*step]), scaleA*(u[step]-u[2*step])
		s2, e2 := scaleB*(u[3*step]+u[4*step]), scaleB*(u[3*step]-u[4*step])
		return u[0] + s1 + s2, pointA*e1 + pointB*e2, a2*s1 + b2*s2 + u[5*step]
	}
	var t [3 * tileIn]float64
	for j := range tileIn {
		t[j], t[tileIn+j], t[2*tileIn+j] = line(u[j:], tileIn)
	}
	for i := range 3 {
		g[3*i], g[3*i+1], g[3*i+2] = line(t[i*tileIn:], 1)
	}
	return g
}
