// Package skeleton is what is known of a body of 17 joints beyond a single pose:
// which joints are joined by bones, that a person's bones keep their lengths, and
// that joints move without jumps. It learns a person's lengths from quiet standing,
// keeps them afterwards, and filters poses as they come, without looking ahead.
//
// Poses may be in any frame whose axes are metres and do not move: nothing here
// asks where up is.
package skeleton

import "math"

// Joints in H36M order, the order of messages and networks.
const (
	Pelvis = iota
	RightHip
	RightKnee
	RightAnkle
	LeftHip
	LeftKnee
	LeftAnkle
	Spine
	Thorax
	Nose
	Head
	LeftShoulder
	LeftElbow
	LeftWrist
	RightShoulder
	RightElbow
	RightWrist
	NumJoints
)

// Pose holds the joints, metres.
type Pose = [NumJoints][3]float64

// Bone joins two joints; Parent is the one nearer to the pelvis.
type Bone struct{ Parent, Child int }

// NumBones is the number of bones: a tree has one fewer than joints.
const NumBones = NumJoints - 1

// Bones are the 16 bones, each after the one that its parent is the child of.
var Bones = [NumBones]Bone{
	{Pelvis, RightHip}, {RightHip, RightKnee}, {RightKnee, RightAnkle},
	{Pelvis, LeftHip}, {LeftHip, LeftKnee}, {LeftKnee, LeftAnkle},
	{Pelvis, Spine}, {Spine, Thorax}, {Thorax, Nose}, {Nose, Head},
	{Thorax, LeftShoulder}, {LeftShoulder, LeftElbow}, {LeftElbow, LeftWrist},
	{Thorax, RightShoulder}, {RightShoulder, RightElbow}, {RightElbow, RightWrist},
}

// opposite is the bone of the other side, or the bone itself in the middle.
var opposite = [NumBones]int{3, 4, 5, 0, 1, 2, 6, 7, 8, 9, 13, 14, 15, 10, 11, 12}

// Lengths holds the length of each bone, metres.
type Lengths [NumBones]float64

// LengthsOf returns the lengths of a pose's bones.
func LengthsOf(p *Pose) (l Lengths) {
	for b, e := range Bones {
		l[b] = norm(sub(p[e.Child], p[e.Parent]))
	}
	return l
}

// SizeM is about the body's height without the head, metres: legs and trunk.
func (l *Lengths) SizeM() float64 {
	const leg, otherLeg, trunk = 1, 4, 6 // thigh and shank, pelvis to thorax
	return (l[leg]+l[leg+1]+l[otherLeg]+l[otherLeg+1])/2 + l[trunk] + l[trunk+1]
}

type vec = [3]float64

func sub(a, b vec) vec           { return vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
func add(a, b vec) vec           { return vec{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }
func scale(a vec, f float64) vec { return vec{a[0] * f, a[1] * f, a[2] * f} }
func dot(a, b vec) float64       { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }
func norm(a vec) float64         { return math.Sqrt(dot(a, a)) }
