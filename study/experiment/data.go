package experiment

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/mars"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// Source is what results depend on besides the file: which version of the
// generator made the data, and how much data there is.
type Source struct {
	Generator string `json:"generator,omitempty"` // version of the simulator
	SHA256    string `json:"sha256,omitempty"`    // of sample frames of the simulator, first 16 digits
	Clips     int    `json:"clips"`
}

// open returns the data set and what there is to say about it.
func (d Data) open() (recording.Dataset, Source, error) {
	var ds recording.Dataset
	var err error
	var src Source
	switch d.Kind {
	case Simulated:
		var s *sim.Dataset
		s, err = sim.NewDataset(sim.Config{Seed: d.Seed, Preset: d.Preset, FramesPerClip: d.Frames, Subjects: d.Subjects, Activities: d.Activities})
		if err == nil {
			ds, src.Generator = s, sim.Version
			src.SHA256, err = fingerprint(s)
		}
	case MARS:
		ds, err = mars.Open(d.Path, mars.Options{History: d.History})
	default:
		ds, err = mmfi.Open(d.Path)
	}
	if err != nil {
		return nil, src, fmt.Errorf("data: %w", err)
	}
	src.Clips = len(ds.Keys())
	return ds, src, nil
}

// fingerprint hashes what the generator makes of its first clip. It changes
// whenever results could, even if somebody forgets to raise the version.
func fingerprint(ds *sim.Dataset) (string, error) {
	keys := ds.Keys()
	if len(keys) == 0 {
		return "", errors.New("no clip: check data.subjects and data.activities")
	}
	clip, err := ds.Open(keys[0])
	if err != nil {
		return "", err
	}
	h := sha256.New()
	put := func(v []float64) {
		var b []byte
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
		_, _ = h.Write(b) // a hash takes everything
	}
	var f recording.Frame
	for i := range min(3, clip.Len()) {
		if err = clip.Frame(i, &f); err != nil {
			return "", err
		}
		for _, p := range f.RGB {
			put(p[:])
		}
		put(f.LiDAR)
		put(f.MmWave)
		put(f.CSIAmp)
		truth, err := clip.Truth(i)
		if err != nil {
			return "", err
		}
		for _, p := range truth {
			put(p[:])
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// selection is a set of clips, or one part of each.
type selection struct {
	keys []recording.Key
	part train.Part
}

// roles says what a split's clips are for.
type roles struct{ train, val, test selection }

// Splits of MARS, which has few subjects: parts of each clip in time, or
// Across followed by the number of the subject to test on, such as "across-3",
// which trains on the others. Everybody in turn is AcrossAll.
const (
	Within    = "within"
	Across    = "across-"
	AcrossAll = Across + "all"
)

// splits puts every subject of the data in the place of AcrossAll.
func (d Data) splits(names []string, have []recording.Key) (out []string) {
	for _, name := range names {
		if d.Kind != MARS || name != AcrossAll {
			out = append(out, name)
			continue
		}
		var subjects []int
		for _, k := range have {
			subjects = append(subjects, k.Subject)
		}
		slices.Sort(subjects)
		for _, s := range slices.Compact(subjects) {
			if one := Across + strconv.Itoa(s); !slices.Contains(names, one) {
				out = append(out, one)
			}
		}
	}
	return out
}

// roles divides the clips that there are. With have nil it only checks the
// names.
func (d Data) roles(protocol int, split string, have []recording.Key) (roles, error) {
	if d.Kind == MARS {
		return d.marsRoles(split, have)
	}
	trainKeys, testKeys, err := mmfi.Split(protocol, strings.ToUpper(split))
	if err != nil {
		return roles{}, fmt.Errorf("protocols, splits: %w", err)
	}
	if have == nil {
		return roles{}, nil
	}
	keep := d.only(have)
	var r roles
	trainKeys, r.test.keys = keep(trainKeys), keep(testKeys)
	r.train.keys, r.val.keys = holdOut(trainKeys, d.ValidationSubjects)
	what := map[string][]recording.Key{"training": r.train.keys, "test": r.test.keys}
	if d.ValidationSubjects > 0 {
		what["validation"] = r.val.keys
	}
	for name, keys := range what {
		if len(keys) == 0 {
			return r, fmt.Errorf("protocol %d, split %s: the data has no %s clip: check data.subjects, data.activities and data.validation_subjects", protocol, split, name)
		}
	}
	return r, nil
}

// coverage counts the clips of a protocol and split that there are. MARS has
// none of its own.
func (d Data) coverage(protocol int, split string, have []recording.Key) (Coverage, error) {
	c := Coverage{Protocol: protocol, Split: split}
	if d.Kind == MARS {
		return c, nil
	}
	trainKeys, testKeys, err := mmfi.Split(protocol, strings.ToUpper(split))
	if err != nil {
		return c, fmt.Errorf("protocols, splits: %w", err)
	}
	keep := d.only(have)
	c.Clips, c.All = len(keep(trainKeys))+len(keep(testKeys)), len(trainKeys)+len(testKeys)
	return c, nil
}

// only returns a filter for the clips there are and the file wants.
func (d Data) only(have []recording.Key) func([]recording.Key) []recording.Key {
	set := map[recording.Key]bool{}
	for _, k := range have {
		set[k] = (len(d.Subjects) == 0 || slices.Contains(d.Subjects, k.Subject)) && (len(d.Activities) == 0 || slices.Contains(d.Activities, k.Activity))
	}
	return func(keys []recording.Key) []recording.Key {
		var out []recording.Key
		for _, k := range keys {
			if set[k] {
				out = append(out, k)
			}
		}
		return out
	}
}

// holdOut takes n subjects out of the training clips, evenly among those there
// are, so that every scene gives some.
func holdOut(keys []recording.Key, n int) (rest, held []recording.Key) {
	set := map[int]bool{}
	for _, k := range keys {
		set[k.Subject] = true
	}
	subjects := slices.Sorted(maps.Keys(set))
	out := map[int]bool{}
	n = min(n, len(subjects))
	for i := range n {
		out[subjects[(2*i+1)*len(subjects)/(2*n)]] = true
	}
	for _, k := range keys {
		if out[k.Subject] {
			held = append(held, k)
		} else {
			rest = append(rest, k)
		}
	}
	return rest, held
}

// marsRoles holds out parts of clips instead of subjects, of which there are
// two; data.validation_subjects above 0 asks for it.
func (d Data) marsRoles(split string, have []recording.Key) (roles, error) {
	if split == AcrossAll && have == nil {
		return roles{}, nil
	}
	test := 0
	if number, across := strings.CutPrefix(split, Across); across {
		test, _ = strconv.Atoi(number) // 0 is nobody
	}
	if test < 1 && split != Within {
		return roles{}, fmt.Errorf("splits: %q is no split of MARS: use %s, %s, or %s and a subject's number", split, Within, AcrossAll, Across)
	}
	if have == nil {
		return roles{}, nil
	}
	keys := d.only(have)(have)
	var r roles
	if test == 0 {
		r = roles{selection{keys, train.TrainPart}, selection{keys, train.ValPart}, selection{keys, train.TestPart}}
	} else {
		var same, other []recording.Key
		for _, k := range keys {
			if k.Subject == test {
				other = append(other, k)
			} else {
				same = append(same, k)
			}
		}
		r = roles{selection{same, train.Part{From: 0, To: 0.8}}, selection{same, train.Part{From: 0.8, To: 1}}, selection{other, train.Part{}}}
	}
	if d.ValidationSubjects == 0 {
		r.val = selection{}
		if test != 0 {
			r.train.part = train.Part{}
		}
	}
	if len(r.train.keys) == 0 || len(r.test.keys) == 0 {
		return r, fmt.Errorf("split %s: the data has no clips for it", split)
	}
	return r, nil
}

// poolKey names what is loaded in one piece.
type poolKey struct {
	part   train.Part
	stride int
}

// pools holds the prepared clips of all cells of a process.
type pools struct {
	ds     recording.Dataset
	cfg    model.Config // with all modalities any cell needs
	window model.Window
	want   map[poolKey]map[recording.Key]bool
	data   map[poolKey]*train.Data
	show   func(label string, done, total int)
}

// newPools lists which clips the file's cells will ask for.
func (e *Experiment) newPools() (*pools, error) {
	f := e.File
	mask, _ := modality.Parse(f.Modalities) // checked
	for _, s := range f.Subsets {
		m, _ := modality.Parse(s)
		mask |= m
	}
	p := &pools{ds: e.dataset, cfg: f.network(model.ConcatHead, mask.String()), window: f.Window,
		want: map[poolKey]map[recording.Key]bool{}, data: map[poolKey]*train.Data{}, show: e.options.Loading}
	add := func(s selection, stride int) {
		k := poolKey{s.part, stride}
		if p.want[k] == nil {
			p.want[k] = map[recording.Key]bool{}
		}
		for _, c := range s.keys {
			p.want[k][c] = true
		}
	}
	for _, protocol := range f.Protocols {
		for _, split := range f.Splits {
			r, err := f.Data.roles(protocol, split, e.dataset.Keys())
			if err != nil {
				return nil, err
			}
			add(r.train, f.Training.Stride)
			if f.Data.TrainOnValidation {
				add(r.val, f.Training.Stride)
			}
			add(r.val, f.Training.ValStride)
			add(r.test, f.Training.ValStride)
		}
	}
	return p, nil
}

// view returns the clips of a selection for networks of the modalities, and
// loads what is not there yet.
func (p *pools) view(ctx context.Context, label string, s selection, stride int, mask modality.Set) (*train.Data, error) {
	key := poolKey{s.part, stride}
	if p.data[key] == nil {
		order := func(a, b recording.Key) int { return (a.Subject-b.Subject)*1000 + a.Activity - b.Activity }
		keys := slices.SortedFunc(maps.Keys(p.want[key]), order)
		d, err := train.Load(ctx, p.ds, keys, p.cfg, train.LoadOptions{Window: p.window, Stride: stride, Part: s.part, Progress: func(done, total int) {
			if p.show != nil {
				p.show("loading "+label, done, total)
			}
		}})
		if err != nil {
			return nil, fmt.Errorf("load %s clips: %w", label, err)
		}
		p.data[key] = d
	}
	d, err := p.data[key].OnlyClips(s.keys)
	if err != nil {
		return nil, err
	}
	return d.Only(mask)
}
