// Package train turns recordings into trained networks: it loads and prepares
// clips, runs the training loop and evaluates models.
package train

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"posefuse/model"
	"posefuse/replay/mmfi"
)

// Data holds prepared samples of a set of clips in memory: everything the
// network's inputs need, after preprocessing. About 25 kB a frame at edge size.
type Data struct {
	Clips []*ClipData
	// Samples lists every prepared frame, in clip order.
	Samples []SampleRef
	cfg     model.Config
	window  model.Window
}

// SampleRef names one prepared frame: Data.Clips[Clip], row Row of that clip.
type SampleRef struct{ Clip, Row int }

// ClipData is one clip, prepared. Camera holds every frame, because the
// temporal window needs neighbours; the rest holds the Rows frames selected.
type ClipData struct {
	Key        mmfi.ClipKey
	Frames     []int     // frame index, 0-based, of each row
	Camera     []float32 // frames x 34, screen-normalised
	LiDAR      []float32 // rows x points x 3
	Radar      []float32 // rows x points x 5
	CSI        []float32 // rows x 3420
	Truth      []float32 // rows x 51, metres
	EmptyLiDAR int       // rows without any LiDAR point
	EmptyRadar int       // rows without any radar point
}

// LoadOptions says which frames of the clips to prepare.
type LoadOptions struct {
	Window   model.Window          // of the camera encoder
	Stride   int                   // every Stride-th frame; 1 if 0. The first frame differs from clip to clip.
	Progress func(done, total int) // called after each clip, from several goroutines; may be nil
}

// Load prepares the clips of keys for a network of configuration cfg, on all
// cores. The first error names the clip and stops the rest.
func Load(ctx context.Context, ds mmfi.Dataset, keys []mmfi.ClipKey, cfg model.Config, opt LoadOptions) (*Data, error) {
	stride := max(opt.Stride, 1)
	d := &Data{Clips: make([]*ClipData, len(keys)), cfg: cfg, window: opt.Window}
	if opt.Window != model.Causal && opt.Window != model.Centred {
		return nil, fmt.Errorf("camera window %q: use %q or %q", opt.Window, model.Causal, model.Centred)
	}
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
				c, err := prepareClip(ctx, ds, keys[i], cfg, stride, (keys[i].Subject*7+keys[i].Activity*3)%stride)
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
	for i, c := range d.Clips {
		for r := range c.Frames {
			d.Samples = append(d.Samples, SampleRef{i, r})
		}
	}
	if len(d.Samples) == 0 {
		return nil, fmt.Errorf("no frames to load: %d clips of %s", len(keys), ds.Describe())
	}
	return d, nil
}

func prepareClip(ctx context.Context, ds mmfi.Dataset, key mmfi.ClipKey, cfg model.Config, stride, first int) (*ClipData, error) {
	clip, err := ds.Open(key)
	if err != nil {
		return nil, err
	}
	n := clip.Len()
	c := &ClipData{Key: key, Camera: make([]float32, n*keypointValues)}
	var f mmfi.Frame
	for i := range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		wanted := i%stride == first%max(min(stride, n), 1)
		if err := readFrame(clip, i, wanted, &f); err != nil {
			return nil, err
		}
		model.PrepKeypoints(c.Camera[i*keypointValues:(i+1)*keypointValues], &f.RGB, imageWidth, imageHeight)
		if !wanted {
			continue
		}
		truth, err := clip.Truth(i)
		if err != nil {
			return nil, err
		}
		c.appendRow(i, &f, &truth, cfg)
	}
	return c, nil
}

// readFrame reads frame i, or only its keypoints where the rest is not wanted
// and the clip can tell them apart.
func readFrame(clip mmfi.Clip, i int, whole bool, f *mmfi.Frame) error {
	if p, ok := clip.(mmfi.PartialClip); ok && !whole {
		return p.FrameOf(i, mmfi.ReadRGB, f)
	}
	return clip.Frame(i, f)
}

const (
	keypointValues = model.NumJoints * 2
	imageWidth     = 640 // MM-Fi's colour image, pixels
	imageHeight    = 480
)

func (c *ClipData) appendRow(frame int, f *mmfi.Frame, truth *mmfi.Pose, cfg model.Config) {
	c.Frames = append(c.Frames, frame)
	var dst []float32
	c.LiDAR, dst = grow(c.LiDAR, cfg.LiDAR.Points*model.LiDARPointDim)
	if model.PrepPoints(dst, f.LiDAR, model.LiDARPointDim) == 0 {
		c.EmptyLiDAR++
	}
	c.Radar, dst = grow(c.Radar, cfg.Radar.Points*model.RadarPointDim)
	if model.PrepPoints(dst, f.MmWave, model.RadarPointDim) == 0 {
		c.EmptyRadar++
	}
	c.CSI, dst = grow(c.CSI, model.CSIValues)
	model.CleanCSI(dst, f.CSIAmp)
	c.Truth, dst = grow(c.Truth, model.OutputDim)
	for j, p := range truth {
		for k, v := range p {
			dst[3*j+k] = float32(v)
		}
	}
}

// grow appends n zeros to s and returns it with the new part.
func grow(s []float32, n int) (whole, added []float32) {
	s = append(s, make([]float32, n)...)
	return s, s[len(s)-n:]
}

// NewBatch returns a batch of n samples for Fill.
func (d *Data) NewBatch(n int) *model.Batch {
	return &model.Batch{
		Camera:  make([]float32, n*model.KeypointsValues),
		LiDAR:   make([]float32, n*d.cfg.LiDAR.Points*model.LiDARPointDim),
		Radar:   make([]float32, n*d.cfg.Radar.Points*model.RadarPointDim),
		CSI:     make([]float32, n*model.CSIValues),
		Target:  make([]float32, n*model.OutputDim),
		Present: make([]model.Mask, n),
	}
}

// Fill copies sample ref into row of batch b, with the camera window placed as
// the network's configuration says. Frames before the clip's first or after
// its last repeat the edge.
func (d *Data) Fill(b *model.Batch, row int, ref SampleRef) {
	c := d.Clips[ref.Clip]
	last := len(c.Camera)/keypointValues - 1
	start := c.Frames[ref.Row] - (model.CameraWindow - 1)
	if d.window == model.Centred {
		start = c.Frames[ref.Row] - model.CameraWindow/2
	}
	dst := b.Camera[row*model.KeypointsValues:]
	for i := range model.CameraWindow {
		at := min(max(start+i, 0), last) * keypointValues
		copy(dst[i*keypointValues:(i+1)*keypointValues], c.Camera[at:at+keypointValues])
	}
	copyRow(b.LiDAR, row, c.LiDAR, ref.Row, d.cfg.LiDAR.Points*model.LiDARPointDim)
	copyRow(b.Radar, row, c.Radar, ref.Row, d.cfg.Radar.Points*model.RadarPointDim)
	copyRow(b.CSI, row, c.CSI, ref.Row, model.CSIValues)
	copyRow(b.Target, row, c.Truth, ref.Row, model.OutputDim)
	b.Present[row] = d.cfg.Mask()
}

func copyRow(dst []float32, dstRow int, src []float32, srcRow, width int) {
	copy(dst[dstRow*width:(dstRow+1)*width], src[srcRow*width:(srcRow+1)*width])
}
