package train

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// maxNamed is how many damaged parts of a data set are named one by one.
const maxNamed = 20

// BrokenError says which parts of a data set cannot be used.
type BrokenError struct {
	Data   string
	Clips  int // that cannot be opened
	Frames int // of other clips
	Named  []error
}

func (e *BrokenError) Error() string {
	var lines []string
	for _, err := range e.Named {
		lines = append(lines, err.Error())
	}
	if n := e.Clips + e.Frames - len(e.Named); n > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", n))
	}
	if len(lines) == 1 {
		return lines[0]
	}
	return fmt.Sprintf("%d frames and %d whole clips of %s cannot be used:\n  %s", e.Frames, e.Clips, e.Data, strings.Join(lines, "\n  "))
}

// Unwrap returns what was named.
func (e *BrokenError) Unwrap() []error { return e.Named }

// problems collects what cannot be used of a data set, from several goroutines.
type problems struct {
	mu     sync.Mutex
	clips  int
	frames int
	named  []broken
}

// broken is one damaged part; frame is -1 for a whole clip.
type broken struct {
	key   recording.Key
	frame int
	err   error
}

func (p *problems) clip(key recording.Key, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clips++
	p.name(broken{key, -1, fmt.Errorf("clip %s: %w", key, err)})
}

// frame counts a frame that cannot be used because of err, if that is not nil, and
// reports whether it can. Of frames that are not wanted for themselves nothing is
// counted but what is damaged.
func (p *problems) frame(c *ClipData, i int, err error, wanted bool) bool {
	if err == nil {
		return true
	}
	if errors.Is(err, recording.ErrLeftOut) {
		if wanted {
			c.LeftOut++
		}
		return false
	}
	if wanted {
		c.Broken++
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames++
	p.name(broken{c.Key, i, fmt.Errorf("clip %s: frame %d: %w", c.Key, i+1, err)})
	return false
}

// name keeps the first parts in the order of clips and frames, whichever goroutine
// meets them first.
func (p *problems) name(b broken) {
	at, _ := slices.BinarySearchFunc(p.named, b, func(x, y broken) int {
		return slices.Compare([]int{x.key.Subject, x.key.Activity, x.frame}, []int{y.key.Subject, y.key.Activity, y.frame})
	})
	if at < maxNamed {
		p.named = slices.Insert(p.named, at, b)
		p.named = p.named[:min(len(p.named), maxNamed)]
	}
}

// err returns what was collected as an error, nil if nothing was.
func (p *problems) err(ds recording.Dataset) error {
	if p.clips+p.frames == 0 {
		return nil
	}
	e := &BrokenError{Data: ds.Describe(), Clips: p.clips, Frames: p.frames}
	for _, b := range p.named {
		e.Named = append(e.Named, b.err)
	}
	return e
}

// readSensors fills f with the sensors which of frame i and returns those that could
// be read; the error tells of the others. It wraps recording.ErrLeftOut if nothing
// else is wrong.
func readSensors(clip recording.Clip, i int, which modality.Set, f *recording.Frame) (read modality.Set, err error) {
	partial, ok := clip.(recording.PartialClip)
	if !ok {
		if err = clip.Frame(i, f); err != nil {
			return 0, err
		}
		return which, nil
	}
	var bad []error
	var leftOut error
	for m := range which.Kinds() {
		switch err := partial.FrameOf(i, modality.Of(m), f); {
		case err == nil:
			read |= modality.Of(m)
		case errors.Is(err, recording.ErrLeftOut):
			leftOut = err
		default:
			bad = append(bad, err)
		}
	}
	switch len(bad) {
	case 0:
		return read, leftOut
	case 1:
		return read, bad[0]
	}
	return read, errors.Join(bad...)
}

// truthOf reads the truth of a frame. One that cannot be right is noted or, if such
// frames are skipped, an error.
func (c *ClipData) truthOf(clip recording.Clip, i int, truth *recording.Pose, skip bool) error {
	known, err := clip.Truth(i)
	if err != nil {
		return err
	}
	*truth = known
	fault, why := recording.CheckPose(truth)
	if fault == recording.NoFault {
		return nil
	}
	if skip {
		return fmt.Errorf("ground truth: %s", why)
	}
	c.odd.add("have a truth that cannot be right", i, why)
	return nil
}

// oddities are frames of a clip with values that are taken, but look wrong, by what
// they have in common.
type oddities map[string]*oddity

type oddity struct {
	frames int
	first  int
	why    string
}

func (o *oddities) add(what string, i int, why string) {
	if *o == nil {
		*o = oddities{}
	}
	if (*o)[what] == nil {
		(*o)[what] = &oddity{first: i, why: why}
	}
	(*o)[what].frames++
}

// look notes clouds of which a good part cannot be right.
func (o *oddities) look(i int, which modality.Set, f *recording.Frame) {
	for _, cloud := range []struct {
		of     modality.Kind
		values []float64
		dim    int
	}{{modality.LiDAR, f.LiDAR, model.LiDARPointDim}, {modality.Radar, f.MmWave, model.RadarPointDim}} {
		if !which.Has(cloud.of) || len(cloud.values) < cloud.dim {
			continue
		}
		n := len(cloud.values) / cloud.dim
		dropped, far := recording.OddPoints(cloud.values, cloud.dim)
		if 4*dropped >= n {
			o.add(fmt.Sprintf("lose a quarter of their %s points or more, which are no numbers", cloud.of), i, fmt.Sprintf("%d of %d", dropped, n))
		}
		if 4*far >= n {
			o.add(fmt.Sprintf("have a quarter of their %s points or more farther than %d m", cloud.of, recording.FarPointM), i, fmt.Sprintf("%d of %d", far, n))
		}
	}
}

// Warnings returns, a line each, what looks wrong with the values of the data and
// what of it was left out.
func (d *Data) Warnings() (lines []string) {
	type total struct {
		frames, clips int
		first         string
	}
	sums := map[string]*total{}
	leftOut, leftClips := 0, 0
	for _, c := range d.Clips {
		if c.LeftOut > 0 {
			leftOut, leftClips = leftOut+c.LeftOut, leftClips+1
		}
		for what, o := range c.odd {
			if sums[what] == nil {
				sums[what] = &total{first: fmt.Sprintf("%s frame %d: %s", c.Key, o.first+1, o.why)}
			}
			sums[what].frames += o.frames
			sums[what].clips++
		}
	}
	for _, what := range slices.Sorted(maps.Keys(sums)) {
		s := sums[what]
		lines = append(lines, fmt.Sprintf("%d frames in %d clips %s; the first is %s", s.frames, s.clips, what, s.first))
	}
	if leftOut > 0 {
		lines = append(lines, fmt.Sprintf("%d frames in %d clips are left out, as the data set leaves a sensor's frame of them out", leftOut, leftClips))
	}
	if d.left != nil && d.left.clips+d.left.frames > 0 {
		lines = append(lines, fmt.Sprintf("%d frames and %d whole clips that cannot be used are skipped; the first: %v", d.left.frames, d.left.clips, d.left.named[0].err))
	}
	return lines
}
