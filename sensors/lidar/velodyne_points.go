package lidar

import "math"

// Times of a Velodyne's lasers, microseconds.
const (
	velodyneCycleUS = 55.296 // all lasers once
	velodyneStepUS  = 2.304  // from one laser, or pair of lasers, to the next
)

// maxVelodyneStep is the largest step of the azimuth between two firings that is
// no loss and no standing motor, 1/100 degree.
const maxVelodyneStep = 200

// laser is the geometry of one channel.
type laser struct {
	sin, cos float64 // of the elevation
	azimuth  float64 // added to the block's, radians
	addM     float64 // added to the distance
}

// VelodyneGeometry turns returns into points. It is safe for concurrent use.
type VelodyneGeometry struct {
	product VelodyneProduct
	lasers  []laser
	unitM   float64
	firings int // per block
	sinCos  [][2]float64
}

// elevations of the lasers in the order in which they fire, degrees.
var (
	vlp16Deg = []float64{-15, 1, -13, 3, -11, 5, -9, 7, -7, 9, -5, 11, -3, 13, -1, 15}
	hiResDeg = []float64{-10, 2. / 3, -26. / 3, 2, -22. / 3, 10. / 3, -6, 14. / 3, -14. / 3, 6, -10. / 3, 22. / 3, -2, 26. / 3, -2. / 3, 10}
)

// vlp32cDeg are the nominal elevations and azimuth offsets of a VLP-32C's
// lasers, degrees, from its user manual. Units differ from them by hundredths.
var vlp32cDeg = [velodyneChannels][2]float64{
	{-25, 1.4}, {-1, -4.2}, {-1.667, 1.4}, {-15.639, -1.4}, {-11.31, 1.4}, {0, -1.4}, {-0.667, 4.2}, {-8.843, -1.4},
	{-7.254, 1.4}, {0.333, -4.2}, {-0.333, 1.4}, {-6.148, -1.4}, {-5.333, 4.2}, {1.333, -1.4}, {0.667, 4.2}, {-4, -1.4},
	{-4.667, 1.4}, {1.667, -4.2}, {1, 1.4}, {-3.667, -4.2}, {-3.333, 4.2}, {3.333, -1.4}, {2.333, 1.4}, {-2.667, -1.4},
	{-3, 1.4}, {7, -1.4}, {4.667, 1.4}, {-2.333, -4.2}, {-2, 4.2}, {15, -1.4}, {10.333, 1.4}, {-1.333, -1.4},
}

// NewVelodyneGeometry returns the geometry of a product. calibration is that of
// the user's file; one of another number of lasers, or nil, leaves the nominal
// angles. The result is nil for a product that is not known.
func NewVelodyneGeometry(product VelodyneProduct, calibration []VelodyneLaser) *VelodyneGeometry {
	g := &VelodyneGeometry{product: product, unitM: float64(product.RangeUnitMM()) / 1000, firings: 2}
	lasers := calibration
	if product == VLP32C {
		g.firings = 1
	}
	if len(lasers) != velodyneChannels/g.firings {
		lasers = nominalLasers(product)
	}
	if lasers == nil {
		return nil
	}
	for _, l := range lasers {
		g.lasers = append(g.lasers, newLaser(l))
	}
	g.sinCos = make([][2]float64, velodyneMaxAzimuth+1)
	for i := range g.sinCos {
		g.sinCos[i][0], g.sinCos[i][1] = math.Sincos(float64(i) / 100 * math.Pi / 180)
	}
	return g
}

// nominalLasers returns what the vendor's manuals say of a product.
func nominalLasers(product VelodyneProduct) (out []VelodyneLaser) {
	switch product {
	case VLP16:
		for _, e := range vlp16Deg {
			out = append(out, VelodyneLaser{ElevationRad: e * math.Pi / 180})
		}
	case PuckHiRes:
		for _, e := range hiResDeg {
			out = append(out, VelodyneLaser{ElevationRad: e * math.Pi / 180})
		}
	case VLP32C:
		for _, l := range vlp32cDeg {
			out = append(out, VelodyneLaser{ElevationRad: l[0] * math.Pi / 180, AzimuthRad: l[1] * math.Pi / 180})
		}
	case noVelodyne:
	}
	return out
}

