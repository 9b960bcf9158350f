package sim

import "slices"

// recordedBody is the body of a recorded person: constant bones for a
// recording in which markers slide over skin.
type recordedBody struct {
	heightM                                      float64
	halfHip, thigh, shank                        float64
	spine, chest, neck, head                     float64 // 0-7, 7-8, 8-9, 9-10
	halfShoulder, upperArm, forearm, ankleFloorM float64
}

// measureBody takes the median length of every bone over all frames; both
// sides count as one.
func measureBody(takes []*Take) recordedBody {
	typical := func(bones ...[2]int) float64 {
		var lengths []float64
		for _, t := range takes {
			for i := 0; i < t.Len(); i += 5 {
				sk := t.raw(i)
				for _, b := range bones {
					lengths = append(lengths, vecLength(vecSub(sk[b[0]], sk[b[1]])))
				}
			}
		}
		slices.Sort(lengths)
		return lengths[len(lengths)/2]
	}
	var tops, ankles []float64
	for _, t := range takes {
		sk := t.raw(0)
		tops = append(tops, sk[10][1])
		ankles = append(ankles, min(sk[3][1], sk[6][1]))
	}
	slices.Sort(tops)
	slices.Sort(ankles)
	return recordedBody{
		heightM:     tops[len(tops)/2],
		ankleFloorM: ankles[len(ankles)/2],
		halfHip:     typical([2]int{1, 4}) / 2,
		thigh:       typical([2]int{1, 2}, [2]int{4, 5}),
		shank:       typical([2]int{2, 3}, [2]int{5, 6}),
		spine:       typical([2]int{0, 7}),
		chest:       typical([2]int{7, 8}),
		neck:        typical([2]int{8, 9}),
		head:        typical([2]int{9, 10}),

		halfShoulder: typical([2]int{8, 11}, [2]int{8, 14}),
		upperArm:     typical([2]int{11, 12}, [2]int{14, 15}),
		forearm:      typical([2]int{12, 13}, [2]int{15, 16}),
	}
}

// scaled returns the body enlarged by a factor.
func (b recordedBody) scaled(f float64) recordedBody {
	for _, v := range []*float64{
		&b.heightM, &b.halfHip, &b.thigh, &b.shank, &b.spine, &b.chest, &b.neck, &b.head,
		&b.halfShoulder, &b.upperArm, &b.forearm, &b.ankleFloorM,
	} {
		*v *= f
	}
	return b
}

// subject describes the body as a simulated person like the given one.
func (b *recordedBody) subject(like Subject) Subject {
	like.HeightM = b.heightM
	like.Segments = Segments{
		Thigh: b.thigh, Shank: b.shank, Trunk: b.spine + b.chest, HalfShoulder: b.halfShoulder,
		UpperArm: b.upperArm, Forearm: b.forearm, Neck: b.neck, HipSpacing: 2 * b.halfHip,
	}
	return like
}

// A recorded knee of a nearly straight leg may lie behind the line from hip to
// ankle, where no knee can be: only its part to the front counts, and
// kneeForwardM more, so that noise does not turn the leg around.
const kneeForwardM = 0.03

// fit moves the joints of sk so that every bone has its length: from the
// pelvis outwards along the recorded directions, but with the ankles where
// they were, so that feet stand still.
func (b *recordedBody) fit(sk *Skeleton) {
	left := vecUnit(vecSub(sk[4], sk[1]), Vec{1, 0, 0})
	forward := facing(sk)
	for i, side := range [2]float64{-1, 1} {
		hip, knee, ankle := &sk[1+3*i], &sk[2+3*i], &sk[3+3*i]
		front := vecUnit(vecCross(left, vecSub(*ankle, *hip)), forward)
		pole := vecSub(*knee, vecLerp(*hip, *ankle, 0.5))
		pole = along(pole, front, max(0, -vecDot(pole, front))+kneeForwardM)
		*hip = along(sk[0], left, side*b.halfHip)
		*knee, *ankle = bendLeg(*hip, *ankle, pole, b.thigh, b.shank)
	}
	old := *sk
	up := Vec{0, 1, 0}
	child := func(parent, joint int, length float64) {
		d := vecUnit(vecSub(old[joint], old[parent]), up)
		sk[joint] = along(sk[parent], d, length)
	}
	child(0, 7, b.spine)
	child(7, 8, b.chest)
	child(8, 9, b.neck)
	child(9, 10, b.head)
	for _, shoulder := range [2]int{11, 14} {
		child(8, shoulder, b.halfShoulder)
		child(shoulder, shoulder+1, b.upperArm)
		child(shoulder+1, shoulder+2, b.forearm)
	}
}

// mirrorJoints[j] is the joint of the other side.
var mirrorJoints = [17]int{0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13}

// mirrored returns the body with left and right exchanged, about x = 0.
func (s *Skeleton) mirrored() Skeleton {
	var m Skeleton
	for j, other := range mirrorJoints {
		m[j] = Vec{-s[other][0], s[other][1], s[other][2]}
	}
	return m
}
