package train

import (
	"context"
	"fmt"
	"math"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
	"posefuse/skeleton"
)

// MovementScore tells how poses follow the movement of people, against their true
// joints where the recording knows them.
type MovementScore struct {
	Name      string  `json:"name"`
	MPJPEMM   float64 `json:"mpjpe_mm"`
	PelvisMM  float64 `json:"pelvis_mpjpe_mm"`  // both poses moved so that the pelvis is the origin
	WrittenMM float64 `json:"written_mpjpe_mm"` // MPJPE against the ground truth as written
	// AccelerationMM is the mean length of the difference between the accelerations
	// of a joint and of its truth, millimetres a frame of 0.1 s squared.
	AccelerationMM float64 `json:"acceleration_error_mm_per_frame2"`
	BoneSDMM       float64 `json:"bone_length_sd_mm"`    // of each bone over a clip, mean
	BoneErrorMM    float64 `json:"bone_length_error_mm"` // of its mean
	DelayMS        float64 `json:"delay_ms"`             // by how much the movement comes later than from the network
}

// MovementReport is the outcome of EvaluateMovement.
type MovementReport struct {
	Data       string  `json:"data"`
	Truth      string  `json:"truth"` // "true joints" or "as written"
	Frames     int     `json:"frames"`
	Clips      int     `json:"clips"`
	Calibrated float64 `json:"calibrated_share"` // of the frames, with bones
	// TruthAccelerationMM is that of the truth itself.
	TruthAccelerationMM float64         `json:"truth_acceleration_mm_per_frame2"`
	Scores              []MovementScore `json:"scores"`
	// Delays is by how much the filter makes a body late that moves evenly, with the
	// noise of these poses.
	Delays []SpeedDelay `json:"filter_delays"`
}

// SpeedDelay is the delay at a speed.
type SpeedDelay struct {
	SpeedMS float64 `json:"speed_m_s"`
	DelayMS float64 `json:"delay_ms"`
}

// delays returns those of some speeds for poses whose second difference has a mean
// length, metres a frame squared.
func delays(noiseM float64) (out []SpeedDelay) {
	for _, v := range [...]float64{0.05, 0.1, 0.25, 0.5, 1, 2} {
		out = append(out, SpeedDelay{v, 1000 * skeleton.DelayS(v, noiseM, recording.FramePeriodMS/1000.0)})
	}
	return out
}

// standings is a data set of the people of another before their clips begin.
type standings struct{ recording.Stander }

// Open implements recording.Dataset.
func (s standings) Open(k recording.Key) (recording.Clip, error) { return s.Standing(k) }

// LoadStanding loads the people of the clips of keys as they stand quietly before,
// nil where the data set cannot show that.
func LoadStanding(ctx context.Context, ds recording.Dataset, keys []recording.Key, cfg model.Config, w model.Window) (*Data, error) {
	s, ok := ds.(recording.Stander)
	if !ok {
		return nil, nil
	}
	return Load(ctx, standings{s}, keys, cfg, LoadOptions{Window: w, Movement: true})
}

// moment is a pose with its truth, frame of the room's camera, metres.
type moment struct {
	atNS                 int64
	of                   modality.Set
	standing             bool
	pose, truth, written skeleton.Pose
}

// EvaluateMovement gives the poses of each clip of data, which was loaded with
// LoadOptions.Movement and every frame, in their order to the stage that the
// daemon's poses go through, after those of the same person in standing, which may
// be nil. Beside them it scores what a constant offset of the person would do.
func EvaluateMovement(ctx context.Context, run Poser, data, standing *Data) (*MovementReport, error) {
	clips := make([][]moment, len(data.Clips))
	for _, d := range []*Data{standing, data} {
		if d == nil {
			continue
		}
		if len(d.Clips) != len(clips) {
			return nil, fmt.Errorf("%d clips of standing people for %d clips", len(d.Clips), len(clips))
		}
		if err := d.moments(ctx, run, d == standing, clips); err != nil {
			return nil, err
		}
	}
	rep := &MovementReport{Data: data.source, Truth: "as written", Clips: len(clips)}
	if data.Clips[0].Clean != nil {
		rep.Truth = "true joints"
	}
	variants := []variant{
		{"as the network gives them", skeleton.Options{}, nil},
		{"filter", skeleton.Options{Filter: true}, nil},
		{"bones", skeleton.Options{Bones: true}, nil},
		{"filter and bones", skeleton.Options{Filter: true, Bones: true}, nil},
		{"feet put on the floor when standing", skeleton.Options{}, feetOnFloor},
		{"each joint's error when standing taken off (oracle)", skeleton.Options{}, standingError},
	}
	for i, v := range variants {
		var sum movementSum
		for c, m := range clips {
			if v.offset != nil && (standing == nil || data.Clips[c].Rig == nil) {
				continue
			}
			sum.clip(m, v.poses(m, data.Clips[c]), v.do.Bones)
		}
		if sum.frames == 0 {
			continue
		}
		rep.Scores = append(rep.Scores, sum.score(v.name))
		if i == 0 {
			triples := math.Max(sum.accelerations, 1)
			rep.Frames, rep.TruthAccelerationMM = int(sum.frames), 1000*sum.truthAcceleration/triples
			rep.Delays = delays(sum.poseAcceleration / triples)
		}
		if v.do.Bones {
			rep.Calibrated = sum.calibrated / sum.frames
		}
	}
	return rep, nil
}

