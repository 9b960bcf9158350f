package keypoint

import "math"

// region is the square of a picture that the network sees, pixels; it may reach
// beyond the picture, where it is black.
type region struct{ x, y, side float64 }

// whole returns the smallest region that holds the picture.
func whole(width, height int) region {
	side := float64(max(width, height))
	return region{(float64(width) - side) / 2, (float64(height) - side) / 2, side}
}

// place moves keypoints from the unit square to the region.
func (r region) place(k [numKeypoints]Keypoint) [numKeypoints]Keypoint {
	for i := range k {
		k[i].X, k[i].Y = r.x+k[i].X*r.side, r.y+k[i].Y*r.side
	}
	return k
}

// minCropScore is the score from which a keypoint shapes the crop.
const minCropScore = 0.2

// COCO-17 indices.
const (
	leftShoulder, rightShoulder = 5, 6
	leftHip, rightHip           = 11, 12
	numKeypoints                = 17
)

// follow returns the region in which to look for the person of k in the next
// picture: around the hips, 1.9 times the reach of the torso and 1.2 times that
// of the body, the whole picture if the torso was not seen. The rule is that of
// Google's description of MoveNet.
func follow(k *[numKeypoints]Keypoint, width, height int) region {
	seen := func(i int) bool { return k[i].Score > minCropScore }
	if !torsoSeen(k) {
		return whole(width, height)
	}
	cx, cy := (k[leftHip].X+k[rightHip].X)/2, (k[leftHip].Y+k[rightHip].Y)/2
	reach := func(i int) float64 { return max(math.Abs(k[i].X-cx), math.Abs(k[i].Y-cy)) }
	var torso, body float64
	for _, i := range [...]int{leftShoulder, rightShoulder, leftHip, rightHip} {
		torso = max(torso, reach(i))
	}
	for i := range k {
		if seen(i) {
			body = max(body, reach(i))
		}
	}
	w, h := float64(width), float64(height)
	half := max(1.9*torso, 1.2*body)
	half = min(half, max(cx, w-cx, cy, h-cy))
	if half > max(w, h)/2 || half < 1 {
		return whole(width, height)
	}
	return region{cx - half, cy - half, 2 * half}
}

// torsoSeen tells whether a hip and a shoulder were seen.
func torsoSeen(k *[numKeypoints]Keypoint) bool {
	seen := func(i int) bool { return k[i].Score > minCropScore }
	return (seen(leftHip) || seen(rightHip)) && (seen(leftShoulder) || seen(rightShoulder))
}

// near tells whether two regions are so alike that looking again would show
// nothing new.
func (r region) near(s region) bool {
	d := max(math.Abs(r.x+r.side/2-s.x-s.side/2), math.Abs(r.y+r.side/2-s.y-s.side/2), math.Abs(r.side-s.side))
	return d < 0.1*r.side
}
