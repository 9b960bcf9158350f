package train

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// Variation varies the samples of model.RecipeRoom while a network trains, all
// sensors of one alike, so that the people, rooms and movements there are go
// further. It never touches evaluation. The zero value changes nothing.
//
// That recipe has the person straight ahead at one place of one frame, whatever
// the room is, so that a mirrored or turned sample is one of another room that
// is as likely. Of CSI nobody knows what it would have been: a sample that is
// mirrored or turned has none.
type Variation struct {
	// Mirror swaps left and right in half of the samples.
	Mirror bool `json:"mirror,omitempty"`
	// TurnDeg turns points and pose together about the upright line through the
	// person by a random angle of at most this. What a camera would have seen is
	// not known then: networks that have one refuse it.
	TurnDeg float64 `json:"turn_deg,omitempty"`
	// KeypointM moves each keypoint by normal deviates of this standard deviation,
	// metres at the person: one that its whole window shares, and one in each set.
	KeypointM float64 `json:"keypoint_m,omitempty"`
	// JitterM moves each point by a normal deviate of this standard deviation,
	// metres, in each axis.
	JitterM float64 `json:"jitter_m,omitempty"`
	// DropPoints replaces a random share of each cloud's points, up to this, by
	// others of the same cloud, as if the sensor had not seen them.
	DropPoints float64 `json:"drop_points,omitempty"`
	// LowerM lowers everything in a share LowerShare of the samples by a normal
	// deviate of this standard deviation, metres, the camera's height too: what is
	// seen where all sensors are higher than was told. Without it a network that
	// reads how high its camera is is lost there. CSI is what it would have been.
	LowerM     float64 `json:"lower_m,omitempty"`
	LowerShare float64 `json:"lower_share,omitempty"`
}

// UsualVariation returns the one for networks of the sensors in mask. Its amounts
// are chosen by judgement, not tuned.
func UsualVariation(mask modality.Set) *Variation {
	v := &Variation{Mirror: true, KeypointM: 0.01, JitterM: 0.01, DropPoints: 0.3, LowerM: 0.2, LowerShare: 0.25}
	if !mask.Has(modality.Camera) {
		v.TurnDeg = 60
	}
	return v
}

// Check reports values that make no sense, and networks that it cannot serve.
func (v *Variation) Check(cfg model.Config) error {
	if v == nil || *v == (Variation{}) {
		return nil
	}
	switch {
	case cfg.RecipeName() != model.RecipeRoom:
		return fmt.Errorf("variation: the network's recipe is %s, where nobody knows where the person is: train recipe %s, or without it", cfg.RecipeName(), model.RecipeRoom)
	case !(v.TurnDeg >= 0 && v.TurnDeg <= 180):
		return fmt.Errorf("variation: turned by %g degrees: want 0 to 180", v.TurnDeg)
	case v.TurnDeg > 0 && cfg.Mask().Has(modality.Camera):
		return errors.New("variation: nobody knows what the camera would see of somebody who is turned: train without turning, or without the camera")
	case !(v.KeypointM >= 0 && v.KeypointM <= 1), !(v.JitterM >= 0 && v.JitterM <= 1):
		return fmt.Errorf("variation: keypoints by %g m, points by %g m: want 0 to 1", v.KeypointM, v.JitterM)
	case !(v.LowerM >= 0 && v.LowerM <= 1), !(v.LowerShare >= 0 && v.LowerShare <= 1):
		return fmt.Errorf("variation: share %g of samples lower by %g m: want 0 to 1 each", v.LowerShare, v.LowerM)
	case !(v.DropPoints >= 0 && v.DropPoints < 1):
		return fmt.Errorf("variation: share %g of points to leave out: want 0 up to below 1", v.DropPoints)
	}
	return nil
}

// variationStream separates the random numbers of a variation from others of the
// same seed.
const variationStream = 0x766172696174

