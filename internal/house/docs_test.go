package house

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/pipeline"
	"posefuse/recording/sim"
)

var (
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notInSlug  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors returns the fragments that GitHub gives the headings of a page.
func anchors(p Page) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(p.Prose, -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(strings.TrimSpace(slug), " ", "-"))
	}
	return out
}

func TestDocumentationLinks(t *testing.T) {
	found := 0
	for _, p := range Pages(t) {
		for _, m := range linkTarget.FindAllStringSubmatch(p.Prose, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			found++
			file, fragment, _ := strings.Cut(m[1], "#")
			target := p.Path
			if file != "" {
				target = filepath.Join(filepath.Dir(p.Path), file)
			}
			if _, err := os.Stat(filepath.Join(testenv.Root(), target)); err != nil {
				t.Errorf("%s links to %s: %v", p.Path, m[1], err)
				continue
			}
			if fragment == "" {
				continue
			}
			text, err := os.ReadFile(filepath.Join(testenv.Root(), target))
			if err != nil {
				t.Errorf("%s links to %s: %v", p.Path, m[1], err)
			} else if !slices.Contains(anchors(parsePage(target, string(text))), fragment) {
				t.Errorf("%s links to %s: no heading gives #%s", p.Path, m[1], fragment)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d links found: does the search still work?", found)
	}
}

// subjects look like configuration keys but are messages or parts.
var subjects = []string{"exercise.event", "exercise.summary", "exercise.status", "exercise.live", "model.event"}

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

// variableExists asks the same of a variable that overrides a key.
func variableExists(name string) bool {
	_, err := pipeline.ParseConfig(nil, []string{name + "=null"})
	return err == nil || !strings.Contains(err.Error(), "no such key")
}

func TestDocumentedKeys(t *testing.T) {
	found := 0
	for _, p := range Pages(t) {
		for _, m := range inlineCode.FindAllStringSubmatch(p.Prose, -1) {
			key := dottedName.FindString(m[1])
			first, _, _ := strings.Cut(key, ".")
			if !keyExists(first) || fileEnding.MatchString(key) || slices.Contains(subjects, key) {
				continue
			}
			found++
			if !keyExists(key) {
				t.Errorf("%s names the key %s, which does not exist", p.Path, key)
			}
		}
		all := p.Prose
		for _, b := range p.Blocks {
			all += b.Text
			if b.Language != "yaml" {
				continue
			}
			found++
			if _, err := pipeline.ParseConfig([]byte(b.Text), nil); err != nil {
				t.Errorf("%s: configuration that does not load: %v\n%s", p.Path, err, b.Text)
			}
		}
		for _, name := range environment.FindAllString(all, -1) {
			if name != "POSEFUSE_" && !variableExists(name) {
				t.Errorf("%s names the variable %s, which nothing reads", p.Path, name)
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
	b, err := os.ReadFile(filepath.Join(testenv.Root(), "docs/design.md"))
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
	b, err := os.ReadFile(filepath.Join(testenv.Root(), "docs/simulator.md"))
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
