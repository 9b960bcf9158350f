package train

import (
	"math"

	"posefuse/model"
	"posefuse/skeleton"
)

// JointNames are the 17 joints of every pose, in order.
var JointNames = [model.NumJoints]string{
	"pelvis", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "spine", "thorax", "neck", "head",
	"left shoulder", "left elbow", "left wrist", "right shoulder", "right elbow", "right wrist",
}

// Detail holds the other measures of the field for one coalition, each with its
// normaliser in its name. Poses are as given, without any alignment, unless the name
// says "pelvis": both poses moved so that the pelvis is the origin.
type Detail struct {
	JointMM map[string]float64 `json:"joint_mm"` // distance by joint
	// MAE is the mean absolute error per coordinate, over x, y and z and each alone:
	// what MARS and others report under the name of an error in centimetres.
	MAEMM  float64    `json:"mae_mm"`
	AxisMM [3]float64 `json:"mae_xyz_mm"`
	// NMPJPEMM is after the pose was scaled about its pelvis to fit the truth best.
	NMPJPEMM float64 `json:"n_mpjpe_pelvis_mm"`
	// Shares of joints nearer than 150 mm, and the mean of such shares over the 31
	// distances 0, 5 .. 150 mm.
	PCK150Pct float64 `json:"pck_150mm_pelvis_pct"`
	AUC150Pct float64 `json:"auc_150mm_pelvis_pct"`
	// Shares of joints nearer than 20 and 50 % of the true distance from the right
	// shoulder to the left hip, in place, as papers on WiFi report it.
	PCK20Pct float64 `json:"pck_20pct_torso_pct"`
	PCK50Pct float64 `json:"pck_50pct_torso_pct"`
	// BoneMM is the mean absolute difference of the lengths of 16 bones.
	BoneMM float64 `json:"bone_length_mm"`
	// Errors of the first and second differences of joints between neighbouring
	// frames. They are left out if fewer than two or three were evaluated in a row, as
	// with a stride.
	VelocityMM     *float64 `json:"velocity_mm_per_frame,omitempty"`
	AccelerationMM *float64 `json:"acceleration_mm_per_frame2,omitempty"`
}

const (
	aucLimitMM = 150
	aucStepMM  = 5
	shoulder   = 14 // right
	hip        = 4  // left
)

// detailSum adds up a Detail, sample by sample in the order of clips and frames.
type detailSum struct {
	n                            int
	joint                        [model.NumJoints]float64
	axis                         [3]float64
	scaled, pck150, auc          float64
	pck20, pck50, bones          float64
	velocity, acceleration       float64
	velocities, accelerations    int
	clip, frame, run             int // of the newest sample, and how many came in a row
	before, beforeThat           [model.OutputDim]float64
	pelvisPose, pelvisTruth, now [model.OutputDim]float64
}

// add counts a pose of a frame of a clip, metres.
func (s *detailSum) add(clip, frame int, pose, truth []float32) {
	s.n++
	for i := range model.OutputDim {
		s.now[i] = float64(pose[i]) - float64(truth[i])
		s.axis[i%3] += math.Abs(s.now[i])
		s.pelvisPose[i] = float64(pose[i]) - float64(pose[i%3])
		s.pelvisTruth[i] = float64(truth[i]) - float64(truth[i%3])
	}
	torso := math.Sqrt(square(s.pelvisTruth[3*shoulder:], s.pelvisTruth[3*hip:]))
	for j := range model.NumJoints {
		d := math.Sqrt(square(s.now[3*j:], nil))
		s.joint[j] += d
		if d < 0.2*torso {
			s.pck20++
		}
		if d < 0.5*torso {
			s.pck50++
		}
		mm := 1000 * math.Sqrt(square(s.pelvisPose[3*j:], s.pelvisTruth[3*j:]))
		if mm < aucLimitMM {
			s.pck150++
		}
		within := 0
		for limit := 0; limit <= aucLimitMM; limit += aucStepMM {
			if mm < float64(limit) {
				within++
			}
		}
		s.auc += float64(within) / (aucLimitMM/aucStepMM + 1)
	}
	var cross, own float64
	for i, v := range s.pelvisPose {
		cross += v * s.pelvisTruth[i]
		own += v * v
	}
	if own > 0 {
		for i := range s.pelvisPose {
			s.pelvisPose[i] *= cross / own
		}
	}
	s.scaled += model.MPJPE(s.pelvisPose[:], s.pelvisTruth[:])
	for _, b := range skeleton.Bones {
		s.bones += math.Abs(bone(pose, b)-bone(truth, b)) / skeleton.NumBones
	}
	s.motion(clip, frame)
}

// motion counts the differences to the frames before.
func (s *detailSum) motion(clip, frame int) {
	if s.n > 1 && clip == s.clip && frame == s.frame+1 {
		s.run++
	} else {
		s.run = 0
	}
	s.clip, s.frame = clip, frame
	for j := 0; j < model.OutputDim; j += 3 {
		if s.run >= 1 {
			s.velocity += math.Sqrt(square(s.now[j:], s.before[j:])) / model.NumJoints
		}
		if s.run >= 2 {
			var d [3]float64
			for k := range d {
				d[k] = s.now[j+k] - 2*s.before[j+k] + s.beforeThat[j+k]
			}
			s.acceleration += math.Sqrt(square(d[:], nil)) / model.NumJoints
		}
	}
	if s.run >= 1 {
		s.velocities++
	}
	if s.run >= 2 {
		s.accelerations++
	}
	s.beforeThat, s.before = s.before, s.now
}

// square returns the squared distance of two points, of one from the origin if b is
// nil.
func square(a, b []float64) (sum float64) {
	for k := range 3 {
		d := a[k]
		if b != nil {
			d -= b[k]
		}
		sum += d * d
	}
	return sum
}

func bone(pose []float32, b skeleton.Bone) float64 {
	var sum float64
	for k := range 3 {
		d := float64(pose[3*b.Child+k]) - float64(pose[3*b.Parent+k])
		sum += d * d
	}
	return math.Sqrt(sum)
}

func (s *detailSum) detail() Detail {
	n := math.Max(float64(s.n), 1)
	joints := n * model.NumJoints
	d := Detail{JointMM: map[string]float64{}, NMPJPEMM: 1000 * s.scaled / n, PCK150Pct: 100 * s.pck150 / joints, AUC150Pct: 100 * s.auc / joints,
		PCK20Pct: 100 * s.pck20 / joints, PCK50Pct: 100 * s.pck50 / joints, BoneMM: 1000 * s.bones / n}
	for j, name := range JointNames {
		d.JointMM[name] = 1000 * s.joint[j] / n
	}
	for k := range d.AxisMM {
		d.AxisMM[k] = 1000 * s.axis[k] / joints
		d.MAEMM += d.AxisMM[k] / 3
	}
	if s.velocities > 0 {
		v := 1000 * s.velocity / float64(s.velocities)
		d.VelocityMM = &v
	}
	if s.accelerations > 0 {
		a := 1000 * s.acceleration / float64(s.accelerations)
		d.AccelerationMM = &a
	}
	return d
}
