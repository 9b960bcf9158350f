package mmfi

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"posefuse/recording"
)

// manualFile is a split of one's own in the form of the data set's toolkit: its
// configuration's part manual_split, alone or in the whole file.
type manualFile struct {
	Manual *manualSplit `yaml:"manual_split"`
}

type manualSplit struct {
	Train manualPart `yaml:"train_dataset"`
	Val   manualPart `yaml:"val_dataset"`
}

// manualPart lists subjects and activities; a missing list or "all" is everything.
type manualPart struct {
	Subjects yaml.Node `yaml:"subjects"`
	Actions  yaml.Node `yaml:"actions"`
}

// ParseManual reads a split of one's own and returns its clips, ordered by subject,
// then activity: every subject with every activity of a part. A clip in both parts
// is an error.
func ParseManual(b []byte) (train, val []recording.Key, err error) {
	var f manualFile
	if err = yaml.Unmarshal(b, &f); err != nil {
		return nil, nil, fmt.Errorf("mmfi: manual split: %w", err)
	}
	if f.Manual == nil {
		return nil, nil, errors.New("mmfi: manual split: no key manual_split with train_dataset and val_dataset below it")
	}
	if train, err = f.Manual.Train.keys("train_dataset"); err != nil {
		return nil, nil, err
	}
	if val, err = f.Manual.Val.keys("val_dataset"); err != nil {
		return nil, nil, err
	}
	for _, k := range val {
		if slices.Contains(train, k) {
			return nil, nil, fmt.Errorf("mmfi: manual split: %s is in train_dataset and in val_dataset", k)
		}
	}
	return train, val, nil
}

func (p *manualPart) keys(part string) (keys []recording.Key, err error) {
	subjects, err := numbers(&p.Subjects, "S", NumSubjects)
	if err != nil {
		return nil, fmt.Errorf("mmfi: manual split: %s.subjects: %w", part, err)
	}
	actions, err := numbers(&p.Actions, "A", NumActivities)
	if err != nil {
		return nil, fmt.Errorf("mmfi: manual split: %s.actions: %w", part, err)
	}
	for _, s := range subjects {
		for _, a := range actions {
			keys = append(keys, recording.Key{Subject: s, Activity: a})
		}
	}
	return keys, nil
}

// numbers reads a list such as [S01, S02], [1, 2], "S01, 3-5" or "all".
func numbers(n *yaml.Node, letter string, most int) ([]int, error) {
	if n.Kind == 0 || n.Tag == "!!null" {
		return ParseNumbers("all", letter, most)
	}
	if n.Kind == yaml.ScalarNode {
		return ParseNumbers(n.Value, letter, most)
	}
	var list []string
	if err := n.Decode(&list); err != nil {
		return nil, fmt.Errorf("line %d: want a list such as [%s01, %s02]", n.Line, letter, letter)
	}
	return ParseNumbers(strings.Join(list, ","), letter, most)
}

// ParseNumbers reads subjects or activities: numbers from 1 to most with or without
// the letter, and ranges, separated by commas; "all" is each of them. They come back
// sorted, each once.
func ParseNumbers(text, letter string, most int) (out []int, err error) {
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSpace(one)
		first, last, isRange := strings.Cut(one, "-")
		if strings.EqualFold(one, "all") {
			first, last, isRange = "1", strconv.Itoa(most), true
		}
		if !isRange {
			last = first
		}
		from, err := number(first, letter)
		if err != nil {
			return nil, err
		}
		to, err := number(last, letter)
		if err != nil {
			return nil, err
		}
		if from < 1 || to > most || from > to {
			return nil, fmt.Errorf("%q: want numbers from 1 to %d", one, most)
		}
		for i := from; i <= to; i++ {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func number(text, letter string) (int, error) {
	digits := strings.TrimSpace(text)
	if len(digits) > 0 && strings.EqualFold(digits[:1], letter) {
		digits = digits[1:]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("%q: want a number such as %s01, a range such as 1-5, or all", text, letter)
	}
	return n, nil
}
