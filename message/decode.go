package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// errNoJoint says what a joint must be.
var errNoJoint = errors.New("want three numbers, or null for a joint that is not known")

// UnmarshalPose reads a pose as any publisher may have written it. Joints that
// are not 17, or not three numbers each, are an error; a joint that is null, or
// has a coordinate that is null, is unknown: all its coordinates are NaN.
func UnmarshalPose(text []byte, p *Pose) error {
	var loose struct {
		*Pose
		JointsM *[]*[]*float64 `json:"joints_m"`
	}
	loose.Pose = p
	if err := json.Unmarshal(text, &loose); err != nil {
		return err
	}
	if loose.JointsM == nil {
		p.JointsM = nil
		return nil
	}
	joints := *loose.JointsM
	if len(joints) != 17 {
		return fmt.Errorf("joints_m has %d joints, the order h36m17 has 17", len(joints))
	}
	p.JointsM = new([17][3]float64)
	for j, joint := range joints {
		if joint != nil && len(*joint) != 3 {
			return fmt.Errorf("joints_m[%d] has %d coordinates: %w", j, len(*joint), errNoJoint)
		}
		for k := range 3 {
			if joint == nil || (*joint)[k] == nil {
				p.JointsM[j] = [3]float64{math.NaN(), math.NaN(), math.NaN()}
				break
			}
			p.JointsM[j][k] = *(*joint)[k]
		}
	}
	return nil
}
