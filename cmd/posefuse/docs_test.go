package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"posefuse/model/nn/kernel"
	"posefuse/pipeline"
	"posefuse/recording/sim"
)

const repository = "../.."

// page is one Markdown file, split into prose and fenced blocks.
type page struct {
	path   string // from the repository's root
	prose  string
	blocks []block
}

type block struct{ language, text string }

// pages returns README.md and everything below docs.
func pages(t *testing.T) []page {
	t.Helper()
	paths := []string{"README.md"}
	err := fs.WalkDir(os.DirFS(repository), "docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatalf("list docs: %v", err)
	}
	var out []page
	for _, path := range paths {
		b, err := os.ReadFile(filepath.Join(repository, path))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, parsePage(path, string(b)))
	}
	return out
}

func parsePage(path, text string) page {
	p := page{path: path}
	indent, inside := "", false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimLeft(line, " ")
		fence, isFence := strings.CutPrefix(trimmed, "```")
		switch {
		case isFence && !inside:
			inside, indent = true, line[:len(line)-len(trimmed)]
			p.blocks = append(p.blocks, block{language: strings.TrimSpace(fence)})
		case isFence:
			inside = false
		case inside:
			p.blocks[len(p.blocks)-1].text += strings.TrimPrefix(line, indent)
		default:
			p.prose += line
		}
	}
	return p
}

var (
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	inlineCode = regexp.MustCompile("`([^`]+)`")
	heading    = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notInSlug  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors returns the fragments that GitHub gives the headings of a page.
func anchors(p page) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(p.prose, -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(strings.TrimSpace(slug), " ", "-"))
	}
	return out
}

