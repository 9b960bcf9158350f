package motionfile

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/skeleton"
)

// bvhNode is a joint as a BVH file has it, read by the format's own rules.
type bvhNode struct {
	name     string
	offset   [3]float64
	channels []string
	children []*bvhNode
}

// readBVH is a second reader: it gives the places of all joints by name, in the
// units of the file, end sites after their parents with "+".
func readBVH(t fataler, text string) (frames []map[string][3]float64, frameS float64) {
	t.Helper()
	words := strings.Fields(text)
	at := 0
	next := func() string { at++; return words[at-1] }
	float := func() float64 {
		v, err := strconv.ParseFloat(next(), 64)
		if err != nil {
			t.Fatalf("%v", err)
		}
		return v
	}
	var order []*bvhNode
	var read func(name string) *bvhNode
	read = func(name string) *bvhNode {
		n := &bvhNode{name: name}
		order = append(order, n)
		if w := next(); w != "{" {
			t.Fatalf("%s: %q instead of {", name, w)
		}
		for {
			switch w := next(); w {
			case "OFFSET":
				n.offset = [3]float64{float(), float(), float()}
			case "CHANNELS":
				for range int(float()) {
					n.channels = append(n.channels, next())
				}
			case "JOINT":
				n.children = append(n.children, read(next()))
			case "End":
				next()
				n.children = append(n.children, read(name+"+"))
			case "}":
				return n
			default:
				t.Fatalf("%s: %q", name, w)
			}
		}
	}
	if next() != "HIERARCHY" || next() != "ROOT" {
		t.Fatalf("no hierarchy")
	}
	root := read(next())
	if next() != "MOTION" || next() != "Frames:" {
		t.Fatalf("no motion")
	}
	n := int(float())
	next()
	next()
	frameS = float()
	for range n {
		places := map[string][3]float64{}
		value := map[*bvhNode][]float64{}
		for _, j := range order {
			for range j.channels {
				value[j] = append(value[j], float())
			}
		}
		var place func(j *bvhNode, from [3]float64, m [3][3]float64)
		place = func(j *bvhNode, from [3]float64, m [3][3]float64) {
			o := j.offset
			p := from
			for i := range 3 {
				p[i] += m[i][0]*o[0] + m[i][1]*o[1] + m[i][2]*o[2]
			}
			for c, name := range j.channels {
				v := value[j][c]
				a := v * math.Pi / 180
				sin, cos := math.Sincos(a)
				switch name {
				case "Xposition":
					p[0] += v
				case "Yposition":
					p[1] += v
				case "Zposition":
					p[2] += v
				case "Xrotation":
					m = product(m, [3][3]float64{{1, 0, 0}, {0, cos, -sin}, {0, sin, cos}})
				case "Yrotation":
					m = product(m, [3][3]float64{{cos, 0, sin}, {0, 1, 0}, {-sin, 0, cos}})
				case "Zrotation":
					m = product(m, [3][3]float64{{cos, -sin, 0}, {sin, cos, 0}, {0, 0, 1}})
				}
			}
			places[j.name] = p
			for _, k := range j.children {
				place(k, p, m)
			}
		}
		place(root, [3]float64{}, [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}})
		frames = append(frames, places)
	}
	if at != len(words) {
		t.Fatalf("%d words are left", len(words)-at)
	}
	return frames, frameS
}

func product(a, b [3][3]float64) (c [3][3]float64) {
	for i := range 3 {
		for k := range 3 {
			for n := range 3 {
				c[i][k] += a[i][n] * b[n][k]
			}
		}
	}
	return c
}

