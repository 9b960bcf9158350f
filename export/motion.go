// Package export gives what a room saw to other programs: motion to OpenSim, Blender
// and spreadsheets, sets to a health record and to a sheet of paper.
package export

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"posefuse/exercise"
	"posefuse/message"
	"posefuse/recording/motionfile"
	"posefuse/skeleton"
)

// mostPoses bounds what Motion takes: half a day at 10 Hz.
const mostPoses = 450_000

// Motion collects poses for the formats of motion capture. The zero value is empty.
type Motion struct {
	Decimal Decimal // of angles

	poses  []message.Pose // joints, time and frame only
	others int            // left out: of another frame, or not after the one before
}

// Add takes the next pose. One without joints is a gap.
func (m *Motion) Add(p *message.Pose) error {
	if len(m.poses) >= mostPoses {
		return fmt.Errorf("more than %d poses: export a shorter session", mostPoses)
	}
	if n := len(m.poses); n > 0 && (p.Frame != m.poses[0].Frame || p.CaptureNS <= m.poses[n-1].CaptureNS) {
		m.others++
		return nil
	}
	kept := message.Pose{CaptureNS: p.CaptureNS, Frame: p.Frame}
	if p.JointsM != nil {
		joints := *p.JointsM
		kept.JointsM = &joints
	}
	m.poses = append(m.poses, kept)
	return nil
}

// yUp turns a place to OpenSim's axes: x forward, y up, z to the right. It is the same
// turn of the room's axes and of the camera's, in which nothing is known of the floor.
func yUp(frame string, p [3]float64) motionfile.Point {
	if frame == "room" {
		return motionfile.Point{p[1], p[2], p[0]}
	}
	return motionfile.Point{p[2], -p[1], p[0]}
}

// markers are the poses as markers in OpenSim's axes.
func (m *Motion) markers() *motionfile.Motion {
	out := &motionfile.Motion{Names: motionfile.JointNames[:], RateHz: m.rateHz(), Units: "m"}
	nan := math.NaN()
	for i := range m.poses {
		p := &m.poses[i]
		out.TimesS = append(out.TimesS, float64(p.CaptureNS-m.poses[0].CaptureNS)/1e9)
		frame := make([]motionfile.Point, skeleton.NumJoints)
		for j := range frame {
			frame[j] = motionfile.Point{nan, nan, nan}
			if p.JointsM != nil {
				frame[j] = yUp(p.Frame, p.JointsM[j])
			}
		}
		out.Points = append(out.Points, frame)
	}
	return out
}

// rateHz is the usual rate of the poses, a round one where it is near to that.
func (m *Motion) rateHz() float64 {
	var steps []int64
	for i := 1; i < len(m.poses); i++ {
		steps = append(steps, m.poses[i].CaptureNS-m.poses[i-1].CaptureNS)
	}
	if len(steps) == 0 {
		return 10
	}
	slices.Sort(steps)
	rate := 1e9 / float64(steps[len(steps)/2])
	if round := math.Round(rate); round > 0 && math.Abs(rate-round) < 0.05*round {
		return round
	}
	return math.Round(rate*100) / 100
}

// Formats are the names that Write knows.
var Formats = []string{"trc", "mot", "c3d", "bvh", "angles"}

