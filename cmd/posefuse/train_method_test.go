package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/train"
)

// TestDocumentedMethods holds the pages about methods equal to their table.
func TestDocumentedMethods(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(testenv.Root(), path))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	page := read("docs/training.md")
	var rows strings.Builder
	for _, d := range train.Methods {
		var constants []string
		for _, c := range d.Constants {
			if c.Option == "" {
				continue
			}
			text := "`--" + c.Option + "`"
			switch c.Default.(type) {
			case float64, int:
				text += fmt.Sprint(" ", c.Default)
			}
			constants = append(constants, text)
		}
		if d.Needs.HeldOut {
			constants = append(constants, "`--holdout`")
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", d.Name, d.Doc, strings.Join(constants, ", "), d.Source)
	}
	want := strings.ReplaceAll(strings.ReplaceAll(rows.String(), "|  |", "| |"), "|  |", "| |") // empty cells
	_, table, _ := strings.Cut(page, "| `--balance` |")
	_, table, _ = strings.Cut(table, "| --- |\n")
	if table, _, _ = strings.Cut(table, "\n\n"); table+"\n" != want {
		t.Errorf("docs/training.md: the table of methods is not that of package train, which is\n%s", want)
	}
	page = read("docs/experiments/README.md")
	if all := "| of `" + strings.Join(train.Methods.Names(), "`, `") + "` |"; !strings.Contains(page, all) {
		t.Errorf("docs/experiments/README.md: the key methods lacks %s", all)
	}
	_, trials, _ := strings.Cut(page, "\nA trial's `coefficient`")
	for _, d := range train.Methods {
		if !strings.Contains(trials, "`"+d.Name+"`") {
			t.Errorf("docs/experiments/README.md: what a trial's coefficient is to %s is not said", d.Name)
		}
	}
	for _, c := range train.Methods.Constants() {
		_, name, grouped := strings.Cut(c.Key, ".")
		if !grouped {
			name = c.Key
		}
		if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "`settings."+name+"`") {
			t.Errorf("docs/experiments/README.md: the setting %s is not there", c.Key)
		}
	}
}

// The command line takes a method and its constants from the table alone.
func TestMethodsOfTheTableHaveFlags(t *testing.T) {
	strength := &train.Constant{Key: "probe.strength", Option: "probe-strength", Help: "Probe: how much.", Default: 1.5}
	word := &train.Constant{Key: "probe.word", Option: "probe-word", Help: "Probe: which.", Default: "a", Words: []string{"a", "b"}}
	shared := &train.Constant{Key: "probe.alpha", Option: "balance-alpha", Default: 0.7}
	probe := &train.MethodDescriptor{Name: "probe", Constants: []*train.Constant{strength, word, shared}, Needs: train.Needs{HeldOut: true},
		New: func(train.MethodSettings) train.Method { return nil }}
	before := train.Methods
	train.Methods = append(before[:len(before):len(before)], probe)
	t.Cleanup(func() { train.Methods = before })

	parse := func(args ...string) (methodFlags, error) {
		c := newCLI()
		_, err := parserOf(t, c).Parse(append([]string{"train", "--out", "x", "--balance", "probe"}, args...))
		return c.Train.methodFlags, err
	}
	f, err := parse("--probe-strength", "4", "--holdout", "0.1")
	if err != nil {
		t.Fatal(err)
	}
	set := f.settings()
	if set.Float(strength) != 4 || set.Word(word) != "a" || set.Float(shared) != 0.7 || set.Int(train.AWCWindow) != 20 {
		t.Errorf("the settings are %+v", set)
	}
	if _, err = f.method(); err != nil {
		t.Error(err)
	}
	if f, err = parse("--balance-alpha", "0.25", "--probe-word", "b"); err != nil {
		t.Fatal(err)
	}
	if set = f.settings(); set.Float(shared) != 0.25 || set.Word(word) != "b" || set.Float(train.Methods.Find(train.AGM).Constants[0]) != 0.25 {
		t.Errorf("the settings are %+v", set)
	}
	if _, err = f.method(); err == nil || !strings.Contains(err.Error(), "--holdout 0.1") {
		t.Errorf("without clips held out: %v", err)
	}
	if _, err = parse("--probe-word", "c"); err == nil || !strings.Contains(err.Error(), `"a","b"`) {
		t.Errorf("another word: %v", err)
	}
	for _, n := range newParser(t).Model.Children {
		for _, flag := range n.Flags {
			want := map[string]string{"balance": "slow-start,probe", "balance-alpha": "modality-level or probe;", "holdout": "g-blending or probe needs"}[flag.Name]
			if n.Name == "train" && !strings.Contains(flag.Help, want) {
				t.Errorf("the help of --%s is %q, want %q in it", flag.Name, flag.Help, want)
			}
		}
	}
}
