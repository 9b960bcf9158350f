package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posefuse/model"
)

var update = flag.Bool("update", false, "write the golden files anew instead of comparing with them")

const wrongInputGolden = "testdata/wrong_input.golden"

// wrongInput is something a user gets wrong: a document, a command line or the
// environment. Its command must end by itself, and soon.
type wrongInput struct {
	name string
	// args are the words of the command line; check room.yaml if empty. The
	// first that ends in .yaml is the file that doc is written to.
	args string
	env  string // NAME=VALUE words
	doc  string // "": there is no such file
}

// TestWrongInputPrintsWordForWord runs the binary on what users get wrong and
// compares all it prints, and its exit code, with a golden file. Whoever moves
// the checks about, or writes them anew, sees what a user would see change.
//
// Paths are relative to a folder of the case's own, in which "made" leads to
// what makeWrongInputs made. Where the program goes through a map and reports
// the first that is wrong, a case has one wrong entry.
func TestWrongInputPrintsWordForWord(t *testing.T) {
	cases := slices.Concat(wrongDocuments, wrongSettings, wrongEnvironments, wrongFlags, wrongData, wrongTrainings, wrongModels, wrongExperiments, wrongCameras)
	golden := readWrongInputGolden(t)
	made := makeWrongInputs(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := c.run(t, made)
			if *update {
				golden[c.name] = got
			}
			if want := golden[c.name]; got != want {
				t.Errorf("prints\n%s\nand not, as in %s,\n%s\nIf that is meant: go test ./cmd/posefuse -run WrongInput -update", got, wrongInputGolden, want)
			}
			if strings.Contains(got, "goroutine ") {
				t.Errorf("the error is a stack trace:\n%s", got)
			}
		})
	}
	var sections []string
	for i, c := range cases {
		if slices.ContainsFunc(cases[:i], func(other wrongInput) bool { return other.name == c.name }) {
			t.Errorf("two cases are called %q", c.name)
		}
		sections = append(sections, "=== "+c.name+"\n"+golden[c.name])
		delete(golden, c.name)
	}
	if *update {
		writeFile(t, wrongInputGolden, []byte(strings.Join(sections, "\n")))
		return
	}
	for name := range golden {
		t.Errorf("%s has a case that is no more: %s", wrongInputGolden, name)
	}
}

// readWrongInputGolden returns what the golden file holds, by name of the case.
func readWrongInputGolden(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(wrongInputGolden)
	if err != nil && !*update {
		t.Fatal(err)
	}
	golden := map[string]string{}
	for section := range strings.SplitSeq("\n"+string(b), "\n=== ") {
		if name, text, ok := strings.Cut(section, "\n"); ok && name != "" {
			golden[name] = text
		}
	}
	return golden
}

// run returns the case as the golden file has it: the command, the document
// indented, the exit code and what was printed on both streams.
func (c *wrongInput) run(t *testing.T, made string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(made, filepath.Join(dir, "made")); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(c.args)
	if len(args) == 0 {
		args = []string{"check", "room.yaml"}
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "$ %s\n", strings.Join(slices.Concat(strings.Fields(c.env), []string{"posefuse"}, args), " "))
	if c.doc != "" {
		file := args[slices.IndexFunc(args, func(a string) bool { return filepath.Ext(a) == ".yaml" })]
		writeFile(t, filepath.Join(dir, file), []byte(c.doc))
		for line := range strings.Lines(strings.TrimSuffix(c.doc, "\n") + "\n") {
			text.WriteString("    " + line)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	cmd.Dir = dir
	// A wide terminal, a slow CPU path or the tester's own settings must not show.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "COLUMNS=80"}, strings.Fields(c.env)...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil || cmd.ProcessState == nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	fmt.Fprintf(&text, "exit code %d\n", cmd.ProcessState.ExitCode())
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "posefuse: slow CPU path: ") {
			text.WriteString(strings.ReplaceAll(line, dir, "DIR"))
		}
	}
	return text.String()
}

// makeWrongInputs makes what the cases name as made/...: models, recordings and
// trainings, whole ones and broken ones.
func makeWrongInputs(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "made")
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, at(name), []byte(text))
	}
	checkpoint := func(name string, edit func(*model.Card), spoil func(weights []byte) []byte) {
		if err := os.CopyFS(at(name), os.DirFS(saveShipped(t, edit))); err != nil {
			t.Fatal(err)
		}
		file := weightsFile(t, at(name))
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, spoil(b))
	}
	keep, whole := func(*model.Card) {}, func(b []byte) []byte { return b }
	checkpoint("whole", keep, whole)
	checkpoint("centred", func(c *model.Card) { c.Window = model.Centred }, whole)
	checkpoint("flipped", keep, func(b []byte) []byte { b[len(b)-9] ^= 1; return b })
	checkpoint("short", keep, func(b []byte) []byte { return b[:1000] })
	checkpoint("headless", keep, func([]byte) []byte { return []byte("not a safetensors file") })
	write("garbled/card.json", "{\"schema\": ")
	write("newer/card.json", "{\"schema\": 99}")
	write("registry/registry.json", "{\"schema\": 1, \"serving\": \"edge/1\", \"entries\": [")
	write("file", "neither a folder nor a model\n")
	write("file.png", "no picture\n")
	for i := range 4 {
		write(fmt.Sprintf("flat/%d.png", i), string(flatBoard(t, 640, 480, 40+2*i, 60+10*i, 50+5*i)))
		write(fmt.Sprintf("sizes/%d.png", i), string(flatBoard(t, 640, 480+i/3*40, 40, 60, 50)))
	}
	write("nothing/readme.txt", "no recordings here\n")
	write("motion/anna_A12.bvh", swingBVH())
	write("motion/ben_A12.bvh", strings.Replace(swingBVH(), "OFFSET 0 -42 0", "OFFSET 0 down 0", 1))
	write("mars/index.csv", "clip,subject\n")
	write("mars2/index.csv", "clip,subject,mmfi_closest\none.npy,77,A12\n")

	clips := []string{"--frames", "8", "--subjects", "1,2,3,4,6,7,8,10", "--activities", "12"}
	posefuse(t, append([]string{"simulate", "--out", at("data")}, clips...)...)
	posefuse(t, append([]string{"simulate", "--out", at("cut")}, clips...)...)
	if err := os.Truncate(at("cut/E01/S01/A12/lidar/frame002.bin"), 1001); err != nil {
		t.Fatal(err)
	}
	train := func(out string) error {
		cmd := exec.CommandContext(t.Context(), binary(t), "train", "--mmfi", "made/data", "--modalities", "R", "--batch", "8", "--epochs", "1", "--out", "made/"+out)
		cmd.Dir = root // the data have the same name as for the cases
		return cmd.Run()
	}
	if err := train("finished"); err != nil {
		t.Fatal(err)
	}
	// A training that cannot write its evaluation has not finished.
	write("interrupted/evaluation.json/in the way", "")
	if err := train("interrupted"); err == nil {
		t.Fatal("the training wrote its evaluation over a folder")
	}
	if err := os.CopyFS(at("damaged"), os.DirFS(at("interrupted"))); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"state.json", "before.json"} {
		write("damaged/resume/"+state, "{}")
	}
	return dir
}
