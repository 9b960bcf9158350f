package motionfile

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"posefuse/skeleton"
)

// JointNames are the names of the joints in files, in H36M order; where Pose2Sim
// and OpenSim's models for it have a name, that one.
var JointNames = [skeleton.NumJoints]string{
	"Hip", "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Spine", "Neck", "Nose", "Head",
	"LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist",
}

// sets of markers that are known: which of them a joint is the mean of. The
// first set that gives all joints but a few is taken.
var known = []map[string][]string{
	named(),
	{ // Plug-in Gait: markers on the skin, a joint lies between or behind them
		"Hip": {"LASI", "RASI", "LPSI", "RPSI"}, "RHip": {"RASI", "RPSI"}, "LHip": {"LASI", "LPSI"},
		"RKnee": {"RKNE"}, "LKnee": {"LKNE"}, "RAnkle": {"RANK"}, "LAnkle": {"LANK"},
		"Spine": {"T10", "STRN"}, "Neck": {"C7", "CLAV"}, "Nose": {"LFHD", "RFHD"}, "Head": {"LFHD", "RFHD", "LBHD", "RBHD"},
		"LShoulder": {"LSHO"}, "LElbow": {"LELB"}, "LWrist": {"LWRA", "LWRB"},
		"RShoulder": {"RSHO"}, "RElbow": {"RELB"}, "RWrist": {"RWRA", "RWRB"},
	},
	{ // joint centres of Plug-in Gait and of Theia
		"Hip": {"pelvis"}, "RHip": {"RHJC"}, "LHip": {"LHJC"}, "RKnee": {"RKJC"}, "LKnee": {"LKJC"}, "RAnkle": {"RAJC"}, "LAnkle": {"LAJC"},
		"LShoulder": {"LSJC"}, "LElbow": {"LEJC"}, "LWrist": {"LWJC"}, "RShoulder": {"RSJC"}, "RElbow": {"REJC"}, "RWrist": {"RWJC"},
	},
}

// named maps each joint to the marker of its name.
func named() map[string][]string {
	m := map[string][]string{}
	for _, n := range JointNames {
		m[n] = []string{n}
	}
	return m
}

// Joints says of which markers a joint is the mean, by the joint's name.
type Joints map[string][]string

// KnownJoints returns the map of markers to joints that fits the file best, among
// the sets of markers that are known, and how many of the joints it gives.
func (m *Motion) KnownJoints() (j Joints, found int) {
	for _, set := range known {
		n := 0
		for _, markers := range set {
			if m.has(markers) {
				n++
			}
		}
		if n > found {
			j, found = set, n
		}
	}
	return j, found
}

func (m *Motion) has(markers []string) bool {
	return len(markers) > 0 && !slices.ContainsFunc(markers, func(n string) bool { return m.Marker(n) < 0 })
}

// Check reports a joint that is none, and a marker that the file has not.
func (m *Motion) Check(j Joints) error {
	for _, joint := range slices.Sorted(maps.Keys(j)) {
		if !slices.Contains(JointNames[:], joint) {
			return fmt.Errorf("joint %q is not known, choose of %s", joint, strings.Join(JointNames[:], ", "))
		}
		if len(j[joint]) == 0 {
			return fmt.Errorf("joint %s: no marker named", joint)
		}
		for _, n := range j[joint] {
			if m.Marker(n) < 0 {
				return fmt.Errorf("joint %s: the file has no marker %q; it has %s", joint, n, strings.Join(m.Names, ", "))
			}
		}
	}
	return nil
}

// Poses gives the joints of every frame, metres in the file's axes, NaN where a
// marker of the joint is missing or none is named.
func (m *Motion) Poses(j Joints) []skeleton.Pose {
	var of [skeleton.NumJoints][]int
	for k, joint := range JointNames {
		for _, n := range j[joint] {
			if i := m.Marker(n); i >= 0 {
				of[k] = append(of[k], i)
			} else {
				of[k] = nil
				break
			}
		}
	}
	poses := make([]skeleton.Pose, len(m.Points))
	for f, frame := range m.Points {
		for k, markers := range of {
			for c := range 3 {
				sum := 0.0
				for _, i := range markers {
					sum += frame[i][c]
				}
				if len(markers) == 0 {
					sum = math.NaN()
				}
				poses[f][k][c] = sum / float64(max(len(markers), 1))
			}
		}
	}
	return poses
}