func newLaser(c VelodyneLaser) laser {
	sin, cos := math.Sincos(c.ElevationRad)
	return laser{sin: sin, cos: cos, azimuth: c.AzimuthRad, addM: c.DistanceM}
}

// firingUS returns when a firing of a block begins, after the packet's time.
func (g *VelodyneGeometry) firingUS(p *VelodynePacket, block, firing int) float64 {
	if p.Mode == VelodyneDual {
		block /= 2
	}
	return velodyneCycleUS * float64(g.firings*block+firing)
}

// packetUS returns how long a packet's firings take.
func (g *VelodyneGeometry) packetUS(mode VelodyneMode) float64 {
	blocks := velodyneBlocks
	if mode == VelodyneDual {
		blocks /= 2
	}
	return velodyneCycleUS * float64(g.firings*blocks)
}

// laserShare is which part of the way to the next firing has passed when a
// channel of a firing measures.
func (g *VelodyneGeometry) laserShare(channel int) float64 {
	if g.product == VLP32C {
		channel /= 2 // two at a time
	}
	return float64(channel) * velodyneStepUS / velodyneCycleUS
}

// step returns how far the azimuth moves from a block to the next one of another
// azimuth, 1/100 degree; 0 where packets were lost or the motor stands.
func step(p *VelodynePacket, block int) int {
	next := block + 1
	if p.Mode == VelodyneDual {
		block, next = block&^1, block&^1+2
	}
	if next >= velodyneBlocks { // the last one: as the one before
		next, block = block, block-(next-block)
	}
	d := (p.Azimuth(next) - p.Azimuth(block) + velodyneMaxAzimuth + 1) % (velodyneMaxAzimuth + 1)
	if d > maxVelodyneStep {
		return 0
	}
	return d
}

// Block appends the points of a block that lie in box to dst, n x 3 metres,
// sensor frame (x forward, where the azimuth is 0, y left, z up). Of the two
// returns of a dual block pair one that equals the other is left out.
func (g *VelodyneGeometry) Block(dst []float32, p *VelodynePacket, block int, box *Box) []float32 {
	perFiring := len(g.lasers)
	move := float64(step(p, block)) / float64(g.firings)
	azimuth := float64(p.Azimuth(block))
	second := p.Mode == VelodyneDual && block%2 == 1
	limited := box.limits()
	for channel := range velodyneChannels {
		distance, _ := p.Return(block, channel)
		if distance == 0 {
			continue
		}
		if second {
			if first, _ := p.Return(block-1, channel); first == distance {
				continue
			}
		}
		firing, k := channel/perFiring, channel%perFiring
		l := &g.lasers[k]
		sin, cos := g.direction(azimuth+move*(float64(firing)+g.laserShare(k)), l.azimuth)
		r := float64(distance)*g.unitM + l.addM
		q := [3]float64{r * l.cos * cos, -r * l.cos * sin, r * l.sin}
		if !limited || box.Contains(q) {
			dst = append(dst, float32(q[0]), float32(q[1]), float32(q[2]))
		}
	}
	return dst
}

// direction returns sine and cosine of an azimuth of hundredths of a degree and
// an offset in radians. The table is of whole hundredths; the rest is small.
func (g *VelodyneGeometry) direction(hundredths, offset float64) (sin, cos float64) {
	whole := math.Floor(hundredths)
	t := g.sinCos[int(whole)%len(g.sinCos)]
	rest := (hundredths-whole)/100*math.Pi/180 + offset
	if offset == 0 {
		// Below 1e-12 of the true value for less than a hundredth of a degree.
		s, c := rest, 1-rest*rest/2
		return t[0]*c + t[1]*s, t[1]*c - t[0]*s
	}
	s, c := math.Sincos(rest)
	return t[0]*c + t[1]*s, t[1]*c - t[0]*s
}