// Write writes the motion in one of Formats and says in sentences what was made up
// or left out: trc and mot need an even rate and no gap (rateHz 0 is the poses' own),
// bvh all joints as well; c3d keeps gaps, at an even rate; angles are CSV, degrees, a
// row per pose as it was.
func (m *Motion) Write(w io.Writer, format, name string, rateHz float64) (told []string, err error) {
	if len(m.poses) == 0 {
		return nil, errors.New("the session holds no poses")
	}
	if m.others > 0 {
		told = append(told, fmt.Sprintf("%d poses are left out: of another frame than the first, or not in order of time", m.others))
	}
	if m.poses[0].Frame != "room" && format != "angles" {
		told = append(told, "the poses are in the camera's frame: the origin is the camera, and up is the camera's up; calibrate the room for the floor's")
	}
	if format == "angles" {
		return told, m.angles(w)
	}
	all := m.markers()
	if rateHz == 0 {
		rateHz = all.RateHz
	}
	even, filled, err := all.Even(rateHz)
	if err != nil {
		return nil, err
	}
	told = append(told, say(filled, len(even.Points), format)...)
	switch format {
	case "trc":
		return told, motionfile.WriteTRC(w, name, even)
	case "mot":
		columns, rows, lacking := motAngles(even)
		if len(lacking) > 0 {
			told = append(told, "angles that no frame gives are left out: "+strings.Join(lacking, ", "))
		}
		return told, motionfile.WriteMOT(w, name, rateHz, columns, rows)
	case "c3d":
		return told, motionfile.WriteC3D(w, even)
	case "bvh":
		if len(filled.LeftOut) > 0 {
			return nil, fmt.Errorf("bvh needs all 17 joints, %s was never seen; export trc", strings.Join(filled.LeftOut, ", "))
		}
		poses := make([]skeleton.Pose, len(even.Points))
		for i, frame := range even.Points {
			for j, p := range frame { // a skeleton that looks along z, as Blender takes it
				poses[i][j] = [3]float64{p[2], p[1], -p[0]}
			}
		}
		mm, err := motionfile.WriteBVH(w, rateHz, poses)
		if err == nil && mm >= 0.5 {
			told = append(told, fmt.Sprintf("bones of BVH do not change their length: joints are %.0f mm off on average", mm))
		}
		return told, err
	}
	return nil, fmt.Errorf("format %q is not known", format)
}

// say tells what was filled.
func say(f motionfile.Filled, frames int, format string) (told []string) {
	if len(f.LeftOut) > 0 && format != "bvh" {
		told = append(told, "joints that were never seen are left out: "+strings.Join(f.LeftOut, ", "))
	}
	if f.Frames > 0 {
		told = append(told, fmt.Sprintf("%d of %d frames are filled by straight lines; the longest gap is %.1f s", f.Frames, frames, f.LongestS))
	}
	if f.Held > 0 {
		told = append(told, fmt.Sprintf("%d of them lie in gaps over a second: there the last place is held, nobody moved like that", f.Held))
	}
	return told
}

// angles writes a line per pose, empty where an angle is not known.
func (m *Motion) angles(w io.Writer) error {
	out := NewTable(w, m.Decimal)
	names := exercise.AngleNames()
	head := []any{"time_s"}
	for _, n := range names {
		head = append(head, n+"_deg")
	}
	if err := out.Row(head...); err != nil {
		return err
	}
	for i := range m.poses {
		row := []any{float64(m.poses[i].CaptureNS-m.poses[0].CaptureNS) / 1e9}
		angles := exercise.Angles(&m.poses[i])
		for _, n := range names {
			v, ok := angles[n]
			if !ok {
				v = math.NaN()
			}
			row = append(row, math.Round(v*100)/100)
		}
		if err := out.Row(row...); err != nil {
			return err
		}
	}
	return out.End()
}

// motAngles are the angles of every frame, unwrapped, without holes: an angle that a
// frame does not define (the plane of an arm that hangs) keeps the value before, or at
// the start the first one.
func motAngles(even *motionfile.Motion) (columns []string, rows [][]float64, lacking []string) {
	names := exercise.AngleNames()
	values := make([][]float64, len(names))
	for _, frame := range even.Points {
		joints := new([skeleton.NumJoints][3]float64)
		for j, name := range motionfile.JointNames {
			joints[j] = [3]float64{math.NaN(), math.NaN(), math.NaN()}
			if k := even.Marker(name); k >= 0 {
				p := frame[k]
				joints[j] = [3]float64{p[2], p[0], p[1]}
			}
		}
		angles := exercise.Angles(&message.Pose{Frame: "room", JointsM: joints})
		for k, n := range names {
			v, ok := angles[n]
			if !ok {
				v = math.NaN()
			}
			values[k] = append(values[k], v)
		}
	}
	rows = make([][]float64, len(even.Points))
	for k, n := range names {
		first := slices.IndexFunc(values[k], func(v float64) bool { return !math.IsNaN(v) })
		if first < 0 {
			lacking = append(lacking, n)
			continue
		}
		columns = append(columns, n)
		last := values[k][first]
		for i, v := range values[k] {
			if !math.IsNaN(v) {
				last += math.Remainder(v-last, 360)
			}
			rows[i] = append(rows[i], last)
		}
	}
	return columns, rows, lacking
}