func TestDocumentationLinks(t *testing.T) {
	found := 0
	for _, p := range pages(t) {
		for _, m := range linkTarget.FindAllStringSubmatch(p.prose, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			found++
			file, fragment, _ := strings.Cut(m[1], "#")
			target := p.path
			if file != "" {
				target = filepath.Join(filepath.Dir(p.path), file)
			}
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil {
				t.Errorf("%s links to %s: %v", p.path, m[1], err)
				continue
			}
			if fragment == "" {
				continue
			}
			text, err := os.ReadFile(filepath.Join(repository, target))
			if err != nil {
				t.Errorf("%s links to %s: %v", p.path, m[1], err)
			} else if !slices.Contains(anchors(parsePage(target, string(text))), fragment) {
				t.Errorf("%s links to %s: no heading gives #%s", p.path, m[1], fragment)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d links found: does the search still work?", found)
	}
}

// newParser returns the command line's own parser; it never ends the process.
func newParser(t *testing.T) *kong.Kong {
	t.Helper()
	return parserOf(t, newCLI())
}

func parserOf(t *testing.T, c *cli) *kong.Kong {
	t.Helper()
	k, err := kong.New(c, methodVars(), kong.Name("posefuse"), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// shellWords splits a simple command: quotes and comments, no expansion. It
// stops at the end of the command.
func shellWords(line string) []string {
	var words []string
	word, quote, open := "", rune(0), false
	flush := func() {
		if open {
			words = append(words, word)
		}
		word, open = "", false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ' || r == '\t' || r == '\n':
			flush()
		case strings.ContainsRune("|&;<>", r), r == '#' && !open:
			flush()
			return words
		default:
			word, open = word+string(r), true
		}
	}
	flush()
	return words
}

// documentedCommands returns the arguments of every posefuse command in the
// shell blocks of a page.
func documentedCommands(p page) [][]string {
	var out [][]string
	for _, b := range p.blocks {
		if b.language != "sh" {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", " ")) {
			for {
				at := slices.Index(shellWords(line), "posefuse")
				if words := shellWords(line); at >= 0 && at+1 < len(words) && onlyBefore(words[:at]) {
					out = append(out, words[at+1:])
				}
				_, rest, more := cutAny(line, "&&", ";", "|")
				if !more {
					break
				}
				line = rest
			}
		}
	}
	return out
}

// onlyBefore reports whether the words leave the next one the command's name:
// assignments and wrappers.
func onlyBefore(words []string) bool {
	for _, w := range words {
		if !strings.Contains(w, "=") && w != "sudo" && w != "nice" {
			return false
		}
	}
	return true
}

func cutAny(s string, separators ...string) (before, after string, found bool) {
	at, length := -1, 0
	for _, sep := range separators {
		if i := strings.Index(s, sep); i >= 0 && (at < 0 || i < at) {
			at, length = i, len(sep)
		}
	}
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+length:], true
}

func TestDocumentedCommands(t *testing.T) {
	found := 0
	for _, p := range pages(t) {
		for _, args := range documentedCommands(p) {
			found++
			if _, err := newParser(t).Parse(args); err != nil {
				t.Errorf("%s: posefuse %s: %v", p.path, strings.Join(args, " "), err)
			}
		}
		for _, m := range inlineCode.FindAllStringSubmatch(p.prose, -1) {
			words := shellWords(m[1])
			switch {
			case len(words) > 1 && words[0] == "posefuse":
				found++
				checkFlags(t, p.path, words[1], words[2:])
			case len(words) > 0 && strings.HasPrefix(words[0], "--") && !knownFlag(newParser(t).Model.Node, words[0]):
				t.Errorf("%s: no command has the flag %s", p.path, words[0])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d commands found: does the search still work?", found)
	}
}

// checkFlags checks a command in running text, which may be incomplete.
func checkFlags(t *testing.T, path, command string, words []string) {
	t.Helper()
	for _, n := range newParser(t).Model.Children {
		if n.Name != command {
			continue
		}
		for _, w := range words {
			if strings.HasPrefix(w, "--") && !knownFlag(n, w) {
				t.Errorf("%s: posefuse %s has no flag %s", path, command, w)
			}
		}
		return
	}
	t.Errorf("%s: there is no command posefuse %s", path, command)
}

// knownFlag reports whether the node or one below it has the flag.
func knownFlag(n *kong.Node, word string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	for _, f := range n.Flags {
		if f.Name == name {
			return true
		}
	}
	return slices.ContainsFunc(n.Children, func(c *kong.Node) bool { return knownFlag(c, word) })
}

// subjects look like configuration keys but are messages or parts.
var subjects = []string{"exercise.event", "exercise.summary", "exercise.status", "model.event"}

var (
	dottedName  = regexp.MustCompile(`^[a-z_]+(\.[a-z_0-9]+)+`)
	fileEnding  = regexp.MustCompile(`\.(md|go|ya?ml|json|cfg|service|rules|conf)$`)
	environment = regexp.MustCompile(`POSEFUSE_[A-Z0-9_]+`)
)

// keyExists asks the configuration's own loader.
func keyExists(key string) bool {
	parts := strings.Split(key, ".")
	doc := strings.Join(parts, ": {") + ": null" + strings.Repeat("}", len(parts)-1)
	_, err := pipeline.ParseConfig([]byte(doc), nil)
	return err == nil || !strings.Contains(err.Error(), "no such key")
}

func TestDocumentedKeys(t *testing.T) {
	top := map[string]bool{}
	known := []string{kernel.EnvCPU}
	for _, key := range pipeline.Keys() {
		first, _, _ := strings.Cut(key, ".")
		top[first] = true
		known = append(known, pipeline.EnvName(key))
	}
	for _, n := range newParser(t).Model.Children {
		for _, f := range n.Flags {
			known = append(known, f.Envs...)
		}
	}
	found := 0
	for _, p := range pages(t) {
		for _, m := range inlineCode.FindAllStringSubmatch(p.prose, -1) {
			key := dottedName.FindString(m[1])
			first, _, _ := strings.Cut(key, ".")
			if !top[first] || fileEnding.MatchString(key) || slices.Contains(subjects, key) {
				continue
			}
			found++
			if !keyExists(key) {
				t.Errorf("%s names the key %s, which does not exist", p.path, key)
			}
		}
		all := p.prose
		for _, b := range p.blocks {
			all += b.text
			if b.language != "yaml" {
				continue
			}
			found++
			if _, err := pipeline.ParseConfig([]byte(b.text), nil); err != nil {
				t.Errorf("%s: configuration that does not load: %v\n%s", p.path, err, b.text)
			}
		}
		for _, name := range environment.FindAllString(all, -1) {
			if name != "POSEFUSE_" && !slices.Contains(known, name) {
				t.Errorf("%s names the variable %s, which nothing reads", p.path, name)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d keys found: does the search still work?", found)
	}
}

// TestDocumentedHouse holds the import table of docs/design.md equal to the
// one that is tested.
func TestDocumentedHouse(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(repository, "docs/design.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(b), "\n## Imports\n")
	if !ok {
		t.Fatal("docs/design.md has no section Imports")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	documented := map[string]bool{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		room := inlineCode.FindStringSubmatch(line)
		if len(cells) != 4 || room == nil {
			continue
		}
		var may []string
		for _, m := range inlineCode.FindAllStringSubmatch(cells[2], -1) {
			may = append(may, m[1])
		}
		documented[room[1]] = true
		if want := allowed[room[1]]; !slices.Equal(may, want) {
			t.Errorf("docs/design.md: %s may import %v, the test says %v", room[1], may, want)
		}
	}
	for room := range allowed {
		if !documented[room] {
			t.Errorf("docs/design.md: the import table lacks %s", room)
		}
	}
}

func TestDocumentedSimulator(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(repository, "docs/simulator.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range sim.DegradationKinds() {
		if !strings.Contains(string(b), "\n| `"+string(kind)+"` |") {
			t.Errorf("docs/simulator.md lacks the degradation %s", kind)
		}
	}
	for _, preset := range sim.PresetNames() {
		if !strings.Contains(string(b), "\n| `"+preset+"` |") {
			t.Errorf("docs/simulator.md lacks the preset %s", preset)
		}
	}
}
