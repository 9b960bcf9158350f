package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"posefuse/internal/testenv"
)

// parsed returns what Run methods get of the command line.
func parsed(t *testing.T, args ...string) *kong.Context {
	t.Helper()
	k, err := newParser(t).Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestManualPages: every command and flag has its place, and groff, which
// prints the pages, warns of nothing.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	k := parsed(t, "manual", "--out", dir)
	if err := (manualCmd{Out: dir}).Run(k); err != nil {
		t.Fatal(err)
	}
	for _, n := range k.Model.Children {
		page, err := os.ReadFile(filepath.Join(dir, "posefuse-"+n.Name+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, leaf := range append(n.Children, n) {
			for _, f := range leaf.Flags {
				if !f.Hidden && !bytes.Contains(page, []byte(roffText("--"+f.Name))) {
					t.Errorf("posefuse-%s.1 lacks --%s of %s", n.Name, f.Name, leaf.Name)
				}
			}
		}
	}
	if _, err := exec.LookPath("groff"); err != nil {
		testenv.LeaveOut(t, "groff is not installed (apt-get install groff-base)")
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(pages) != len(k.Model.Children)+2 {
		t.Fatalf("%d pages for %d commands (%v)", len(pages), len(k.Model.Children), err)
	}
	for _, page := range pages {
		out, err := exec.CommandContext(t.Context(), "groff", "-ww", "-z", "-Tutf8", "-K", "utf8", "-man", page).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("groff %s: %v\n%s", page, err, out)
		}
	}
}

func TestRoffText(t *testing.T) {
	for in, want := range map[string]string{
		".nf": `\&.nf`, "'tis": `\&'tis`, `a\b`: `a\eb`, "--x": `\-\-x`, "a\n.b": "a\n\\&.b", "": "",
	} {
		if got := roffText(in); got != want {
			t.Errorf("roffText(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestCompletion asks bash itself what it would offer.
func TestCompletion(t *testing.T) {
	script := func(shell string) string {
		var b bytes.Buffer
		if err := (completionCmd{Shell: shell}).Run(parsed(t, "completion", shell), &b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	bash := script("bash")
	for _, c := range []struct{ line, want string }{
		{"posefuse mod", "models"},
		{"posefuse models li", "list"},
		{"posefuse models list --st", "--state"},
		{"posefuse run --ca", "--camera"},
		{"posefuse completion f", "fish"},
		{"posefuse run models --ca", "--camera"}, // a file of that name is no command
		{"posefuse models list nope", ""},
	} {
		words := strings.Split(c.line, " ")
		ask := bash + `COMP_WORDS=(` + c.line + `); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _posefuse; echo "${COMPREPLY[@]}"`
		out, err := exec.CommandContext(t.Context(), "bash", "-c", ask).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("after %q bash offers %q, want %q (%v)", words, got, c.want, err)
		}
	}
	if zsh := script("zsh"); !strings.HasPrefix(zsh, "#compdef posefuse\n") || !strings.Contains(zsh, bash) {
		t.Error("zsh does not get bash's script under its own heading")
	}
	fish := script("fish")
	for _, want := range []string{"-f -a models -d ", "'__fish_seen_subcommand_from models' -f -a list -d ", "'__fish_seen_subcommand_from run' -l camera "} {
		if !strings.Contains(fish, want) {
			t.Errorf("fish's script lacks %q", want)
		}
	}
}