// vary applies v to a row that Fill has filled. What it does depends on seed and
// number alone, which the caller counts through the training.
func (d *Data) vary(v *Variation, b *model.Batch, row int, seed, number uint64) {
	if v == nil || *v == (Variation{}) {
		return
	}
	var rng deviates
	rng.Seed(seed^variationStream, number)
	present, moved := b.Present[row], false
	pose := b.Target[row*model.OutputDim : (row+1)*model.OutputDim]
	mirrored := v.Mirror && rng.Uint64()&1 == 0
	turn := (2*rng.uniform() - 1) * v.TurnDeg * math.Pi / 180
	if mirrored {
		mirrorPose(pose, 0)
		moved = true
	}
	if turn != 0 {
		turnPose(pose, turn)
		moved = true
	}
	lower := 0.0
	if v.LowerShare > 0 && rng.uniform() < v.LowerShare {
		lower = rng.normal() * v.LowerM
		lowerPose(pose, lower)
	}
	if width := d.cfg.CameraValues(); present.Has(modality.Camera) {
		window := b.Camera[row*width : (row+1)*width]
		v.keypoints(window, mirrored, &rng)
		lowerKeypoints(window, lower)
	}
	if width := d.cfg.LiDAR.Points * model.LiDARPointDim; present.Has(modality.LiDAR) {
		v.cloud(b.LiDAR[row*width:(row+1)*width], model.LiDARPointDim, mirrored, turn, lower, &rng)
	}
	if width := d.cfg.Radar.Points * model.RadarPointDim; present.Has(modality.Radar) {
		v.cloud(b.Radar[row*width:(row+1)*width], model.RadarPointDim, mirrored, turn, lower, &rng)
	}
	if moved && present&^modality.Of(modality.CSI) != 0 {
		b.Present[row] = present &^ modality.Of(modality.CSI)
	}
}

// keypoints varies the camera's window: sets of model.ViewedKeypoints values.
func (v *Variation) keypoints(window []float32, mirror bool, rng *deviates) {
	perM := 2 * frame.AnyRoom.FocalPerWidth / frame.AnyRoom.DistanceM
	var shared [model.KeypointValues]float32
	if v.KeypointM > 0 {
		for i := range shared {
			shared[i] = float32(rng.normal() * v.KeypointM * perM)
		}
	}
	var was [model.ViewedKeypoints]float32
	for at := 0; at+len(was) <= len(window); at += len(was) {
		set := window[at : at+len(was)]
		if mirror {
			copy(was[:], set)
			for j, other := range mirrored {
				set[2*j], set[2*j+1] = -was[2*other], was[2*other+1]
				set[model.KeypointValues+j] = was[model.KeypointValues+other]
			}
		}
		if v.KeypointM > 0 {
			for i := range shared {
				set[i] += shared[i] + float32(rng.normal()*v.KeypointM*perM)
			}
		}
	}
}

// cloud varies points, rows of dim values of which the first three are x ahead,
// y to the left and z up. A cloud of zeros, which stands for none, stays.
func (v *Variation) cloud(points []float32, dim int, mirror bool, turn, lower float64, rng *deviates) {
	if !slices.ContainsFunc(points, func(x float32) bool { return x != 0 }) {
		return
	}
	if mirror {
		for i := 1; i < len(points); i += dim {
			points[i] = -points[i]
		}
	}
	if turn != 0 {
		sin, cos := math.Sincos(turn)
		s, c, ahead := float32(sin), float32(cos), float32(frame.AnyRoom.DistanceM)
		for i := 0; i+dim <= len(points); i += dim {
			x, y := points[i]-ahead, points[i+1]
			points[i], points[i+1] = ahead+c*x-s*y, s*x+c*y
		}
	}
	if lower != 0 {
		for i := 2; i < len(points); i += dim {
			points[i] -= float32(lower)
		}
	}
	if v.JitterM > 0 {
		jitter(points, dim, v.JitterM, rng)
	}
	if v.DropPoints > 0 {
		dropPoints(points, dim, v.DropPoints, rng)
	}
}

// lowerPose and lowerKeypoints do to poses and to sets of model.ViewedKeypoints
// values what cloud does to points: y is down in both.
func lowerPose(pose []float32, lower float64) {
	for i := 1; i < len(pose); i += 3 {
		pose[i] += float32(lower)
	}
}

func lowerKeypoints(window []float32, lower float64) {
	if lower == 0 {
		return
	}
	by := float32(lower * 2 * frame.AnyRoom.FocalPerWidth / frame.AnyRoom.DistanceM)
	for at := 0; at < len(window); at += model.ViewedKeypoints {
		for i := 1; i < model.KeypointValues; i += 2 {
			window[at+i] += by
		}
		window[at+model.KeypointValues+model.NumJoints] -= float32(lower)
	}
}

// turnPose turns a pose, x right, y down and z away, as cloud turns points.
func turnPose(pose []float32, turn float64) {
	sin, cos := math.Sincos(turn)
	s, c, ahead := float32(sin), float32(cos), float32(frame.AnyRoom.DistanceM)
	for i := 0; i+3 <= len(pose); i += 3 {
		x, z := pose[i], pose[i+2]-ahead
		pose[i], pose[i+2] = c*x-s*z, ahead+c*z+s*x
	}
}
