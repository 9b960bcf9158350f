package mmfi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// CheckReport is everything that is wrong with a data set.
type CheckReport struct {
	Root        string       `json:"root"`
	Data        string       `json:"data"`
	Modalities  string       `json:"modalities"`
	Clips       int          `json:"clips"`       // with anything in them
	ClipsOfMMFi int          `json:"clips_mmfi"`  // the whole data set
	SoundClips  int          `json:"sound_clips"` // without a problem
	Poses       int          `json:"poses"`
	Files       int          `json:"files"`
	Bytes       int64        `json:"bytes"`
	Problems    []Problem    `json:"problems"`
	Counts      map[Kind]int `json:"counts"` // of files and poses, by kind
}

// Check reads every file of the data set, several clips at once and none longer
// than needed, and reports everything that is wrong, in the order of the clips.
// Memory grows with the problems only. progress, if there is one, is called after
// each clip, from several goroutines.
func (d *Directory) Check(ctx context.Context, progress func(done, total int)) (*CheckReport, error) {
	have := d.Modalities()
	rep := &CheckReport{Root: d.root, Data: d.Describe(), Modalities: have.String(), Clips: len(d.keys), ClipsOfMMFi: NumSubjects * NumActivities, Problems: []Problem{}, Counts: map[Kind]int{}}
	checks := make([]clipCheck, len(d.keys))
	var wg sync.WaitGroup
	var mu sync.Mutex
	next, done := 0, 0
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(d.keys) {
					return
				}
				checks[i] = clipCheck{clip: d.newClip(d.keys[i]), have: have}
				checks[i].run(ctx)
				checks[i].clip = nil
				mu.Lock()
				done++
				n := done
				mu.Unlock()
				if progress != nil {
					progress(n, len(d.keys))
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rep.Problems = append(rep.Problems, d.misplaced...)
	first := map[[modality.Count]uint64]recording.Key{}
	for i := range checks {
		c := &checks[i]
		if c.sum != ([modality.Count]uint64{}) {
			if other, twice := first[c.sum]; twice {
				c.problems = append(c.problems, Problem{Kind: Duplicate, Path: Path(d.keys[i]), Count: c.files, Detail: "every sensor's frames are those of " + Path(other)})
			} else {
				first[c.sum] = d.keys[i]
			}
		}
		if len(c.problems) == 0 {
			rep.SoundClips++
		}
		rep.Problems = append(rep.Problems, c.problems...)
		rep.Poses, rep.Files, rep.Bytes = rep.Poses+c.poses, rep.Files+c.files, rep.Bytes+c.bytes
	}
	for _, p := range rep.Problems {
		rep.Counts[p.Kind] += p.Count
	}
	return rep, nil
}

// clipCheck looks through one clip.
type clipCheck struct {
	clip *directoryClip
	have modality.Set // sensors that any clip of the set has

	problems     []Problem
	poses, files int
	bytes        int64
	sum          [modality.Count]uint64 // of all frames of a sensor; 0: none
}

// add notes a problem of a file or folder of the clip.
func (c *clipCheck) add(kind Kind, at, detail string, numbers ...int) {
	c.problems = append(c.problems, Problem{Kind: kind, Path: c.below(at), Frames: ranges(numbers), Count: max(len(numbers), 1), Detail: c.shorten(detail)})
}

// below returns a path below the data set's folder.
func (c *clipCheck) below(at string) string {
	rel, err := filepath.Rel(c.clip.path, at)
	if err != nil || strings.HasPrefix(rel, "..") {
		return filepath.ToSlash(at)
	}
	if rel == "." {
		return Path(c.clip.key)
	}
	return Path(c.clip.key) + "/" + filepath.ToSlash(rel)
}

// shorten takes the path out of a message that stands beside it.
func (c *clipCheck) shorten(text string) string {
	text = strings.TrimPrefix(text, "mmfi: ")
	if rest, ok := strings.CutPrefix(text, c.clip.path); ok {
		if _, after, found := strings.Cut(rest, ": "); found {
			return after
		}
	}
	return text
}

func (c *clipCheck) run(ctx context.Context) {
	truth := filepath.Join(c.clip.path, groundTruthName)
	if info, err := os.Stat(truth); err == nil && info.Mode().IsRegular() {
		c.files, c.bytes = c.files+1, c.bytes+info.Size()
		if info.Size() == 0 {
			c.add(EmptyFile, truth, "0 bytes: copy it again")
		}
	}
	err := c.clip.loadTruth()
	switch {
	case err == nil && c.clip.truth == nil:
		c.add(MissingFile, truth, "no ground truth: the clip can be replayed, but neither trained on nor evaluated")
	case errors.Is(err, errNotAFile), errors.Is(err, fs.ErrPermission):
		c.add(Unreadable, truth, err.Error())
	case err != nil:
		if _, empty := c.noted(EmptyFile, truth); !empty {
			c.add(kindOf(err), truth, err.Error())
		}
	default:
		c.poses = len(c.clip.truth)
		c.checkTruth(truth)
	}
	if err := c.clip.loadScores(); err != nil {
		c.add(kindOf(err), filepath.Join(c.clip.path, scoresName), err.Error())
	}
	for m := range c.have.Kinds() {
		if ctx.Err() != nil {
			return
		}
		c.checkSensor(m)
	}
	c.checkNames()
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) })
}

