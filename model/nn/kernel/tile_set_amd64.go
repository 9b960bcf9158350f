package kernel

// The tile kernels of the amd64 paths.
var (
	tilesavx512 = tileSet{masked: true, transpose: transpose8avx2, copyRows: copyrowsavx512,
		rows: [][3]tileKernel{
			1:  {nil, rows1x1avx512, rows1x2avx512},
			2:  {nil, rows2x1avx512, rows2x2avx512},
			3:  {nil, rows3x1avx512, rows3x2avx512},
			4:  {nil, rows4x1avx512, rows4x2avx512},
			5:  {nil, rows5x1avx512, rows5x2avx512},
			6:  {nil, rows6x1avx512, rows6x2avx512},
			7:  {nil, rows7x1avx512, rows7x2avx512},
			8:  {nil, rows8x1avx512, rows8x2avx512},
			9:  {nil, rows9x1avx512, rows9x2avx512},
			10: {nil, rows10x1avx512, rows10x2avx512},
			11: {nil, rows11x1avx512, rows11x2avx512},
			12: {nil, rows12x1avx512, rows12x2avx512},
		},
		keys: [][3]tileKernel{
			1:  {nil, keys1x1avx512, keys1x2avx512},
			2:  {nil, keys2x1avx512, keys2x2avx512},
			4:  {nil, keys4x1avx512, keys4x2avx512},
			8:  {nil, keys8x1avx512, keys8x2avx512},
			12: {nil, keys12x1avx512, keys12x2avx512},
		}}
	tilesavx2 = tileSet{masked: false, transpose: transpose8avx2,
		rows: [][3]tileKernel{
			1: {nil, rows1x1avx2, rows1x2avx2},
			2: {nil, rows2x1avx2, rows2x2avx2},
			3: {nil, rows3x1avx2, rows3x2avx2},
			4: {nil, rows4x1avx2, rows4x2avx2},
			5: {nil, rows5x1avx2, rows5x2avx2},
			6: {nil, rows6x1avx2, rows6x2avx2},
		},
		keys: [][3]tileKernel{
			1: {nil, keys1x1avx2, keys1x2avx2},
			2: {nil, keys2x1avx2, keys2x2avx2},
			4: {nil, keys4x1avx2, keys4x2avx2},
			6: {nil, keys6x1avx2, keys6x2avx2},
		}}
)
