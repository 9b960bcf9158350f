// Package keypoint finds the joints of a person in a picture: MoveNet
// SinglePose (Google, Apache-2.0) in pure Go on the kernels of the pose network,
// with the crop that follows the person from picture to picture.
package keypoint

import (
	"errors"
	"fmt"
	"image"
	"math"
)

// Keypoint is one joint in a picture.
type Keypoint struct {
	X, Y  float64 // pixels of the picture, x right, y down; the first pixel's corner is 0, 0
	Score float64 // how sure the network is, 0..1
}

// Person is what was seen in one picture.
type Person struct {
	// Found tells whether somebody is there; without, the keypoints mean
	// nothing.
	Found     bool
	Keypoints [numKeypoints]Keypoint // COCO-17 order
	// Others tells whether somebody else was in view when this was last looked
	// at, about once a second: whose joints these are may be in doubt.
	Others bool
}

// Score returns the mean score of the keypoints.
func (p *Person) Score() float64 {
	var sum float64
	for _, k := range p.Keypoints {
		sum += k.Score
	}
	return sum / numKeypoints
}

// Options choose the model.
type Options struct {
	// Model is Lightning, which is in the program ("" means it too), or the
	// safetensors file of a MoveNet that the converter wrote.
	Model string
}

// Detector finds one person's keypoints in the pictures of one camera, in their
// order: it looks where the person was. It works on the caller's thread, allocates
// nothing after the first picture, and is not safe for concurrent use.
type Detector struct {
	net     *network
	sampler sampler
	region  region
	width   int // of the picture before, 0 for none
	height  int

	others bool
	until  int // pictures before others is looked at again
}

// New reads a model.
func New(o Options) (*Detector, error) {
	if o.Model == "" {
		o.Model = Lightning
	}
	b, err := readModel(o.Model)
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(b)
	if err != nil {
		return nil, fmt.Errorf("keypoint model %s: %w", o.Model, err)
	}
	return &Detector{net: n, sampler: sampler{size: n.size}}, nil
}

// Reset forgets the person.
func (d *Detector) Reset() { d.width, d.others, d.until = 0, false, 0 }

// passes is how often a picture is looked at when the person has to be found:
// each time closer.
const passes = 3

// Detect looks at one picture of any size, which it does not keep.
func (d *Detector) Detect(img image.Image) (Person, error) {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	if w < 1 || h < 1 {
		return Person{}, errors.New("a picture without pixels")
	}
	searching := w != d.width || h != d.height || d.region == whole(w, h)
	if w != d.width || h != d.height {
		d.width, d.height, d.region = w, h, whole(w, h)
	}
	var p Person
	for range passes {
		p.Keypoints = d.look(img, d.region)
		next := follow(&p.Keypoints, w, h)
		settled := next.near(d.region)
		d.region = next
		if !searching || settled || !torsoSeen(&p.Keypoints) {
			break
		}
	}
	p.Found = found(&p.Keypoints)
	p.Others = d.somebodyElse(img, &p)
	return p, nil
}

// look runs the network on a region and returns the keypoints in the picture.
func (d *Detector) look(img image.Image, r region) [numKeypoints]Keypoint {
	d.sampler.sample(img, r, d.net.input)
	return r.place(d.net.run())
}

// othersEvery is how many pictures pass between two looks for other people.
const othersEvery = 12

// somebodyElse tells whether anybody but p is in view. Now and then it looks at
// the whole picture, in which every person has a centre.
func (d *Detector) somebodyElse(img image.Image, p *Person) bool {
	if !p.Found {
		d.others, d.until = false, 0
		return false
	}
	if d.until--; d.until > 0 {
		return d.others
	}
	d.until, d.others = othersEvery, false
	all := whole(d.width, d.height)
	d.look(img, all)
	for _, cell := range d.net.centres() {
		k := all.place(d.net.personAt(cell))
		if found(&k) && !same(&k, &p.Keypoints) {
			d.others = true
			break
		}
	}
	return d.others
}

// same tells whether two sets of keypoints are of one person: half of the joints
// that both show lie together, within a sixth of the person's extent.
func same(a, b *[numKeypoints]Keypoint) bool {
	lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, k := range b {
		if k.Score >= sureScore {
			lo[0], lo[1] = min(lo[0], k.X), min(lo[1], k.Y)
			hi[0], hi[1] = max(hi[0], k.X), max(hi[1], k.Y)
		}
	}
	extent := max(hi[0]-lo[0], hi[1]-lo[1])
	both, together := 0, 0
	for i := range a {
		if a[i].Score < sureScore || b[i].Score < sureScore {
			continue
		}
		both++
		if math.Hypot(a[i].X-b[i].X, a[i].Y-b[i].Y) < extent/6 {
			together++
		}
	}
	return 2*together >= both && both > 0
}

// found tells a person from what the network makes of a picture without one:
// drawings reach five sure keypoints, half a person has more.
func found(k *[numKeypoints]Keypoint) bool {
	sure := 0
	for _, p := range k {
		if p.Score >= sureScore {
			sure++
		}
	}
	return sure >= 6
}

// sureScore is the score from which a keypoint counts as seen; Google's
// description of MoveNet recommends it.
const sureScore = 0.3
