package nn

// ReprojectionConfig is what a ReprojectionHead knows of the frame in which poses
// and keypoints are.
type ReprojectionConfig struct {
	N, Width, Out int // features, values of each, values of a pose: x, y, z of each joint
	// Camera is the place of the camera's feature among the features, -1 for none.
	// Its last values are the newest set of keypoints: x and y of each of Keypoints,
	// for each 1 if it was found, then the camera's height over the floor and its
	// distance from the person, metres.
	Camera, Keypoints int
	// Pairs are keypoints and the joints that they show.
	Pairs [][2]int
	// PersonM is where people stand ahead of the origin, HeightM how high the origin
	// is over the floor, and PerM how many of the keypoints' units a metre has on the
	// upright plane through the person.
	PersonM, HeightM, PerM float64
	// FarOffM is how far beside its joint a keypoint is taken to be wrong, metres;
	// Scale brings usual offsets to the order of the other inputs.
	FarOffM, Scale float64
	Hidden         []int // widths of the correction's layers
}

// Carried returns how many values of the camera's feature are keypoints.
func (c *ReprojectionConfig) Carried() int { return 3*c.Keypoints + 2 }

// Inputs returns how many values the correction reads.
func (c *ReprojectionConfig) Inputs() int { return c.Out + 3*len(c.Pairs) + c.Carried() + c.N }

// ReprojectionHead is a PrecisionHead whose pose is corrected by how far each joint
// lies beside the line of sight on which the camera's newest keypoint has it. An
// encoder's feature tells how people move but blurs where just this hand is; the
// keypoint says that across the line of sight, and a few layers what it means for
// the depth and for the joints beside it. Without a camera they correct the pose by
// what poses are like.
//
// A modality whose feature is zero in every value is absent.
type ReprojectionHead[T Float] struct {
	ReprojectionConfig

	base       *PrecisionHead[T]
	correction perceptron[T]

	features [][]T
	b        int
	x        []T // [b, inputs]
	slope    []T // [b, 2·len(Pairs)]: of the offsets along the joint's depth
	out      []T
	dpose    []T
}

// NewReprojectionHead builds the head. Its last layer begins with zeros, so that the
// pose is the PrecisionHead's at first.
func NewReprojectionHead[T Float](s *Store[T], name string, cfg ReprojectionConfig) *ReprojectionHead[T] {
	h := &ReprojectionHead[T]{ReprojectionConfig: cfg, base: NewPrecisionHead(s, name, cfg.N, cfg.Width, cfg.Out)}
	in := cfg.Inputs()
	var layers []*Linear[T]
	for i, w := range cfg.Hidden {
		layers = append(layers, NewLinear(s, name+".correction."+itoa(i), in, w, true))
		in = w
	}
	last := &Linear[T]{In: in, Out: cfg.Out, Taps: 1,
		Weight: s.Tensor(name+".correction."+itoa(len(cfg.Hidden))+".weight", WeightZero, in, cfg.Out, cfg.Out, in),
		Bias:   s.Tensor(name+".correction."+itoa(len(cfg.Hidden))+".bias", WeightZero, in, cfg.Out, cfg.Out)}
	last.sum.init()
	h.correction.init(append(layers, last))
	return h
}

// Forward implements Head.
func (h *ReprojectionHead[T]) Forward(features [][]T, b int) []T {
	h.features, h.b = features, b
	out := grow(&h.out, b*h.Out)
	copy(out, h.base.Forward(features, b))
	h.correct(out, b, allFeatures)
	return out
}

const allFeatures = ^uint8(0)

// correct adds to poses what the layers make of them and of the features of mask.
func (h *ReprojectionHead[T]) correct(poses []T, b int, mask uint8) {
	in := h.Inputs()
	x := grow(&h.x, b*in)
	grow(&h.slope, 2*b*len(h.Pairs))
	for s := range b {
		h.read(s, poses[s*h.Out:(s+1)*h.Out], mask, x[s*in:(s+1)*in])
	}
	for i, v := range h.correction.forward(x, b) {
		poses[i] += v
	}
}

