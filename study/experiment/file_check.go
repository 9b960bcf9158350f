package experiment

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"posefuse/model"
	"posefuse/recording/mmfi"
	"posefuse/sensors/modality"
	"posefuse/study/baseline"
	"posefuse/train"
)

// check reports a key that cannot work; of several always the same.
func (f *File) check() error {
	for _, part := range []func() error{f.checkData, f.checkTraining, f.checkGrid, f.checkRest, f.checkTuning} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) checkData() error {
	d := f.Data
	switch d.Kind {
	case Simulated:
		if d.Path != "" {
			return errors.New("data.path: simulated data has no folder; use kind: mmfi to read one that the simulator wrote")
		}
	case MMFi, MARS:
		if d.Path == "" {
			return fmt.Errorf("data.path: %s %w", d.Kind, ErrNoFolder)
		}
	default:
		return fmt.Errorf("data.kind %q: use %s, %s or %s", d.Kind, Simulated, MMFi, MARS)
	}
	for _, c := range []struct {
		key   string
		v, to []int
	}{{"subjects", d.Subjects, []int{1, mmfi.NumSubjects}}, {"activities", d.Activities, []int{1, mmfi.NumActivities}}} {
		for _, n := range c.v {
			if n < c.to[0] || n > c.to[1] {
				return fmt.Errorf("data.%s: %d is not from %d to %d", c.key, n, c.to[0], c.to[1])
			}
		}
	}
	if d.ValidationSubjects < 0 || d.Frames < 0 {
		return errors.New("data.validation_subjects and data.frames_per_clip: want 0 or more")
	}
	return nil
}

func (f *File) checkTraining() error {
	if f.Name == "" || strings.ContainsAny(f.Name, "/\\ ") {
		return fmt.Errorf("name %q: give the experiment a short name without spaces", f.Name)
	}
	if f.Size == "custom" {
		f.Network.Modalities, f.Network.Head = f.Modalities, model.ConcatHead
		if err := f.Network.Validate(); err != nil {
			return fmt.Errorf("network: %w", err)
		}
	} else if _, err := model.NamedConfig(f.Size); err != nil {
		return fmt.Errorf("size: %w", err)
	}
	if f.Window != model.Causal && f.Window != model.Centred {
		return fmt.Errorf("window %q: use %s or %s", f.Window, model.Causal, model.Centred)
	}
	t := f.Training
	if err := f.options(Cell{Training: t}).Check(); err != nil {
		return fmt.Errorf("training: %w", err)
	}
	mask, err := modality.Parse(f.Modalities)
	if err != nil {
		return fmt.Errorf("modalities: %w", err)
	}
	if err = f.options(Cell{Training: t}).Augment.Check(mask); err != nil {
		return fmt.Errorf("training.augment: %w", err)
	}
	if t.Stride < 1 || t.ValStride < 1 || t.DecayEvery < 0 || t.TimeLimit < 0 {
		return errors.New("training: stride and val_stride want 1 or more, decay_every and time_limit 0 or more")
	}
	if _, err := train.NewMethod(train.Plain, f.Settings); err != nil { // it checks all constants
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

func (f *File) checkGrid() error {
	mask, err := modality.Parse(f.Modalities)
	if err != nil {
		return fmt.Errorf("modalities: %w", err)
	}
	f.Modalities = mask.String()
	for _, c := range []struct {
		key string
		n   int
	}{{"protocols", len(f.Protocols)}, {"splits", len(f.Splits)}, {"fusions", len(f.Fusions)}, {"methods", len(f.Methods)}, {"seeds", len(f.Seeds)}} {
		if c.n == 0 {
			return fmt.Errorf("%s: the list is empty", c.key)
		}
	}
	for _, s := range f.Splits {
		for _, p := range f.Protocols {
			if _, err := f.Data.roles(p, s, nil); err != nil {
				return err
			}
		}
	}
	for _, c := range []struct {
		key  string
		list []string
	}{{"fusions", f.Fusions}, {"overhead.fusions", f.Overhead.Fusions}} {
		for _, h := range c.list {
			if !slices.Contains(heads, h) {
				return fmt.Errorf("%s: %q is none of %s", c.key, h, strings.Join(heads, ", "))
			}
		}
	}
	for _, m := range f.Methods {
		if err := f.checkMethod("methods", m); err != nil {
			return err
		}
	}
	for _, b := range f.Baselines {
		if !slices.Contains(baseline.Names(), b) {
			return fmt.Errorf("baselines: %q is none of %s", b, strings.Join(baseline.Names(), ", "))
		}
	}
	return errors.Join(unique("protocols", f.Protocols), unique("splits", f.Splits), unique("fusions", f.Fusions),
		unique("methods", f.Methods), unique("seeds", f.Seeds), unique("subsets", f.Subsets), unique("windows", f.Windows),
		unique("baselines", f.Baselines), unique("alpha_grid", f.Alphas))
}

func (f *File) checkMethod(key, m string) error {
	d := train.Methods.Find(m)
	if d == nil {
		return fmt.Errorf("%s: %q is none of %s", key, m, strings.Join(train.Methods.Names(), ", "))
	}
	if d.Needs.HeldOut && f.Data.ValidationSubjects == 0 {
		return fmt.Errorf("%s: %s measures overfitting on held-out subjects: set data.validation_subjects", key, m)
	}
	return nil
}

func unique[T comparable](key string, list []T) error {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return fmt.Errorf("%s: %v is there twice", key, v)
		}
	}
	return nil
}

