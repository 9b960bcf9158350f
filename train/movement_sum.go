package train

import (
	"math"

	"posefuse/recording"
	"posefuse/skeleton"
)

// movementSum adds up what a MovementScore is made of, metres and seconds.
type movementSum struct {
	frames, mpjpe, pelvis, written, calibrated float64
	accelerations, acceleration                float64
	truthAcceleration, poseAcceleration        float64
	boneClips, boneSD, boneError               float64
	late, speed                                float64 // error along the velocity, and its square
}

func (s *movementSum) score(name string) MovementScore {
	mean := func(sum, n float64) float64 { return 1000 * sum / math.Max(n, 1) }
	out := MovementScore{Name: name, MPJPEMM: mean(s.mpjpe, s.frames), PelvisMM: mean(s.pelvis, s.frames), WrittenMM: mean(s.written, s.frames),
		AccelerationMM: mean(s.acceleration, s.accelerations), BoneSDMM: mean(s.boneSD, s.boneClips), BoneErrorMM: mean(s.boneError, s.boneClips)}
	if s.speed > 0 {
		out.DelayMS = 1000 * s.late / s.speed
	}
	return out
}

// clip adds the poses that were made of a clip's. Of bones that are to be kept only
// the lengths after calibration count.
func (s *movementSum) clip(clip []moment, poses []kept, keep bool) {
	from := 0
	for from < len(clip) && clip[from].standing {
		from++
	}
	clip, poses = clip[from:], poses[from:]
	for i := range clip {
		p, truth := &poses[i].Pose, &clip[i].truth
		s.frames++
		if poses[i].calibrated {
			s.calibrated++
		}
		for j := range p {
			e := minus(p[j], truth[j])
			s.mpjpe += length(e) / skeleton.NumJoints
			s.pelvis += length(minus(e, minus(p[skeleton.Pelvis], truth[skeleton.Pelvis]))) / skeleton.NumJoints
			s.written += length(minus(p[j], clip[i].written[j])) / skeleton.NumJoints
		}
		if i > 0 && i+1 < len(clip) && clip[i+1].atNS-clip[i-1].atNS == 2*frameNS {
			s.around(clip[i-1:i+2], poses[i-1:i+2])
		}
	}
	s.bones(clip, poses, keep)
}

const frameNS = recording.FramePeriodMS * 1_000_000

// around adds the acceleration of three frames in a row, and the delay of the middle
// one.
func (s *movementSum) around(m []moment, q []kept) {
	s.accelerations++
	for j := range skeleton.NumJoints {
		var square, truthSquare, poseSquare float64
		for k := range 3 {
			truth := m[0].truth[j][k] - 2*m[1].truth[j][k] + m[2].truth[j][k]
			pose := q[0].Pose[j][k] - 2*q[1].Pose[j][k] + q[2].Pose[j][k]
			square, truthSquare, poseSquare = square+(pose-truth)*(pose-truth), truthSquare+truth*truth, poseSquare+pose*pose
			v := (m[2].truth[j][k] - m[0].truth[j][k]) / (2 * frameNS * 1e-9)
			s.late += (m[1].pose[j][k] - q[1].Pose[j][k]) * v
			s.speed += v * v
		}
		s.acceleration += math.Sqrt(square) / skeleton.NumJoints
		s.truthAcceleration += math.Sqrt(truthSquare) / skeleton.NumJoints
		s.poseAcceleration += math.Sqrt(poseSquare) / skeleton.NumJoints
	}
}

// bones adds the lengths of a clip's bones.
func (s *movementSum) bones(clip []moment, poses []kept, keep bool) {
	var n float64
	var sum, squares, truth skeleton.Lengths
	for i := range poses {
		if keep && !poses[i].calibrated {
			continue
		}
		n++
		l, t := skeleton.LengthsOf(&poses[i].Pose), skeleton.LengthsOf(&clip[i].truth)
		for b := range l {
			sum[b], squares[b], truth[b] = sum[b]+l[b], squares[b]+l[b]*l[b], truth[b]+t[b]
		}
	}
	if n < 2 {
		return
	}
	s.boneClips++
	for b := range sum {
		mean := sum[b] / n
		s.boneSD += math.Sqrt(math.Max(squares[b]/n-mean*mean, 0)) / skeleton.NumBones
		s.boneError += math.Abs(mean-truth[b]/n) / skeleton.NumBones
	}
}

func minus(a, b [3]float64) [3]float64 { return [3]float64{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
func length(a [3]float64) float64      { return math.Sqrt(a[0]*a[0] + a[1]*a[1] + a[2]*a[2]) }
