package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/setting"
	"posefuse/train"
)

// dataFlags choose the recordings a command works on.
type dataFlags struct {
	marsFlags
	roomFlags
	MMFi       string   `name:"mmfi" placeholder:"DIR" help:"MM-Fi folder (holds E01..E04). Without it and --mars the simulator is used."`
	Preset     string   `default:"mmfi" enum:"easy,mmfi,mmfi-2,hard,clean" help:"Simulator preset: ${enum}."`
	SimSeed    uint64   `default:"1" help:"Simulator seed."`
	Mocap      string   `placeholder:"DIR" help:"Folder of real human motion that drives the simulator where an activity has it: index.csv with its .npy files, or .bvh files named PERSON_ACTIVITY.bvh, e.g. anna_A12.bvh."`
	HeldOut    []string `placeholder:"PERSON" default:"s06,cmu13" help:"Recorded people of --mocap who move only held-out subjects."`
	Protocol   int      `default:"3" enum:"1,2,3" help:"MM-Fi protocol: ${enum}."`
	Manual     string   `placeholder:"FILE" help:"Split of one's own in place of --protocol and --split: YAML with manual_split as in the MM-Fi toolbox."`
	Subjects   string   `placeholder:"LIST" help:"Only these subjects of the split, e.g. 1-10,S12."`
	SkipBroken bool     `help:"Go on without the frames and clips that are damaged, and count them; without it they are listed and nothing is done."`
	Split      string   `default:"s2" enum:"s1,s2,s3" help:"MM-Fi split: s1 random, s2 cross-subject, s3 cross-scene."`
}

// open returns the training and validation data sets of the flags; for MM-Fi
// and MARS they are one folder.
func (f dataFlags) open() (train, val recording.Dataset, err error) {
	if f.MARS != "" {
		if f.MMFi != "" {
			return nil, nil, errors.New("--mars and --mmfi: give one of the two")
		}
		dir, openErr := f.openMARS()
		if openErr != nil {
			return nil, nil, openErr
		}
		return dir, dir, nil
	}
	if f.Rooms != "" && f.MMFi != "" {
		return nil, nil, errors.New("--rooms and --mmfi: give one of the two")
	}
	if f.MMFi != "" {
		dir, openErr := openMMFi(f.MMFi)
		if openErr != nil {
			return nil, nil, openErr
		}
		return dir, dir, nil
	}
	var trainMotion, valMotion *sim.MocapLibrary
	if f.Mocap != "" {
		lib, loadErr := sim.LoadMocap(f.Mocap)
		if loadErr != nil {
			return nil, nil, loadErr
		}
		people := lib.Subjects()
		for _, s := range f.HeldOut {
			if !slices.Contains(people, s) {
				return nil, nil, fmt.Errorf("--held-out %s: nobody of that name in %s; there are %s", s, f.Mocap, strings.Join(people, ", "))
			}
		}
		rest := slices.DeleteFunc(people, func(s string) bool { return slices.Contains(f.HeldOut, s) })
		if len(rest) == 0 {
			return nil, nil, errors.New("--held-out names everybody in --mocap: nobody is left to train on")
		}
		trainMotion, valMotion = lib.Only(rest...), lib.Only(f.HeldOut...)
	}
	if f.Rooms != "" {
		return f.openRooms(f.SimSeed, trainMotion, valMotion)
	}
	if train, err = sim.NewDataset(sim.Config{Seed: f.SimSeed, Preset: f.Preset, Mocap: trainMotion}); err != nil {
		return nil, nil, err
	}
	val, err = sim.NewDataset(sim.Config{Seed: f.SimSeed, Preset: f.Preset, Mocap: valMotion})
	return train, val, err
}

// openMMFi opens a folder of recordings and says what they do not tell.
func openMMFi(path string) (*mmfi.Directory, error) {
	dir, err := mmfi.Open(path)
	if err != nil {
		return nil, err
	}
	if dir.Root() != path {
		fmt.Fprintf(os.Stderr, "posefuse: %s holds clips in %s: that is read\n", path, dir.Root())
	}
	for _, p := range dir.Misplaced() {
		fmt.Fprintf(os.Stderr, "posefuse: warning: %s\n", visible(p.String()))
	}
	if lacks := dir.Lacks(); len(lacks) > 0 {
		fmt.Fprintf(os.Stderr, "posefuse: %s has %s\n", path, strings.Join(lacks, "; "))
	}
	return dir, nil
}

