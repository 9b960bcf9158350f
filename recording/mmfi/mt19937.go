package mmfi

// mt19937 is the 32-bit Mersenne Twister of Matsumoto and Nishimura (1998)
// with its plain 32-bit seeding, which the data set's random split is defined
// by. It serves nothing else.
type mt19937 struct {
	state [624]uint32
	next  int
}

func newMT19937(seed uint32) *mt19937 {
	g := &mt19937{next: 624}
	g.state[0] = seed
	for i := 1; i < len(g.state); i++ {
		prev := g.state[i-1]
		g.state[i] = 1812433253*(prev^prev>>30) + uint32(i)
	}
	return g
}

func (g *mt19937) uint32() uint32 {
	n := len(g.state)
	if g.next == n {
		for i := range n {
			y := g.state[i]&0x80000000 | g.state[(i+1)%n]&0x7fffffff
			v := g.state[(i+397)%n] ^ y>>1
			if y&1 != 0 {
				v ^= 0x9908b0df
			}
			g.state[i] = v
		}
		g.next = 0
	}
	y := g.state[g.next]
	g.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// permutation shuffles 0..n-1 by Fisher-Yates from the end; an index is drawn
// by masking the next output to the bits of i and rejecting what exceeds i.
func (g *mt19937) permutation(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i >= 1; i-- {
		mask := uint32(i)
		for s := 1; s < 32; s <<= 1 {
			mask |= mask >> s
		}
		j := g.uint32() & mask
		for j > uint32(i) {
			j = g.uint32() & mask
		}
		p[i], p[j] = p[j], p[i]
	}
	return p
}
