// Package house holds the tests of the repository as a whole, which need no
// binary: which room imports which, and whether the documents tell the truth.
package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// Page is one Markdown file, split into prose and fenced blocks.
type Page struct {
	Path   string // from the repository's root
	Prose  string
	Blocks []Block
}

// Block is a fenced block of a page.
type Block struct{ Language, Text string }

// Pages returns README.md and everything below docs.
func Pages(t *testing.T) []Page {
	t.Helper()
	paths := []string{"README.md"}
	err := fs.WalkDir(os.DirFS(testenv.Root()), "docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatalf("list docs: %v", err)
	}
	var out []Page
	for _, path := range paths {
		b, err := os.ReadFile(filepath.Join(testenv.Root(), path))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, parsePage(path, string(b)))
	}
	return out
}

func parsePage(path, text string) Page {
	p := Page{Path: path}
	indent, inside := "", false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimLeft(line, " ")
		fence, isFence := strings.CutPrefix(trimmed, "```")
		switch {
		case isFence && !inside:
			inside, indent = true, line[:len(line)-len(trimmed)]
			p.Blocks = append(p.Blocks, Block{Language: strings.TrimSpace(fence)})
		case isFence:
			inside = false
		case inside:
			p.Blocks[len(p.Blocks)-1].Text += strings.TrimPrefix(line, indent)
		default:
			p.Prose += line
		}
	}
	return p
}

// InlineCode returns what the page's prose sets in backquotes.
func (p Page) InlineCode() []string {
	var out []string
	for _, m := range inlineCode.FindAllStringSubmatch(p.Prose, -1) {
		out = append(out, m[1])
	}
	return out
}

var inlineCode = regexp.MustCompile("`([^`]+)`")
