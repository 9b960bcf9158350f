package motionfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"posefuse/skeleton"
)

// bvhPerMetre: BVH files are usually in centimetres.
const bvhPerMetre = 100

type vec = [3]float64

// turn is a rotation, rows first.
type turn [3]vec

// rest is the direction of each bone in the T-pose that a BVH file starts from: y up,
// the person's left x, forward z.
var rest = [skeleton.NumBones]vec{
	{-1, 0, 0}, {0, -1, 0}, {0, -1, 0}, {1, 0, 0}, {0, -1, 0}, {0, -1, 0},
	{0, 1, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0},
	{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0},
}

// bvh is a skeleton for a BVH file.
type bvh struct {
	children [skeleton.NumJoints][]int // bones that begin at a joint
	order    []int                     // joints with channels, as in the file
	lengths  skeleton.Lengths          // of the bones, metres
	rest     [skeleton.NumBones]vec    // directions of the bones at rest
}

// WriteBVH writes poses as a skeleton that turns: centimetres, y up, about a T-pose at
// rest, bones of their median length; head and shoulders, which turn with the chest,
// stand to it as they do on average. Poses are metres, y up, all joints known. It
// returns how far the joints of the file are from the poses on average, millimetres:
// poses whose bones change cannot be shown exactly.
func WriteBVH(w io.Writer, rateHz float64, poses []skeleton.Pose) (meanMM float64, err error) {
	if len(poses) == 0 || !(rateHz > 0) {
		return 0, errors.New("bvh: there is no motion to write")
	}
	for i := range poses {
		for j, p := range poses[i] {
			if !Point(p).Seen() {
				return 0, fmt.Errorf("bvh: frame %d: joint %s is missing, fill the gaps first", i+1, JointNames[j])
			}
		}
	}
	s := &bvh{lengths: medianLengths(poses)}
	for b, bone := range skeleton.Bones {
		s.children[bone.Parent] = append(s.children[bone.Parent], b)
	}
	s.settle(poses)
	out := bufio.NewWriter(w)
	fmt.Fprint(out, "HIERARCHY\n")
	s.joint(out, skeleton.Pelvis, vec{}, 0)
	fmt.Fprintf(out, "MOTION\nFrames: %d\nFrame Time: %.7f\n", len(poses), 1/rateHz)
	for i := range poses {
		local, off := s.turns(&poses[i])
		meanMM += 1000 * off / float64(len(poses))
		p := poses[i][skeleton.Pelvis]
		fmt.Fprintf(out, "%.4f %.4f %.4f", p[0]*bvhPerMetre, p[1]*bvhPerMetre, p[2]*bvhPerMetre)
		for _, j := range s.order {
			z, x, y := zxy(&local[j])
			fmt.Fprintf(out, " %.4f %.4f %.4f", z, x, y)
		}
		if _, err := out.WriteString("\n"); err != nil {
			return 0, fmt.Errorf("bvh: %w", err)
		}
	}
	return meanMM, out.Flush()
}

// settle finds the directions at rest. A joint with several bones has one rotation for
// all of them, so theirs are the mean of what they are in its frame.
func (s *bvh) settle(poses []skeleton.Pose) {
	s.rest = rest
	for b, bone := range skeleton.Bones {
		if len(s.children[bone.Parent]) < 2 {
			continue
		}
		var sum vec
		for i := range poses {
			p := &poses[i]
			frame := chest(p)
			if bone.Parent == skeleton.Pelvis {
				frame = pelvis(p)
			}
			to := frame.back().times(unit(sub(p[bone.Child], p[bone.Parent]), frame.times(rest[b])))
			sum = vec{sum[0] + to[0], sum[1] + to[1], sum[2] + to[2]}
		}
		s.rest[b] = unit(sum, rest[b])
	}
}

// pelvis is the rotation of the pelvis, chest that of the thorax.
func pelvis(p *skeleton.Pose) turn {
	return upright(sub(p[skeleton.LeftHip], p[skeleton.RightHip]), sub(p[skeleton.Spine], p[skeleton.Pelvis]))
}

func chest(p *skeleton.Pose) turn {
	return upright(sub(p[skeleton.LeftShoulder], p[skeleton.RightShoulder]), sub(p[skeleton.Thorax], p[skeleton.Spine]))
}

func medianLengths(poses []skeleton.Pose) (l skeleton.Lengths) {
	for b := range l {
		var v []float64
		for i := range poses {
			v = append(v, skeleton.LengthsOf(&poses[i])[b])
		}
		slices.Sort(v)
		l[b] = max(v[len(v)/2], 1e-3)
	}
	return l
}

