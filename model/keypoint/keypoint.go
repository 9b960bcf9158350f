// Package keypoint finds the joints of a person in a picture: MoveNet
// SinglePose (Google, Apache-2.0) in pure Go on the kernels of the pose network,
// with the crop that follows the person from picture to picture.
package keypoint

import (
	"errors"
	"fmt"
	"image"
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
func (d *Detector) Reset() { d.width = 0 }

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
		d.sampler.sample(img, d.region, d.net.input)
		p.Keypoints = d.net.run()
		for i := range p.Keypoints {
			k := &p.Keypoints[i]
			k.X, k.Y = d.region.x+k.X*d.region.side, d.region.y+k.Y*d.region.side
		}
		next := follow(&p.Keypoints, w, h)
		settled := next.near(d.region)
		d.region = next
		if !searching || settled || !torsoSeen(&p.Keypoints) {
			break
		}
	}
	p.Found = found(&p.Keypoints)
	return p, nil
}

// found tells a person from what the network makes of a picture without one.
func found(k *[numKeypoints]Keypoint) bool {
	sure := 0
	for _, p := range k {
		if p.Score >= sureScore {
			sure++
		}
	}
	return sure >= 3
}

// sureScore is the score from which a keypoint counts as seen; Google's
// description of MoveNet recommends it.
const sureScore = 0.3