// keys returns the clips of the flags' split that each data set holds.
func (f dataFlags) keys(train, val recording.Dataset) (trainKeys, valKeys []recording.Key, err error) {
	if f.MARS != "" {
		return f.marsKeys(train)
	}
	if f.Rooms != "" {
		return train.Keys(), val.Keys(), nil
	}
	t, v, err := f.wanted()
	if err != nil {
		return nil, nil, err
	}
	trainKeys, valKeys = recording.Present(train, t), recording.Present(val, v)
	if missing := len(t) + len(v) - len(trainKeys) - len(valKeys); missing > 0 {
		fmt.Fprintf(os.Stderr, "posefuse: %d of %d clips of %s are not in %s\n", missing, len(t)+len(v), f.split(), train.Describe())
	}
	if len(valKeys) == 0 {
		return nil, nil, fmt.Errorf("%s holds no validation clip of %s", val.Describe(), f.split())
	}
	return trainKeys, valKeys, nil
}

// wanted returns all clips of the flags' split, present or not.
func (f dataFlags) wanted() (trainKeys, valKeys []recording.Key, err error) {
	if f.Manual != "" {
		b, readErr := setting.ReadFile(f.Manual, setting.MaxFile)
		if readErr != nil {
			return nil, nil, fmt.Errorf("--manual: %w", readErr)
		}
		if trainKeys, valKeys, err = mmfi.ParseManual(b); err != nil {
			return nil, nil, fmt.Errorf("--manual %s: %w", f.Manual, err)
		}
	} else if trainKeys, valKeys, err = mmfi.Split(f.Protocol, strings.ToUpper(f.Split)); err != nil {
		return nil, nil, err
	}
	if f.Subjects == "" {
		return trainKeys, valKeys, nil
	}
	only, err := mmfi.ParseNumbers(f.Subjects, "S", mmfi.NumSubjects)
	if err != nil {
		return nil, nil, fmt.Errorf("--subjects: %w", err)
	}
	other := func(k recording.Key) bool { return !slices.Contains(only, k.Subject) }
	return slices.DeleteFunc(trainKeys, other), slices.DeleteFunc(valKeys, other), nil
}

// missing returns how many validation clips of the split the data lacks.
func (f dataFlags) missing(present []recording.Key) int {
	if f.MARS != "" || f.Rooms != "" {
		return 0
	}
	_, v, err := f.wanted()
	if err != nil {
		return 0 // told by keys
	}
	return len(v) - len(present)
}

// choose opens the data of the flags and divides it.
func (f dataFlags) choose() (train.Split, error) {
	trainSet, valSet, err := f.open()
	if err != nil {
		return train.Split{}, err
	}
	trainKeys, valKeys, err := f.keys(trainSet, valSet)
	if err != nil {
		return train.Split{}, err
	}
	chosen, err := f.limit(train.Selection{Data: trainSet, Keys: trainKeys, Part: f.part(forTraining), SkipBroken: f.SkipBroken})
	return train.Split{
		Name:       f.split(),
		Missing:    f.missing(valKeys),
		Train:      chosen,
		Validation: train.Selection{Data: valSet, Keys: valKeys, Part: f.part(forValidation), SkipBroken: f.SkipBroken},
		Test:       train.Selection{Data: valSet, Keys: valKeys, Part: f.part(forTest), SkipBroken: f.SkipBroken},
	}, err
}

// split names the flags' split for cards and reports.
func (f dataFlags) split() string {
	if f.MARS != "" {
		return f.marsSplit()
	}
	if f.Rooms != "" {
		return f.roomSplit()
	}
	name := fmt.Sprintf("protocol %d, split %s", f.Protocol, f.Split)
	if f.Manual != "" {
		name = "manual split " + f.Manual
	}
	if f.Subjects != "" {
		name += ", subjects " + f.Subjects
	}
	return name
}