// restS lies between a person's quiet standing and their clip, seconds: a gap, after
// which the filter begins anew.
const restS = 1

// moments appends the poses that run gives of the data to its clips.
func (d *Data) moments(ctx context.Context, run Poser, standing bool, clips [][]moment) error {
	batch, poses := d.NewBatch(evaluationBatch), make([]float32, evaluationBatch*model.OutputDim)
	var base int64
	for at := 0; at < len(d.Samples); at += evaluationBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(evaluationBatch, len(d.Samples)-at)
		for row := range evaluationBatch {
			d.Fill(batch, row, d.Samples[at+min(row, n-1)])
		}
		if err := run.InferBatch(batch, evaluationBatch, poses); err != nil {
			return err
		}
		for row := range n {
			ref := d.Samples[at+row]
			c, out := d.Clips[ref.Clip], &clips[ref.Clip]
			if ref.Row == 0 {
				base = 0
				if k := len(*out); k > 0 {
					base = (*out)[k-1].atNS + restS*1e9
				}
			}
			of := func(rows []float32) skeleton.Pose { return c.inCamera(rows, ref.Row) }
			m := moment{atNS: base + int64(c.Frames[ref.Row]+1)*recording.FramePeriodMS*1_000_000, of: c.Present[ref.Row], standing: standing,
				pose: c.moved(poses[row*model.OutputDim:(row+1)*model.OutputDim], ref.Row), written: of(c.Truth)}
			m.truth = m.written
			if c.Clean != nil {
				m.truth = of(c.Clean)
			}
			*out = append(*out, m)
		}
	}
	return nil
}

// inCamera returns a row of poses in the frame of the room's camera.
func (c *ClipData) inCamera(rows []float32, row int) skeleton.Pose {
	return c.moved(rows[row*model.OutputDim:(row+1)*model.OutputDim], row)
}

func (c *ClipData) moved(flat []float32, row int) (p skeleton.Pose) {
	for i, v := range flat {
		p[i/3][i%3] = float64(v)
	}
	if c.CameraFromPose != nil {
		for j := range p {
			p[j] = c.CameraFromPose[row].Apply(p[j])
		}
	}
	return p
}

// variant is something that can be done with poses.
type variant struct {
	name   string
	do     skeleton.Options
	offset func(standing []moment, roomFromCamera *frame.Transform) skeleton.Pose // taken off; nil is none
}

// kept is a pose of a variant.
type kept struct {
	skeleton.Pose
	calibrated bool
}

func (v *variant) poses(clip []moment, c *ClipData) []kept {
	stage := skeleton.NewStage(v.do)
	var off skeleton.Pose
	if v.offset != nil {
		n := 0
		for n < len(clip) && clip[n].standing {
			n++
		}
		if n == 0 {
			n = 1 // nobody was found while standing: as good as nothing known
		}
		off = v.offset(clip[:n], &c.Rig.RoomFromCamera)
	}
	out := make([]kept, len(clip))
	for i := range clip {
		p := clip[i].pose
		out[i].calibrated = stage.Next(clip[i].atNS, clip[i].of, &p)
		for j := range p {
			for k := range p[j] {
				p[j][k] -= off[j][k]
			}
		}
		out[i].Pose = p
	}
	return out
}

// standingError is the mean error of each joint in somebody who stands: no daemon
// knows it, and nothing constant that it might learn is better.
func standingError(standing []moment, _ *frame.Transform) (off skeleton.Pose) {
	for i := range standing {
		for j := range off {
			for k := range off[j] {
				off[j][k] += (standing[i].pose[j][k] - standing[i].truth[j][k]) / float64(len(standing))
			}
		}
	}
	return off
}

// ankleShare is the height of an ankle over the floor, as a share of SizeM: 5 % of
// the body's height, of which SizeM is 78 %.
const ankleShare = 0.064

// feetOnFloor is by how much the ankles of somebody who stands are higher than
// ankles are, upwards and the same for all joints.
func feetOnFloor(standing []moment, roomFromCamera *frame.Transform) (off skeleton.Pose) {
	var above float64
	for i := range standing {
		p := &standing[i].pose
		l := skeleton.LengthsOf(p)
		for _, j := range [...]int{skeleton.RightAnkle, skeleton.LeftAnkle} {
			above += (roomFromCamera.Apply(p[j])[2] - ankleShare*l.SizeM()) / float64(2*len(standing))
		}
	}
	for j := range off {
		for k := range off[j] {
			off[j][k] = above * roomFromCamera.R[2][k] // upwards, in the camera's frame
		}
	}
	return off
}
