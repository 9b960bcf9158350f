package kernel

//go:generate go run -tags avo ./gen/winograd -out winograd_amd64.s -stubs winograd_amd64.go -pkg kernel

// The kernels of convolution that gen/winograd writes.

var convAVX512 = conv{lanes: 16, narrower: &convAVX2,
	strips: [2][]stripFunc{
		{stripavx512m1x1, stripavx512m2x1, stripavx512m3x1, stripavx512m4x1, stripavx512m5x1, stripavx512m6x1, stripavx512m7x1, stripavx512m8x1, stripavx512m9x1, stripavx512m10x1, stripavx512m11x1, stripavx512m12x1},
		{stripavx512m1x2, stripavx512m2x2, stripavx512m3x2, stripavx512m4x2, stripavx512m5x2, stripavx512m6x2, stripavx512m7x2, stripavx512m8x2, stripavx512m9x2, stripavx512m10x2, stripavx512m11x2, stripavx512m12x2},
	},
	input: winogradInputavx512, gradient: winogradGradientavx512, output: winogradOutputavx512,
	weights: winogradWeightsavx512, filter: winogradFilteravx512}

var convAVX2 = conv{lanes: 8,
	strips: [2][]stripFunc{
		{stripavx2m1x1, stripavx2m2x1, stripavx2m3x1, stripavx2m4x1, stripavx2m5x1, stripavx2m6x1},
		{stripavx2m1x2, stripavx2m2x2, stripavx2m3x2, stripavx2m4x2, stripavx2m5x2, stripavx2m6x2},
	},
	input: winogradInputavx2, gradient: winogradGradientavx2, output: winogradOutputavx2,
	weights: winogradWeightsavx2, filter: winogradFilteravx2}
