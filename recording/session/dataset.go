package session

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"posefuse/frame"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// ErrNoTruth is that of Clip.Truth: nobody measured the joints of a session. What
// the daemon published is no truth, but the word of a model; Visit gives it.
var ErrNoTruth = errors.New("a session has no ground truth")

// Dataset gives recorded sessions to training and evaluation. Each session is a
// clip; a subject of its keys is a pseudonym, an activity the number of the session
// among those of its subject, from 1, in the order of time.
type Dataset struct {
	keys []recording.Key
	dirs map[recording.Key]string
	has  modality.Set

	truth map[recording.Key]Truth // of those that have one
}

var (
	_ recording.PartialDataset = (*Dataset)(nil)
	_ recording.PartialClip    = (*Clip)(nil)
	_ recording.Backgrounded   = (*Clip)(nil)
	_ frame.Rigged             = riggedClip{}
)

// NewDataset returns the data set of the sessions in dirs. The error names the one
// that cannot be read, is not done, or holds nothing.
func NewDataset(dirs []string) (*Dataset, error) {
	if len(dirs) == 0 {
		return nil, errors.New("no sessions given")
	}
	d := &Dataset{dirs: map[recording.Key]string{}}
	var infos []Info
	at := map[string]string{} // folder by name
	for _, dir := range dirs {
		i, err := Read(dir)
		if err != nil {
			return nil, err
		}
		_, by := i.Messages()
		switch {
		case i.State == Recording:
			return nil, fmt.Errorf("session %s: its state is %s; end it, or posefuse sessions recover", i.ID, i.State)
		case by[TopicPose] == 0:
			return nil, fmt.Errorf("session %s holds no poses, whose ticks make its frames", i.ID)
		case at[i.ID] != "":
			return nil, fmt.Errorf("session %s is given twice", i.ID)
		}
		for m := range modality.Count {
			if by[channels[m].topic] > 0 {
				d.has |= modality.Of(m)
			}
		}
		infos, at[i.ID] = append(infos, i), dir
	}
	slices.SortFunc(infos, func(a, b Info) int {
		if c := a.Started.Compare(b.Started); c != 0 {
			return c
		}
		return slices.Compare([]byte(a.ID), []byte(b.ID))
	})
	numbers := map[string]int{}
	count := map[int]int{}
	for _, i := range infos {
		if numbers[i.Subject] == 0 {
			numbers[i.Subject] = len(numbers) + 1
		}
		k := recording.Key{Subject: numbers[i.Subject]}
		count[k.Subject]++
		k.Activity = count[k.Subject]
		d.keys, d.dirs[k] = append(d.keys, k), at[i.ID]
	}
	slices.SortFunc(d.keys, func(a, b recording.Key) int {
		if a.Subject != b.Subject {
			return a.Subject - b.Subject
		}
		return a.Activity - b.Activity
	})
	return d, nil
}

// Keys implements recording.Dataset.
func (d *Dataset) Keys() []recording.Key { return slices.Clone(d.keys) }

// Modalities implements recording.PartialDataset: what any of the sessions holds.
func (d *Dataset) Modalities() modality.Set { return d.has }

// Describe implements recording.Dataset.
func (d *Dataset) Describe() string {
	return fmt.Sprintf("%d recorded sessions of %d people", len(d.keys), d.keys[len(d.keys)-1].Subject)
}

// Dir returns the folder of a clip's session, "" if there is none.
func (d *Dataset) Dir(k recording.Key) string { return d.dirs[k] }

// Open implements recording.Dataset. The clip reads its session as frames are
// asked for; it is quick in order.
func (d *Dataset) Open(k recording.Key) (recording.Clip, error) {
	dir := d.dirs[k]
	if dir == "" {
		return nil, fmt.Errorf("sessions: there is no %s", k)
	}
	c := &Clip{key: k, dir: dir, width: 640, height: 480, truth: d.truth[k]}
	last := int64(-1 << 62)
	info, _, err := Visit(dir, Part{Topics: []string{TopicPose}}, func(e *Event) error {
		if e.CaptureNS-last >= framePeriodNS*9/10 {
			last = e.CaptureNS
			c.ticks = append(c.ticks, last)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err = c.measured(); err != nil {
		return nil, err
	}
	if c.background, err = Background(dir); err != nil {
		return nil, err
	}
	if info.Rig == nil {
		return c, nil
	}
	c.width, c.height = float64(info.Rig.Camera.WidthPx), float64(info.Rig.Camera.HeightPx)
	return riggedClip{c, *info.Rig}, nil
}

// Clip is a session as frames, one for each tick of the daemon, at most ten a
// second. A frame holds of each sensor what is nearest to its tick.
type Clip struct {
	key           recording.Key
	dir           string
	ticks         []int64
	background    []byte
	width, height float64 // of the pictures that RGB is in, pixels
	truth         Truth   // nil: nobody measured the joints

	mu     sync.Mutex
	blocks [2]*block // the newest first
}

// riggedClip is a clip whose sensors' places were kept.
type riggedClip struct {
	*Clip
	rig frame.Rig
}

// Rig implements frame.Rigged.
func (c riggedClip) Rig() frame.Rig { return c.rig }

// Key implements recording.Clip.
func (c *Clip) Key() recording.Key { return c.key }

// Len implements recording.Clip.
func (c *Clip) Len() int { return len(c.ticks) }

// Background implements recording.Backgrounded.
func (c *Clip) Background() []byte { return c.background }

// Truth implements recording.Clip: it is ErrNoTruth without Dataset.SetTruth.
func (c *Clip) Truth(i int) (recording.Pose, error) {
	if c.truth != nil && i >= 0 && i < len(c.ticks) {
		if p, ok := c.truth(c.ticks[i]); ok {
			return p, nil
		}
	}
	return recording.Pose{}, fmt.Errorf("%s: %w", c.dir, ErrNoTruth)
}

// Frame implements recording.Clip.
func (c *Clip) Frame(i int, f *recording.Frame) error { return c.FrameOf(i, modality.All, f) }

// FrameOf implements recording.PartialClip.
func (c *Clip) FrameOf(i int, which modality.Set, f *recording.Frame) error {
	if i < 0 || i >= len(c.ticks) {
		return fmt.Errorf("%s: there is no frame %d of %d", c.dir, i+1, len(c.ticks))
	}
	b, err := c.block(c.ticks[i])
	if err != nil {
		return err
	}
	for m := range which.Kinds() {
		f.Absent &^= modality.Of(m)
		if !c.fill(b, m, c.ticks[i], f) {
			f.Absent |= modality.Of(m)
			leaveOut(m, f)
		}
	}
	return nil
}
