package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"posefuse/internal/house"
)

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
func documentedCommands(p house.Page) [][]string {
	var out [][]string
	for _, b := range p.Blocks {
		if b.Language != "sh" {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(b.Text, "\\\n", " ")) {
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
	for _, p := range house.Pages(t) {
		for _, args := range documentedCommands(p) {
			found++
			if _, err := newParser(t).Parse(args); err != nil {
				t.Errorf("%s: posefuse %s: %v", p.Path, strings.Join(args, " "), err)
			}
		}
		for _, code := range p.InlineCode() {
			words := shellWords(code)
			switch {
			case len(words) > 1 && words[0] == "posefuse":
				found++
				checkFlags(t, p.Path, words[1], words[2:])
			case len(words) > 0 && strings.HasPrefix(words[0], "--") && !knownFlag(newParser(t).Model.Node, words[0]):
				t.Errorf("%s: no command has the flag %s", p.Path, words[0])
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