// TestBVH: a body of fixed bones, however it is bent, has its joints in the file where
// they were; one whose bones change is as far off as is said.
func TestBVH(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &bvh{}
		for b, bone := range skeleton.Bones {
			s.children[bone.Parent] = append(s.children[bone.Parent], b)
			s.lengths[b] = rapid.Float64Range(0.08, 0.5).Draw(t, "length")
		}
		angle := rapid.Float64Range(-3.1, 3.1)
		var poses []skeleton.Pose
		for range rapid.IntRange(1, 4).Draw(t, "frames") {
			var p skeleton.Pose
			var m [skeleton.NumJoints][3][3]float64
			p[0] = [3]float64{1, angle.Draw(t, "y"), -2}
			for j := range m {
				m[j] = [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
			}
			for b, bone := range skeleton.Bones {
				if b == 0 || bone.Child != skeleton.RightHip && bone.Child != skeleton.LeftHip && bone.Parent != skeleton.Pelvis {
					sin, cos := math.Sincos(angle.Draw(t, "turn"))
					by := [][3][3]float64{{{1, 0, 0}, {0, cos, -sin}, {0, sin, cos}}, {{cos, 0, sin}, {0, 1, 0}, {-sin, 0, cos}}, {{cos, -sin, 0}, {sin, cos, 0}, {0, 0, 1}}}
					if len(s.children[bone.Parent]) == 1 || b == 0 {
						m[bone.Parent] = product(m[bone.Parent], by[rapid.IntRange(0, 2).Draw(t, "axis")])
					}
				}
				m[bone.Child] = m[bone.Parent]
				for i := range 3 {
					p[bone.Child][i] = p[bone.Parent][i]
					for k := range 3 {
						p[bone.Child][i] += m[bone.Parent][i][k] * rest[b][k] * s.lengths[b]
					}
				}
			}
			poses = append(poses, p)
		}
		stretch := rapid.SampledFrom([]float64{0, 0.03}).Draw(t, "stretch")
		for i := range poses {
			poses[i][skeleton.RightWrist][1] += stretch * float64(i)
		}
		var b bytes.Buffer
		mm, err := WriteBVH(&b, 10, poses)
		if err != nil {
			t.Fatal(err)
		}
		frames, frameS := readBVH(t, b.String())
		if len(frames) != len(poses) || math.Abs(frameS-0.1) > 1e-7 {
			t.Fatalf("%d frames of %g s", len(frames), frameS)
		}
		sum := 0.0
		for i := range poses {
			for j, p := range poses[i] {
				name := JointNames[j]
				if len(s.children[j]) == 0 {
					for _, bone := range skeleton.Bones {
						if bone.Child == j {
							name = JointNames[bone.Parent] + "+"
						}
					}
				}
				q, ok := frames[i][name]
				if !ok {
					t.Fatalf("no joint %s", name)
				}
				d := math.Hypot(math.Hypot(q[0]/100-p[0], q[1]/100-p[1]), q[2]/100-p[2])
				sum += 1000 * d / 17 / float64(len(poses))
				if stretch == 0 && d > 1e-4 {
					t.Fatalf("frame %d, %s: %v, want %v", i, name, q, p)
				}
			}
		}
		if math.Abs(sum-mm) > 0.1 {
			t.Fatalf("%g mm off, said %g", sum, mm)
		}
	})
	var p skeleton.Pose
	p[3][1] = math.NaN()
	if _, err := WriteBVH(new(bytes.Buffer), 10, []skeleton.Pose{p}); err == nil || !strings.Contains(err.Error(), "frame 1: joint RAnkle is missing") {
		t.Errorf("error %v", err)
	}
}

// TestMOT: the header counts what follows, and no value is missing.
func TestMOT(t *testing.T) {
	var b bytes.Buffer
	if err := WriteMOT(&b, "set one", 10, []string{"kneeFlexionLeft", "trunkLean"}, [][]float64{{1, 2}, {3.25, -4}}); err != nil {
		t.Fatal(err)
	}
	want := "set one\nversion=1\nnRows=2\nnColumns=3\ninDegrees=yes\nendheader\ntime\tkneeFlexionLeft\ttrunkLean\n0.000000\t1.0000\t2.0000\n0.100000\t3.2500\t-4.0000\n"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
	if err := WriteMOT(&b, "x", 10, []string{"a"}, [][]float64{{math.NaN()}}); err == nil || !strings.Contains(err.Error(), "row 1: a is no number") {
		t.Errorf("error %v", err)
	}
}

// TestBVHHeadForward: a head that is held forward and shoulders that hang are no error:
// how they stand to the chest is that of the rest pose.
func TestBVHHeadForward(t *testing.T) {
	var poses []skeleton.Pose
	for i := range 5 {
		sin, cos := math.Sincos(float64(i) / 3)
		p := skeleton.Pose{{0, 1, 0}, {-.1, 1, 0}, {-.1, .5, 0}, {-.1, .1, 0}, {.1, 1, 0}, {.1, .5, 0}, {.1, .1, 0}, {0, 1.25, 0}, {0, 1.5, 0}, {0, 1.62, .12}, {0, 1.75, .05},
			{.2, 1.45, 0}, {.25, 1.2, 0}, {.25, .95, .05}, {-.2, 1.45, 0}, {-.25, 1.2, 0}, {-.25, .95, .05}}
		for j, q := range p {
			p[j] = [3]float64{cos*q[0] + sin*q[2], q[1], cos*q[2] - sin*q[0]}
		}
		poses = append(poses, p)
	}
	var b bytes.Buffer
	if mm, err := WriteBVH(&b, 10, poses); err != nil || mm > 0.01 {
		t.Fatalf("%v, %.3f mm off", err, mm)
	}
	frames, _ := readBVH(t, b.String())
	for i := range poses {
		for name, j := range map[string]int{"Nose": skeleton.Nose, "Nose+": skeleton.Head, "LShoulder": skeleton.LeftShoulder} {
			q, p := frames[i][name], poses[i][j]
			if d := math.Hypot(math.Hypot(q[0]/100-p[0], q[1]/100-p[1]), q[2]/100-p[2]); d > 1e-4 {
				t.Errorf("frame %d: %s is %.1f mm off", i, name, 1000*d)
			}
		}
	}
}
