package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"posefuse/setting"
)

// maxConfig is larger than any configuration, bytes.
const maxConfig = 1 << 20

// checkText refuses bytes that YAML cannot hold, with the line and the key: the
// library names neither.
func checkText(doc []byte) error {
	if bytes.HasPrefix(doc, []byte("\xff\xfe")) || bytes.HasPrefix(doc, []byte("\xfe\xff")) {
		return nil // UTF-16, which the library reads
	}
	for at, line := 0, 1; at < len(doc); {
		r, n := utf8.DecodeRune(doc[at:])
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && n == 1:
			return fmt.Errorf("%sthe byte 0x%02X is no UTF-8; save the file as UTF-8", place(doc, at, line), doc[at])
		case r < ' ' && r != '\t' && r != '\r' || r == 0x7f:
			return fmt.Errorf("%sa control character (0x%02X); take it out", place(doc, at, line), r)
		}
		at += n
	}
	return nil
}

// place names the line of a byte and the key before it on that line.
func place(doc []byte, at, line int) string {
	begin := bytes.LastIndexByte(doc[:at], '\n') + 1
	if key := keyOf(doc[begin:at]); key != "" {
		return fmt.Sprintf("line %d: %s: ", line, key)
	}
	return fmt.Sprintf("line %d: ", line)
}

var lineKey = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*)\s*:[^:]*$`)

// secretLine finds a key whose value may hold what looks like a key.
var secretLine = regexp.MustCompile(`\b([A-Za-z_]*(?:password|token|url))\s*:`)

// keyOf returns the last key of some text of one line, "" without one. What
// follows a secret's key is its value.
func keyOf(text []byte) string {
	if m := secretLine.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	if m := lineKey.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

var syntaxLine = regexp.MustCompile(`^line (\d+): (.*)$`)

// syntaxError adds to the library's error about a document the key of its line.
func syntaxError(doc []byte, err error) error {
	err = yamlError(err)
	m := syntaxLine.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	n := 0
	if _, scanErr := fmt.Sscan(m[1], &n); scanErr != nil {
		return err
	}
	lines := bytes.Split(doc, []byte("\n"))
	if n < 1 || n > len(lines) {
		return err
	}
	if key := keyOf(lines[n-1]); key != "" {
		return fmt.Errorf("line %d: %s: %s", n, key, m[2])
	}
	return err
}

// withLines adds to problems of keys the line of the document where the key, or
// the block that lacks it, stands.
func withLines(doc []byte, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var root yaml.Node
	if yaml.Unmarshal(doc, &root) != nil || len(root.Content) == 0 {
		return err
	}
	var out []error
	for _, e := range joined.Unwrap() {
		if p, ok := errors.AsType[*setting.Problem](e); ok {
			if line := lineOf(root.Content[0], p.Key); line > 0 {
				e = fmt.Errorf("line %d: %w", line, e)
			}
		}
		out = append(out, e)
	}
	return errors.Join(out...)
}

// lineOf returns the line of a key, or of the deepest block on its path; 0 if
// the document has nothing of it.
func lineOf(n *yaml.Node, key string) int {
	line := 0
	for _, name := range strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		next := child(n, name)
		if next == nil {
			return line
		}
		n, line = next.value, next.line
	}
	return line
}

// entry is a value in a document and the line where its key stands.
type entry struct {
	value *yaml.Node
	line  int
}

func child(n *yaml.Node, name string) *entry {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return &entry{n.Content[i+1], n.Content[i].Line}
			}
		}
	case yaml.SequenceNode:
		for i, e := range n.Content {
			if fmt.Sprint(i) == name {
				return &entry{e, e.Line}
			}
		}
	case yaml.DocumentNode, yaml.ScalarNode, yaml.AliasNode:
	}
	return nil
}

// octal is what YAML 1.1 reads to the base of 8.
var octal = regexp.MustCompile(`^[-+]?0[0-9_]+$`)

// wrongForm says why a node cannot be what a key of type t holds, "" if it can.
// The library's own words name no key.
func wrongForm(n *yaml.Node, t reflect.Type, secret bool) string {
	value := fmt.Sprintf("%q", n.Value)
	if secret {
		value = "the value"
	}
	scalar := scalarNames[t.Kind()]
	form := map[yaml.Kind]string{yaml.SequenceNode: "a list", yaml.MappingNode: "keys", yaml.ScalarNode: "a single value"}[n.Kind]
	switch {
	case n.ShortTag() == "!!null":
		return ""
	case scalar != "" && n.Kind != yaml.ScalarNode:
		return fmt.Sprintf("want %s, not %s", withArticle(scalar), form)
	case (t.Kind() == reflect.Int || t.Kind() == reflect.Float64) && octal.MatchString(n.Value) && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0:
		return fmt.Sprintf("%s begins with 0 and would be read to the base of 8; leave the 0 out", n.Value)
	case t.Kind() == reflect.Int && n.ShortTag() == "!!float":
		return n.Value + " is no whole number" // the library would drop the fraction without a word
	case scalar != "" && n.Decode(reflect.New(t).Interface()) != nil:
		return fmt.Sprintf("%s is no %s", value, scalar)
	case t.Kind() == reflect.Slice && n.Kind != yaml.SequenceNode:
		return "want a list, not " + form
	case t.Kind() == reflect.Array && (n.Kind != yaml.SequenceNode || len(n.Content) != t.Len()):
		return fmt.Sprintf("want a list of %d", t.Len())
	case t.Kind() == reflect.Map && n.Kind != yaml.MappingNode:
		return "want keys below it, not " + form
	}
	return ""
}

// withArticle turns a name of scalarNames into what is wanted.
func withArticle(name string) string {
	if strings.HasSuffix(name, "number") {
		return "a " + name
	}
	return name
}

// secretKey reports whether the value of a key must not appear in a message.
func secretKey(path string) bool {
	return strings.Contains(path, "password") || strings.Contains(path, "users") || strings.HasSuffix(path, "url") || strings.HasSuffix(path, "token")
}
