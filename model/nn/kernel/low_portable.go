package kernel

import "math"

// lowRows is the end of a convolution for n positions of up to 32 channels:
// max(sum*scale + bias + residual, floor), stored as float32 and in a low
// format where asked. Strides are in elements.
type lowRows struct {
	acc         []int32 // sums, or the bits of float32 ones
	accStride   int
	scale, bias []float32 // lowLanes of each
	res, out    []float32 // nil without
	stride      int       // of res and out
	low         []byte    // nil without
	off         []int32   // where each position starts in low, bytes
	n, lanes    int
	floor, inv  float32
}

// lowTile is the sums of 12 positions and a panel of 32 output channels: off
// are the positions' offsets in x, delta the steps from run to run, bytes the
// length of a run, start what LowWeights say.
type lowTile struct {
	x     []byte
	off   []int32
	delta []int
	bytes int
	w     []byte
	start []int32
}

// sumPortable is sum in plain Go; the int8 result is exact.
func (d *lowTile) sumPortable(f LowFormat, acc []int32) {
	for i := range len(acc) / lowLanes {
		row := acc[i*lowLanes : (i+1)*lowLanes]
		clear(row)
		at, wp := int(d.off[i]), 0
		for _, step := range d.delta {
			for k := 0; k < d.bytes; k += lowStep {
				a, b := d.x[at+k:at+k+lowStep], d.w[wp:wp+lowRowSize]
				wp += lowRowSize
				if f == Int8 {
					dotInt8(a, b, row)
				} else {
					dotBF16(a, b, row)
				}
			}
			at += step
		}
	}
}

// from returns the rows' lanes from lane on.
func (r *lowRows) from(lane int, lowSize int) lowRows {
	s := *r
	s.acc, s.scale, s.bias, s.lanes = r.acc[lane:], r.scale[lane:], r.bias[lane:], r.lanes-lane
	if r.res != nil {
		s.res = r.res[lane:]
	}
	if r.out != nil {
		s.out = r.out[lane:]
	}
	if r.low != nil {
		s.low = r.low[lane*lowSize:]
	}
	return s
}

func dotInt8(a, b []byte, row []int32) {
	if a[0]|a[1]|a[2]|a[3] == 0 {
		return
	}
	for j := range row {
		v := b[j*lowStep : j*lowStep+lowStep]
		row[j] += int32(a[0])*int32(int8(v[0])) + int32(a[1])*int32(int8(v[1])) +
			int32(a[2])*int32(int8(v[2])) + int32(a[3])*int32(int8(v[3]))
	}
}

func dotBF16(a, b []byte, row []int32) {
	a0, a1 := bfloat16At(a), bfloat16At(a[2:])
	for j := range row {
		v := b[j*lowStep : j*lowStep+lowStep]
		s := math.Float32frombits(uint32(row[j]))
		s += float32(a0 * bfloat16At(v))
		s += float32(a1 * bfloat16At(v[2:]))
		row[j] = int32(math.Float32bits(s))
	}
}

func bfloat16At(b []byte) float32 {
	return math.Float32frombits(uint32(b[0])<<16 | uint32(b[1])<<24)
}

// runPortable is run in plain Go, to the bit.
func (r *lowRows) runPortable(to LowFormat, fromInt bool) {
	for i := range r.n {
		for j := range r.lanes {
			s := r.acc[i*r.accStride+j]
			v := float32(s)
			if !fromInt {
				v = math.Float32frombits(uint32(s))
			}
			v = float32(v*r.scale[j]) + r.bias[j]
			if r.res != nil {
				v += r.res[i*r.stride+j]
			}
			if !(v > r.floor) { // also for NaN
				v = r.floor
			}
			if r.out != nil {
				r.out[i*r.stride+j] = v
			}
			if r.low == nil {
				continue
			}
			if to == Int8 {
				q := float32(v * r.inv)
				if q > 255 {
					q = 255
				}
				r.low[int(r.off[i])+j] = byte(math.RoundToEven(float64(q)))
				continue
			}
			b := BFloat16Bits(v)
			at := int(r.off[i]) + 2*j
			r.low[at], r.low[at+1] = byte(b), byte(b>>8)
		}
	}
}
