package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// LowFormat is a number format narrower than float32 that convolutions can
// compute in.
type LowFormat uint8

// The formats of LowConv.
const (
	// Int8 multiplies unsigned 8-bit activations by signed 8-bit weights and
	// sums in int32 (TDPBUSD of AMX, VPDPBUSD of AVX512-VNNI and AVX-VNNI; SDOT
	// and USMMLA on arm64).
	Int8 LowFormat = iota + 1
	// BFloat16 multiplies bfloat16 numbers and sums in float32 (TDPBF16PS of AMX,
	// VDPBF16PS of AVX512-BF16).
	BFloat16
)

// String returns "int8" or "bf16".
func (f LowFormat) String() string {
	switch f {
	case Int8:
		return "int8"
	case BFloat16:
		return "bf16"
	}
	return fmt.Sprintf("LowFormat(%d)", uint8(f))
}

// size returns the bytes of an activation and of a weight.
func (f LowFormat) size() int {
	if f == Int8 {
		return 1
	}
	return 2
}

// LowNative reports whether the CPU path in use has instructions for the
// format. Without them LowConv works, but slower than float32.
func LowNative(f LowFormat) bool { return active.low[f] != lowPlain }

// LowPays reports whether the CPU path in use convolves faster in the format than
// in float32, where Winograd's algorithm takes 2.25 times fewer products and more.
// bfloat16 does on AMX alone: AVX512-BF16 multiplies only twice as many numbers at
// a time as float32's instructions.
func LowPays(f LowFormat) bool {
	k := active.low[f]
	return k == lowAMX || f == Int8 && k != lowPlain
}

// lowKernels are the instructions that compute a format on a path.
type lowKernels uint8

const (
	lowPlain   lowKernels = iota // plain Go
	lowAMX                       // tiles of AMX, and AVX-512 for the rest
	lowAVX512                    // registers of 512 bits: AVX512-VNNI, AVX512-BF16
	lowAVXVNNI                   // of 256 bits, for CPUs without AVX-512
	lowDotProd                   // arm64's SDOT
	lowI8MM                      // arm64's USMMLA, and SDOT where it does not fit
)

// lowNames are those of their instructions.
var lowNames = [...]string{lowPlain: "", lowAMX: "amx", lowAVX512: "avx512", lowAVXVNNI: "avxvnni", lowDotProd: "dotprod", lowI8MM: "i8mm"}

const (
	lowPixels  = 12 // output positions of a tile
	lowBlock   = 32 // of one on AMX
	lowLanes   = 32 // output channels of a panel
	lowStep    = 4  // bytes of activations a dot product takes at once
	lowDepth   = 64 // bytes of activations AMX takes at once
	lowBorder  = 1  // zeros around a LowImage, unless it is a matrix
	lowAlign   = 64
	lowRowSize = lowLanes * 4 // bytes of one position's sums
)

// LowImage holds images in a low format, channels last, with a border of one
// zero on each side and each position's channels filled up with zeros to a
// multiple of four bytes.
type LowImage struct {
	Format  LowFormat
	Images  int
	H, W, C int
	data    []byte
	bytes   int     // per position
	at      []int32 // byte offset of each position inside the border
	border  int
}

// NewLowImage returns zero images of h x w positions with c channels.
func NewLowImage(f LowFormat, images, h, w, c int) *LowImage {
	return newLowImage(f, images, h, w, c, lowBorder)
}

// NewLowMatrix returns a zero matrix for NewLowLinear: an image of rows x 1
// positions without a border.
func NewLowMatrix(f LowFormat, rows, c int) *LowImage { return newLowImage(f, 1, rows, 1, c, 0) }

func newLowImage(f LowFormat, images, h, w, c, border int) *LowImage {
	m := lowGeometry(f, images, h, w, c, border)
	m.data = alignedBytes(images * (h + 2*border) * (w + 2*border) * m.bytes)
	m.at = make([]int32, 0, images*h*w)
	for i := range images {
		for y := range h {
			for x := range w {
				m.at = append(m.at, int32(m.offset(i, y, x)))
			}
		}
	}
	return m
}

// lowGeometry returns an image without memory.
func lowGeometry(f LowFormat, images, h, w, c, border int) *LowImage {
	return &LowImage{Format: f, Images: images, H: h, W: w, C: c, border: border,
		bytes: (c*f.size() + lowStep - 1) / lowStep * lowStep}
}

// offset returns the place of a position, which may lie on the border.
func (m *LowImage) offset(image, y, x int) int {
	return ((image*(m.H+2*m.border)+y+m.border)*(m.W+2*m.border) + x + m.border) * m.bytes
}

func alignedBytes(n int) []byte {
	b := make([]byte, n+lowAlign)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (lowAlign - 1)
	return b[skip : skip+n : skip+n]
}

// BFloat16Bits rounds to the nearest bfloat16, ties to even; numbers too small
// for a normal float32 become zero, as the instructions have it.
func BFloat16Bits(v float32) uint16 {
	u := math.Float32bits(v)
	switch exp := u & 0x7f800000; {
	case exp == 0:
		return uint16(u>>16) & 0x8000
	case v != v:
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// lowIdentity are the scale and bias of rows that are only stored.
var lowIdentity = func() (v struct{ one, zero [lowLanes]float32 }) {
	for i := range v.one {
		v.one[i] = 1
	}
	return v
}()

// Set fills m with [Images, H, W, C] numbers. In Int8 they must not be
// negative, and scale is what an activation of 1 stands for: larger numbers
// than 255 times it become 255. It works on one thread; see SetLines.
func (m *LowImage) Set(x []float32, scale float32) { m.SetLines(x, scale, 0, m.Images*m.H) }

// SetLines is Set for lines lo..hi-1 of the images one after another.
func (m *LowImage) SetLines(x []float32, scale float32, lo, hi int) {
	first, n := lo*m.W, (hi-lo)*m.W
	if n <= 0 {
		return
	}
	x = x[first*m.C : (first+n)*m.C]
	bits := unsafe.Slice((*int32)(unsafe.Pointer(&x[0])), len(x))
	for c := 0; c < m.C; c += lowLanes {
		r := lowRows{acc: bits[c:], accStride: m.C, scale: lowIdentity.one[:], bias: lowIdentity.zero[:],
			low: m.data[c*m.Format.size():], off: m.at[first : first+n], n: n, lanes: min(lowLanes, m.C-c), inv: 1 / scale}
		if m.Format == BFloat16 {
			r.floor = float32(math.Inf(-1))
		}
		r.run(m.Format, false)
	}
}
