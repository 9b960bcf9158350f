// Package train turns recordings into trained networks: it loads and prepares
// clips, runs the training loop and evaluates models.
package train

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// Data holds prepared samples of a set of clips in memory: everything the
// network's inputs need, after preprocessing. At edge size a frame takes 20 kB
// with all modalities and 1.5 kB with the radar alone; with a stride every
// skipped frame still takes 136 bytes of keypoints if the network has a camera.
type Data struct {
	Clips []*ClipData
	// Samples lists every prepared frame, in clip order.
	Samples []SampleRef
	cfg     model.Config
	window  model.Window
	source  string // what the data set says of itself
	stride  int
	left    *problems // that kept parts of it out; nil if it was joined
}

// SampleRef names one prepared frame: Data.Clips[Clip], row Row of that clip.
type SampleRef struct{ Clip, Row int }

// ClipData is one clip, prepared. Camera holds every frame, because the
// temporal window needs neighbours; the rest holds the rows, the frames
// selected. Slices of modalities that were not loaded are nil.
type ClipData struct {
	Key    recording.Key
	Rig    *frame.Rig // nil if the clip does not tell
	Frames []int      // frame index, 0-based, of each row
	Camera []float32  // frames x 34, screen-normalised
	// CameraFrom is, per frame, the first of its window that shows the same
	// person; nil without a stage.
	CameraFrom []int32
	LiDAR      []float32 // rows x points x 3
	Radar      []float32 // rows x points x 5
	CSI        []float32 // rows x 3420
	Truth      []float32 // rows x 51, metres
	// Taught are the poses that Data.Teach noted of each row, rows x modality.All+1 x
	// 51 by the sensors they are of; nil where a network is to learn the truth.
	Taught []float32
	// Clean are the true joints of each row, in the frame of Truth, where the clip
	// knows them apart from its ground truth, and CameraFromPose brings each row's
	// pose and truth into the frame of the room's camera, where a stage moved them.
	// Both are nil unless LoadOptions.Movement asked.
	Clean          []float32
	CameraFromPose []frame.Transform
	// Present are the sensors that take part in each row: those whose samples the
	// daemon could have used.
	Present    []modality.Set
	EmptyLiDAR int // rows without any LiDAR point
	EmptyRadar int // rows without any radar point
	// Nobody counts the selected frames in which no sensor told where a person is,
	// so that a daemon gives no pose. For a network for any room they are no rows.
	Nobody int
	// Broken counts selected frames that SkipBroken left out, LeftOut those that the
	// data set leaves out by design. Neither are rows.
	Broken, LeftOut int
	odd             oddities
	// PaddedCamera counts rows whose camera window reaches beyond the clip,
	// where the first or last frame stands in.
	PaddedCamera int
}

// LoadOptions says which frames of the clips to prepare.
type LoadOptions struct {
	Window   model.Window          // of the camera encoder
	Stride   int                   // every Stride-th frame of the part; 1 if 0. The first frame differs from clip to clip.
	Part     Part                  // of each clip; the whole of it if zero
	Progress func(done, total int) // called after each clip, from several goroutines; may be nil
	// Stage makes the intake of a clip that finds the person: the network sees
	// them in its arrangement, and the truth goes there too. nil leaves the frames
	// as they are.
	Stage func(recording.Clip) (*intake.Intake, error)
	// Unlabelled leaves the truth at zero where the clips have none, see Data.Label.
	Unlabelled bool
	// SkipBroken leaves out frames that cannot be read or whose truth cannot be right,
	// and clips that cannot be opened, instead of refusing the data. They are counted,
	// and Data.Left names them.
	SkipBroken bool
	// Movement asks for what tells how poses follow a movement: ClipData.Clean and
	// CameraFromPose.
	Movement bool
}

