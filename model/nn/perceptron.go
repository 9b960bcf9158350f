package nn

import "posefuse/model/nn/kernel"

// perceptron is linear layers, one after the other, with ReLU between them.
type perceptron[T Float] struct {
	layers []*Linear[T]

	x     []T // of the last forward, not copied
	rows  int
	outs  [][]T // of each layer
	dys   [][]T // gradient of each layer's input
	relu  func(lo, hi int)
	drelu func(lo, hi int)
	reluX []T
	reluD []T
}

func (c *perceptron[T]) init(layers []*Linear[T]) {
	c.layers = layers
	c.outs, c.dys = make([][]T, len(layers)), make([][]T, len(layers))
	c.relu, c.drelu = c.reluRange, c.dreluRange
}

// forward computes rows of the last layer's output.
func (c *perceptron[T]) forward(x []T, rows int) []T {
	c.x, c.rows = x, rows
	for i, l := range c.layers {
		y := grow(&c.outs[i], rows*l.Out)
		l.Forward(x, y, rows)
		if i < len(c.layers)-1 {
			c.reluX = y
			split(len(y), 1, c.relu)
		}
		x = y
	}
	return x
}

// backward overwrites the layers' gradients and returns that of the last forward's x.
func (c *perceptron[T]) backward(dy []T) []T {
	for i := len(c.layers) - 1; i >= 0; i-- {
		l, x := c.layers[i], c.x
		if i > 0 {
			x = c.outs[i-1]
		}
		dx := grow(&c.dys[i], c.rows*l.In)
		l.Backward(x, dy, dx, 0, c.rows)
		if i > 0 {
			c.reluD, c.reluX = dx, x
			split(len(dx), 1, c.drelu)
		}
		dy = dx
	}
	return dy
}

func (c *perceptron[T]) reluRange(lo, hi int) {
	x := c.reluX[lo:hi]
	for i, v := range x {
		x[i] = max(v, 0)
	}
}

func (c *perceptron[T]) dreluRange(lo, hi int) {
	kernel.ReLUGrad(c.reluX[lo:hi], c.reluD[lo:hi], c.reluD[lo:hi])
}

func (c *perceptron[T]) fold() {
	for _, l := range c.layers {
		l.fold(nil)
	}
}
