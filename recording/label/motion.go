package label

import (
	"fmt"
	"io"
	"strings"

	"posefuse/recording"
	"posefuse/recording/motionfile"
)

// ReadMotion reads TRC or C3D of a reference system, whose markers or joint names
// must be known. Its joints are in the system's own frame (Own): Place brings them
// to where a session's poses are.
func ReadMotion(r io.Reader) (*Track, error) {
	m, err := motionfile.Read(r)
	if err != nil {
		return nil, err
	}
	joints, _ := m.KnownJoints()
	var missing []string
	for _, name := range motionfile.JointNames {
		if len(joints[name]) == 0 {
			missing = append(missing, name)
		}
	}
	if err = m.Check(joints); err != nil || len(missing) > 0 {
		return nil, fmt.Errorf("no markers that are known for all joints (missing: %s): name them %s", strings.Join(missing, ", "), strings.Join(motionfile.JointNames[:], ", "))
	}
	even, filled, err := m.Even(m.RateHz)
	if err != nil {
		return nil, err
	}
	if filled.LongestS > maxGapS || len(filled.LeftOut) > 0 && even.Check(joints) != nil {
		return nil, fmt.Errorf("a marker is missing for %.1f s: fill the gap or cut the file there, holes up to %g s are bridged", filled.LongestS, maxGapS)
	}
	var poses []recording.Pose
	for _, p := range even.Poses(joints) {
		poses = append(poses, recording.Pose(p))
	}
	return New(Own, even.TimesS, poses)
}