// read writes what the correction reads of sample s: the pose so far about the
// person's place; for each pair how far the line of sight is beside the joint, across
// and down, and whether the keypoint was found; the newest keypoints; which
// modalities are present.
func (h *ReprojectionHead[T]) read(s int, pose []T, mask uint8, x []T) {
	person := T(h.PersonM)
	for i, v := range pose {
		if i%3 == 2 {
			v -= person
		}
		x[i] = v
	}
	sights := x[h.Out : h.Out+3*len(h.Pairs)]
	view := x[h.Out+len(sights):][:h.Carried()]
	present := x[h.Inputs()-h.N:]
	for m, f := range h.features {
		present[m] = 0
		if mask>>m&1 == 1 && anyOf(f[s*h.Width:(s+1)*h.Width]) {
			present[m] = 1
		}
	}
	slope := h.slope[2*s*len(h.Pairs) : 2*(s+1)*len(h.Pairs)]
	clear(slope)
	if h.Camera < 0 || present[h.Camera] == 0 {
		clear(sights)
		clear(view)
		return
	}
	end := (s + 1) * h.Width
	copy(view, h.features[h.Camera][end-h.Carried():end])
	found, cameraHeight, distance := view[2*h.Keypoints:], view[3*h.Keypoints], view[3*h.Keypoints+1]
	if distance <= 0 {
		clear(sights)
		return
	}
	perM, height, far, scale := T(h.PerM), T(h.HeightM), T(h.FarOffM), T(h.Scale)
	cameraY := height - cameraHeight // y is down
	for i, p := range h.Pairs {
		k, j := p[0], pose[3*p[1]:3*p[1]+3]
		o := sights[3*i : 3*i+3]
		clear(o)
		if found[k] == 0 {
			continue
		}
		o[2] = 1
		// The line from the camera through the keypoint on the upright plane.
		planeX, planeY := view[2*k]/perM, view[2*k+1]/perM
		along := (j[2] - person + distance) / distance
		right, down := planeX*along-j[0], cameraY+(planeY-cameraY)*along-j[1]
		if right < -far || right > far || down < -far || down > far {
			o[2] = 0
			continue
		}
		o[0], o[1] = right*scale, down*scale
		slope[2*i], slope[2*i+1] = planeX/distance, (planeY-cameraY)/distance
	}
}

// Backward implements Head. The keypoints in the camera's feature get no gradient of
// the correction: nothing computes them.
func (h *ReprojectionHead[T]) Backward(dy []T) [][]T {
	d := h.correction.backward(dy)
	in, scale := h.Inputs(), T(h.Scale)
	dpose := grow(&h.dpose, h.b*h.Out)
	copy(dpose, dy)
	for s := range h.b {
		to, from := dpose[s*h.Out:(s+1)*h.Out], d[s*in:(s+1)*in]
		for i := range to {
			to[i] += from[i]
		}
		x := h.x[s*in+h.Out:]
		for i, p := range h.Pairs {
			if x[3*i+2] == 0 {
				continue
			}
			g, slope := from[h.Out+3*i:], h.slope[2*(s*len(h.Pairs)+i):]
			right, down := g[0]*scale, g[1]*scale
			to[3*p[1]] -= right
			to[3*p[1]+1] -= down
			to[3*p[1]+2] += right*slope[0] + down*slope[1]
		}
	}
	return h.base.Backward(dpose)
}

// Coalitions implements CoalitionHead.
func (h *ReprojectionHead[T]) Coalitions(features [][]T, b int, masks []uint8, out [][]T) {
	h.features, h.b = features, b
	h.base.Coalitions(features, b, masks, out)
	for i, mask := range masks {
		h.correct(out[i], b, mask)
	}
}

// Fold prepares Eval: Forward then uses packed weights until the next Fold.
func (h *ReprojectionHead[T]) Fold() {
	h.base.Fold()
	h.correction.fold()
}