// joint writes a joint of the hierarchy and all below it.
func (s *bvh) joint(out io.Writer, j int, offset vec, depth int) {
	in := strings.Repeat("  ", depth)
	place := func(in string) string {
		return fmt.Sprintf("%s  OFFSET %.4f %.4f %.4f\n", in, offset[0]*bvhPerMetre, offset[1]*bvhPerMetre, offset[2]*bvhPerMetre)
	}
	if len(s.children[j]) == 0 {
		fmt.Fprintf(out, "%sEnd Site\n%s{\n%s%s}\n", in, in, place(in), in)
		return
	}
	head, channels := "JOINT", "3"
	if j == skeleton.Pelvis {
		head, channels = "ROOT", "6 Xposition Yposition Zposition"
	}
	s.order = append(s.order, j)
	fmt.Fprintf(out, "%s%s %s\n%s{\n%s%s  CHANNELS %s Zrotation Xrotation Yrotation\n", in, head, JointNames[j], in, place(in), in, channels)
	for _, b := range s.children[j] {
		s.joint(out, skeleton.Bones[b].Child, scale(s.rest[b], s.lengths[b]), depth+1)
	}
	fmt.Fprintf(out, "%s}\n", in)
}

// turns gives the rotation of each joint in its parent's, and how far the joints come
// to lie from the pose on average, metres.
func (s *bvh) turns(p *skeleton.Pose) (local [skeleton.NumJoints]turn, offM float64) {
	var global [skeleton.NumJoints]turn
	var at skeleton.Pose
	at[skeleton.Pelvis] = p[skeleton.Pelvis]
	global[skeleton.Pelvis] = pelvis(p)
	local[skeleton.Pelvis] = global[skeleton.Pelvis]
	for b, bone := range skeleton.Bones { // parents first
		parent, j := global[bone.Parent], bone.Child
		to := parent.times(scale(s.rest[b], s.lengths[b]))
		at[j] = vec{at[bone.Parent][0] + to[0], at[bone.Parent][1] + to[1], at[bone.Parent][2] + to[2]}
		offM += norm(sub(at[j], p[j])) / skeleton.NumJoints
		switch kids := s.children[j]; {
		case len(kids) == 0:
			continue
		case j == skeleton.Thorax:
			global[j] = chest(p)
		default:
			k := kids[0]
			global[j] = onto(parent.times(s.rest[k]), sub(p[skeleton.Bones[k].Child], p[j])).after(parent)
		}
		local[j] = parent.back().after(global[j])
	}
	return local, offM
}

// upright is the rotation whose x is to the left and whose y is near to up.
func upright(left, up vec) turn {
	x := unit(left, vec{1, 0, 0})
	y := unit(sub(up, scale(x, dot(up, x))), vec{0, 1, 0})
	z := cross(x, y)
	return turn{{x[0], y[0], z[0]}, {x[1], y[1], z[1]}, {x[2], y[2], z[2]}}
}

// onto is the smallest rotation that turns the unit vector a to the direction of b.
func onto(a, b vec) turn {
	b = unit(b, a)
	v, c := cross(a, b), dot(a, b)
	if c < -1+1e-9 { // half a turn about anything across
		axis := unit(cross(a, vec{1, 0, 0}), vec{0, 0, 1})
		if math.Abs(a[0]) > 0.9 {
			axis = unit(cross(a, vec{0, 1, 0}), vec{0, 0, 1})
		}
		var t turn
		for i := range t {
			for k := range t {
				t[i][k] = 2 * axis[i] * axis[k]
			}
			t[i][i]--
		}
		return t
	}
	f := 1 / (1 + c)
	return turn{
		{c + f*v[0]*v[0], f*v[0]*v[1] - v[2], f*v[0]*v[2] + v[1]},
		{f*v[1]*v[0] + v[2], c + f*v[1]*v[1], f*v[1]*v[2] - v[0]},
		{f*v[2]*v[0] - v[1], f*v[2]*v[1] + v[0], c + f*v[2]*v[2]},
	}
}

// zxy gives the angles of a rotation about z, then x, then y, degrees.
func zxy(t *turn) (z, x, y float64) {
	const deg = 180 / math.Pi
	x = math.Asin(max(-1, min(1, t[2][1])))
	if math.Abs(t[2][1]) > 1-1e-9 { // z and y turn about the same axis
		return math.Atan2(t[1][0], t[0][0]) * deg, x * deg, 0
	}
	return math.Atan2(-t[0][1], t[1][1]) * deg, x * deg, math.Atan2(-t[2][0], t[2][2]) * deg
}

func (t turn) times(v vec) vec { return vec{dot(t[0], v), dot(t[1], v), dot(t[2], v)} }

func (t turn) back() (b turn) {
	for i := range t {
		for k := range t {
			b[i][k] = t[k][i]
		}
	}
	return b
}

// after is the rotation that turns by first, then by t.
func (t turn) after(first turn) (b turn) {
	for i := range t {
		for k := range t {
			for n := range t {
				b[i][k] += t[i][n] * first[n][k]
			}
		}
	}
	return b
}

func sub(a, b vec) vec            { return vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
func scale(a vec, by float64) vec { return vec{a[0] * by, a[1] * by, a[2] * by} }
func dot(a, b vec) float64        { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }
func norm(a vec) float64          { return math.Sqrt(dot(a, a)) }
func cross(a, b vec) vec {
	return vec{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// unit is a vector of length 1, or the other one where there is no direction.
func unit(a, other vec) vec {
	n := norm(a)
	if n < 1e-9 {
		return other
	}
	return scale(a, 1/n)
}