// Load prepares the clips of keys for a network of configuration cfg, on all
// cores: of the sensors only those that cfg.Mask() names. A data set that says
// it lacks one of them is refused before anything is read. Data that is damaged
// is refused with a BrokenError that names all of it, unless SkipBroken is set.
func Load(ctx context.Context, ds recording.Dataset, keys []recording.Key, cfg model.Config, opt LoadOptions) (*Data, error) {
	if opt.Window != model.Causal && opt.Window != model.Centred {
		return nil, fmt.Errorf("camera window %q: use %q or %q", opt.Window, model.Causal, model.Centred)
	}
	if err := opt.Part.Check(); err != nil {
		return nil, err
	}
	if err := checkSensors(ds, cfg.Mask()); err != nil {
		return nil, err
	}
	d := &Data{Clips: make([]*ClipData, len(keys)), cfg: cfg, window: opt.Window, source: ds.Describe(), stride: opt.Stride, left: &problems{}}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(keys) {
					return
				}
				c, err := prepareClip(ctx, ds, keys[i], cfg, opt, d.left)
				if err != nil {
					cancel(fmt.Errorf("clip %s: %w", keys[i], err))
					return
				}
				d.Clips[i] = c
				if n := int(done.Add(1)); opt.Progress != nil {
					opt.Progress(n, len(keys))
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := d.left.err(ds); err != nil && !opt.SkipBroken {
		return nil, err
	}
	for i, c := range d.Clips {
		for r := range c.Frames {
			d.Samples = append(d.Samples, SampleRef{i, r})
		}
	}
	if found := d.Found(); len(d.Samples) == 0 && found.Ticks > 0 {
		return d, fmt.Errorf("%w: %d frames of %s", ErrNobody, found.Ticks, ds.Describe())
	}
	if err := d.left.err(ds); len(d.Samples) == 0 && err != nil {
		return nil, fmt.Errorf("nothing is left to load: %w", err)
	}
	if len(d.Samples) == 0 {
		return nil, fmt.Errorf("no frames to load: %d clips of %s", len(keys), ds.Describe())
	}
	return d, nil
}

// prepareClip prepares one clip. What is damaged goes to left; an error ends the
// loading.
func prepareClip(ctx context.Context, ds recording.Dataset, key recording.Key, cfg model.Config, opt LoadOptions, left *problems) (*ClipData, error) {
	clip, err := ds.Open(key)
	if err == nil && clip.Len() == 0 {
		err = errors.New("holds no frame")
	}
	if err != nil {
		left.clip(key, err)
		return &ClipData{Key: key}, nil
	}
	n, need, window := clip.Len(), cfg.Mask(), cameraWindow(opt.Window)
	from, to := opt.Part.rowsOf(clip)
	stride := max(opt.Stride, 1)
	first := (key.Subject*7 + key.Activity*3) % stride % max(min(stride, to-from), 1)
	c := &ClipData{Key: key}
	c.reserve((to-from+stride-1)/stride, n, cfg)
	stage := opt.Stage
	if stage == nil && cfg.Recipe == model.RecipeRoom {
		stage = PersonStage(frame.AnyRoom) // such a network knows nothing else
	}
	through, err := newFeed(clip, cfg, stage)
	if err != nil {
		return nil, err
	}
	if through.staged {
		c.CameraFrom = make([]int32, n)
	}
	if rig, ok := frame.RigOf(clip); ok {
		c.Rig = &rig
	}
	var f recording.Frame
	for i := range n {
		wanted := i >= from && i < to && (i-from)%stride == first
		which := need
		if !wanted && !through.staged { // the stage follows the person from frame to frame
			which &= modality.Of(modality.Camera) // a neighbour in somebody's camera window
		}
		if !wanted {
			which &^= modality.Of(modality.CSI)
		}
		if which == 0 && !wanted {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.Scores, f.Absent, f.CaptureNS = f.Scores[:0], 0, [modality.Count]int64{}
		read, err := readSensors(clip, i, which, &f)
		var truth recording.Pose
		if err == nil && wanted && !opt.Unlabelled {
			err = c.truthOf(clip, i, &truth, opt.SkipBroken)
		}
		usable := left.frame(c, i, err, wanted)
		f.Absent |= which &^ read
		if wanted && usable {
			c.odd.look(i, read, &f)
		}
		if err := through.take(i, &f, read); err != nil {
			usable = left.frame(c, i, err, wanted)
		}
		if need.Has(modality.Camera) {
			copy(c.Camera[i*cfg.KeypointFrame():], through.keypoints)
			if through.staged {
				c.CameraFrom[i] = through.since(i)
			}
		}
		place := through.in.End(which)
		if !wanted || !usable {
			continue
		}
		if !place.Found {
			c.Nobody++
			if cfg.Recipe == model.RecipeRoom {
				continue
			}
		}
		if err := c.appendRow(i, through, &place, &truth); err != nil {
			left.frame(c, i, err, true)
			continue
		}
		if opt.Movement {
			if err := c.appendMovement(clip, i, &place); err != nil {
				return nil, fmt.Errorf("frame %d: %w", i+1, err)
			}
		}
		if need.Has(modality.Camera) && window.Padding(i, n) > 0 {
			c.PaddedCamera++
		}
	}
	return c, nil
}

// imageSize returns the size of the image that a clip's keypoints lie in, pixels:
// its camera's where somebody noted it, else MM-Fi's.
func imageSize(clip recording.Clip) (width, height float64) {
	if rig, ok := frame.RigOf(clip); ok {
		return float64(rig.Camera.WidthPx), float64(rig.Camera.HeightPx)
	}
	return imageWidth, imageHeight
}

// cameraWindow returns the frames that the camera encoder sees around its
// target.
func cameraWindow(w model.Window) recording.Window {
	if w == model.Centred {
		return recording.Window{Before: model.CameraWindow / 2, After: model.CameraWindow - 1 - model.CameraWindow/2}
	}
	return recording.Window{Before: model.CameraWindow - 1}
}

const (
	imageWidth  = 640 // MM-Fi's colour image, pixels
	imageHeight = 480
)

// reserve makes room for the given rows, so that appending them leaves no
// garbage behind and no slack.
func (c *ClipData) reserve(rows, frames int, cfg model.Config) {
	mask := cfg.Mask()
	c.Frames, c.Truth = make([]int, 0, rows), make([]float32, 0, rows*model.OutputDim)
	c.Present = make([]modality.Set, 0, rows)
	if mask.Has(modality.Camera) {
		c.Camera = make([]float32, frames*cfg.KeypointFrame())
	}
	if mask.Has(modality.LiDAR) {
		c.LiDAR = make([]float32, 0, rows*cfg.LiDAR.Points*model.LiDARPointDim)
	}
	if mask.Has(modality.Radar) {
		c.Radar = make([]float32, 0, rows*cfg.Radar.Points*model.RadarPointDim)
	}
	if mask.Has(modality.CSI) {
		c.CSI = make([]float32, 0, rows*model.CSIValues)
	}
}

// appendRow keeps one prepared frame, with the truth where the network's pose of it
// would be.
func (c *ClipData) appendRow(frame int, f *feed, place *intake.Place, truth *recording.Pose) error {
	c.Frames, c.Present = append(c.Frames, frame), append(c.Present, f.present)
	c.LiDAR, c.Radar, c.CSI = append(c.LiDAR, f.lidar...), append(c.Radar, f.radar...), append(c.CSI, f.csi...)
	if f.emptyLiDAR {
		c.EmptyLiDAR++
	}
	if f.emptyRadar {
		c.EmptyRadar++
	}
	return appendPose(&c.Truth, place, truth)
}

// Describe says what the data is, see mmfi.Dataset.
func (d *Data) Describe() string { return d.source }

// Only returns a view of the data for networks of fewer modalities: it shares
// the samples, and Fill leaves the other sensors out.
func (d *Data) Only(mask modality.Set) (*Data, error) {
	if missing := mask &^ d.cfg.Mask(); missing != 0 || mask == 0 {
		return nil, fmt.Errorf("modalities %s of data that was prepared for %s (%s)", mask, d.cfg.Mask(), d.source)
	}
	view := *d
	view.cfg.Modalities = mask.String()
	return &view, nil
}

// CheckFits reports a network that cannot be trained or evaluated on the data:
// it needs a modality that was not prepared, or other shapes.
func (d *Data) CheckFits(cfg model.Config) error {
	mask := cfg.Mask()
	if missing := mask &^ d.cfg.Mask(); missing != 0 {
		return fmt.Errorf("the network needs modality %s, but the data was prepared for %s only (%s): load it for the network's modalities", missing, d.cfg.Mask(), d.source)
	}
	if cfg.KeypointFrame() != d.cfg.KeypointFrame() {
		return fmt.Errorf("the network is of recipe %s, but the data was prepared for %s (%s): load it with the network's configuration",
			cfg.RecipeName(), d.cfg.RecipeName(), d.source)
	}
	for _, m := range []modality.Kind{modality.LiDAR, modality.Radar} {
		if mask.Has(m) && cfg.Points(m) != d.cfg.Points(m) {
			return fmt.Errorf("the network takes %d points of modality %s, but the data was prepared with %d (%s): load it with the network's configuration",
				cfg.Points(m), m.Letter(), d.cfg.Points(m), d.source)
		}
	}
	return nil
}

// Bytes returns the memory of the prepared samples. It does not grow after
// Load.
func (d *Data) Bytes() int64 {
	n := int64(len(d.Samples)) * int64(unsafe.Sizeof(SampleRef{}))
	for _, c := range d.Clips {
		for _, s := range [][]float32{c.Camera, c.LiDAR, c.Radar, c.CSI, c.Truth, c.Taught, c.Clean} {
			n += 4 * int64(cap(s))
		}
		n += int64(unsafe.Sizeof(frame.Transform{}))*int64(cap(c.CameraFromPose)) + 8*int64(cap(c.Frames)) + 4*int64(cap(c.CameraFrom)) + int64(cap(c.Present))
	}
	return n
}