func (c *clipCheck) noted(kind Kind, at string) (Problem, bool) {
	i := slices.IndexFunc(c.problems, func(p Problem) bool { return p.Kind == kind && p.Path == c.below(at) })
	if i < 0 {
		return Problem{}, false
	}
	return c.problems[i], true
}

// checkTruth looks at every pose.
func (c *clipCheck) checkTruth(path string) {
	poses := findings{}
	upside := 0
	for i := range c.clip.truth {
		p := &c.clip.truth[i]
		if fault, why := recording.CheckPose(p); fault != recording.NoFault {
			poses.add(Kind(fault), i+1, why)
		} else if p[10][1] > (p[3][1]+p[6][1])/2 {
			upside++
		}
	}
	if 2*upside > len(c.clip.truth) {
		c.add(Implausible, path, "the head is below the feet: y must point down")
	}
	if len(c.clip.truth) == 0 {
		c.add(EmptyFile, path, "holds no pose")
	}
	same := findings{}
	for i := 1; i < len(c.clip.truth); i++ {
		if c.clip.truth[i] == c.clip.truth[i-1] && c.clip.truth[i] != (recording.Pose{}) {
			same.add(Duplicate, i+1, "the same pose as the one before, to the bit")
		}
	}
	poses.tell(c, path)
	same.tell(c, path)
}

// checkNames looks for files that nothing reads.
func (c *clipCheck) checkNames() {
	// clean_truth.npy is the simulator's, depth MM-Fi's pictures, which no network here takes.
	known := map[string]bool{groundTruthName: true, scoresName: true, "clean_truth.npy": true, "depth": true, "infra1": true, "infra2": true, "infra1.npy": true, "infra2.npy": true, filteredFolder: true}
	for m := range modality.Count {
		for _, name := range sensorFolders[m] {
			known[name], known[name+".npy"] = true, true
		}
	}
	entries, err := os.ReadDir(c.clip.path)
	if err != nil {
		c.add(Unreadable, c.clip.path, err.Error())
		return
	}
	for _, e := range entries {
		_, frame := frameNumber(e.Name(), ".bin")
		if !known[e.Name()] && !junk(e.Name()) && !frame {
			c.add(Misplaced, filepath.Join(c.clip.path, e.Name()), "nothing reads this")
		}
	}
}

// findings are frames with the same kind of problem, and the first one's text.
type findings map[Kind]*finding

type finding struct {
	numbers []int
	first   string
}

func (f findings) add(kind Kind, number int, why string) {
	if f[kind] == nil {
		f[kind] = &finding{first: why}
	}
	f[kind].numbers = append(f[kind].numbers, number)
}

func (f findings) tell(c *clipCheck, at string) {
	kinds := make([]Kind, 0, len(f))
	for kind := range f {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		c.add(kind, at, f[kind].first, f[kind].numbers...)
	}
}

// ranges writes sorted numbers as "3,7-9".
func ranges(numbers []int) string {
	var b strings.Builder
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		if j == i {
			fmt.Fprintf(&b, "%d", numbers[i])
		} else {
			fmt.Fprintf(&b, "%d-%d", numbers[i], numbers[j])
		}
		i = j + 1
	}
	return b.String()
}
