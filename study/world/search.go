package world

import (
	"context"
	"errors"
	"fmt"

	"posefuse/frame"
	"posefuse/person"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors"
)

// SearchScore is how well the person is found in the LiDAR's sweeps of one room,
// against what the simulator knows of each point.
type SearchScore struct {
	// Kept is the share of the person's points that reach the network.
	Kept float64 `json:"kept"`
	// Foreign is the share of what reaches the network that lies on something
	// else: room, furniture, other people.
	Foreign float64 `json:"foreign"`
	// Points is the mean number of points of a sweep.
	Points float64 `json:"points"`
}

var errOrder = errors.New("the person search gave a point that is not of its sweep, or out of order")

// search finds the person in every sweep of the clips as the daemon does, with the
// camera's help.
func search(ctx context.Context, ds *sim.Dataset, keys []recording.Key, trained frame.Arrangement, untold bool) (SearchScore, error) {
	var onPerson, kept, found, all, frames int
	for _, key := range keys {
		clip, err := ds.Clip(key)
		if err != nil {
			return SearchScore{}, err
		}
		rig := clip.Rig()
		if untold {
			assumed := trained.Assumed()
			rig = assumed.Rig()
		}
		finder := person.NewFinder(person.Config{LiDARAtM: rig.RoomFromLiDAR.T})
		stage := person.NewStage(rig, trained, finder)
		var scan sim.LabelledScan
		var xyz, got []float32
		var joints sensors.Keypoints
		var screen [2 * person.NumKeypoints]float32
		for i := range clip.Len() {
			if err := ctx.Err(); err != nil {
				return SearchScore{}, err
			}
			atNS := int64(i+1) * recording.FramePeriodMS * 1_000_000
			if err := clip.LabelledScan(i, &scan); err != nil {
				return SearchScore{}, err
			}
			xyz = xyz[:0]
			for k := range scan.Surfaces {
				p := rig.RoomFromLiDAR.Apply([3]float64(scan.PointsM[3*k : 3*k+3]))
				xyz = append(xyz, float32(p[0]), float32(p[1]), float32(p[2]))
			}
			got = finder.Cloud(atNS, xyz, got[:0])
			at := 0 // in the sweep, of which got is a part in the same order
			for p := got; len(p) > 0; p = p[3:] {
				for at < len(scan.Surfaces) && [3]float32(xyz[3*at:3*at+3]) != [3]float32(p[:3]) {
					at++
				}
				if at == len(scan.Surfaces) {
					return SearchScore{}, fmt.Errorf("clip %s frame %d: %w", key, i+1, errOrder)
				}
				if scan.Surfaces[at] == sim.SurfacePerson {
					kept++
				}
				found++
				at++
			}
			for _, on := range scan.Surfaces {
				if on == sim.SurfacePerson {
					onPerson++
				}
			}
			all += len(scan.Surfaces)
			frames++
			seen, err := clip.Keypoints(i, &joints)
			if err != nil {
				return SearchScore{}, err
			}
			if seen {
				stage.Keypoints(atNS, &joints, screen[:])
			}
			stage.Advance()
		}
	}
	return SearchScore{
		Kept:    float64(kept) / float64(max(onPerson, 1)),
		Foreign: float64(found-kept) / float64(max(found, 1)),
		Points:  float64(all) / float64(max(frames, 1)),
	}, nil
}