func (f *File) checkRest() error {
	for i, s := range f.Subsets {
		mask, err := modality.Parse(s)
		if err != nil {
			return fmt.Errorf("subsets: %w", err)
		}
		f.Subsets[i] = mask.String()
	}
	for _, a := range f.Alphas {
		if !(a[0] >= 0 && a[1] >= 0) {
			return fmt.Errorf("alpha_grid: [%g, %g]: want two numbers from 0", a[0], a[1])
		}
	}
	for _, k := range f.Windows {
		if k < 0 {
			return fmt.Errorf("windows: %d: want a number of epochs from 0", k)
		}
	}
	for i := range f.Variants {
		v := &f.Variants[i]
		if v.Name == "" {
			return fmt.Errorf("variants[%d].name: it is empty", i)
		}
		if err := f.checkMethod(fmt.Sprintf("variants[%d].method", i), v.Method); err != nil {
			return err
		}
		set := f.Settings
		err := v.apply(&set)
		if err == nil {
			_, err = train.NewMethod(v.Method, set)
		}
		if err != nil {
			return fmt.Errorf("variants[%d].settings: %w", i, err)
		}
		if !(v.LR >= 0 && v.LR < 1e9) {
			return fmt.Errorf("variants[%d].lr %g: want a positive number, or 0 for the method's", i, v.LR)
		}
	}
	type first struct {
		key string
		n   int
	}
	rows := []first{{"baselines", f.FirstSeeds.Baselines}, {"alpha_grid", f.FirstSeeds.AlphaGrid}, {"windows", f.FirstSeeds.Windows}, {"variants", f.FirstSeeds.Variants}}
	for _, sub := range slices.Sorted(maps.Keys(f.FirstSeeds.Subsets)) {
		if !slices.Contains(f.Subsets, sub) {
			return fmt.Errorf("first_seeds.subsets: %s is not in subsets", sub)
		}
		rows = append(rows, first{"subsets." + sub, f.FirstSeeds.Subsets[sub]})
	}
	for _, r := range rows {
		if r.n < 0 || r.n > len(f.Seeds) {
			return fmt.Errorf("first_seeds.%s: %d: there are %d seeds", r.key, r.n, len(f.Seeds))
		}
	}
	if len(f.Alphas)+len(f.Windows) > 0 && !slices.Contains(f.Methods, train.AWC) {
		return fmt.Errorf("methods: alpha_grid and windows are about %s, which is not in the list", train.AWC)
	}
	if f.Overhead.Rounds < 0 || f.Overhead.Rounds > 0 && f.Overhead.Batch < 2 {
		return errors.New("overhead: want rounds from 0 and a batch from 2")
	}
	if s := f.Overhead.Size; s != "" {
		if _, err := model.NamedConfig(s); err != nil {
			return fmt.Errorf("overhead.size: %w", err)
		}
	}
	for i, s := range f.Overhead.Subsets {
		mask, err := modality.Parse(s)
		if err != nil {
			return fmt.Errorf("overhead.subsets: %w", err)
		}
		if len(mask.String()) < 2 {
			return fmt.Errorf("overhead.subsets: %s: one modality has no contribution to weigh", s)
		}
		f.Overhead.Subsets[i] = mask.String()
	}
	return nil
}

func (f *File) checkTuning() error {
	t := &f.Tuning
	if len(t.Trials) == 0 {
		return nil
	}
	if f.Data.ValidationSubjects == 0 {
		return errors.New("tuning: it chooses on validation subjects: set data.validation_subjects")
	}
	if len(t.Seeds) == 0 {
		t.Seeds = f.Seeds[:1]
	}
	if t.Epochs < 0 {
		return errors.New("tuning.epochs: want 0 or more")
	}
	want := -1
	for _, m := range f.Methods {
		trials := t.Trials[m]
		if len(trials) == 0 {
			return fmt.Errorf("tuning.trials.%s: it is missing: every method needs the same number of trials", m)
		}
		if want >= 0 && len(trials) != want {
			return fmt.Errorf("tuning.trials.%s: %d trials, %s has %d: every method needs the same number", m, len(trials), f.Methods[0], want)
		}
		want = len(trials)
		for i, trial := range trials {
			if !(trial.LR > 0) {
				return fmt.Errorf("tuning.trials.%s[%d].lr %g: want a positive number", m, i, trial.LR)
			}
			ch := choice{f.Settings, f.Training}.apply(m, trial)
			if _, err := train.NewMethod(m, ch.settings); err != nil {
				return fmt.Errorf("tuning.trials.%s[%d].coefficient: %w", m, i, err)
			}
		}
	}
	for _, m := range slices.Sorted(maps.Keys(t.Trials)) {
		if !slices.Contains(f.Methods, m) {
			return fmt.Errorf("tuning.trials.%s: the method is not in methods", m)
		}
	}
	return nil
}
