package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: bash, zsh or fish."`
}

// Help shows the command's example.
func (completionCmd) Help() string {
	return "The Debian package installs it for all three.\n\nExample:\n\n  source <(posefuse completion bash)"
}

// Run prints the script.
func (c completionCmd) Run(k *kong.Context, out io.Writer) error {
	words := completionWords(k.Model.Node)
	script := bashScript(words)
	switch c.Shell {
	case "zsh":
		script = "#compdef posefuse\nautoload -U +X bashcompinit && bashcompinit\n" + script
	case "fish":
		script = fishScript(k.Model.Node)
	}
	_, err := io.WriteString(out, script)
	return err
}

// commandWords is what may follow a command; Path is "" or "/models/list".
type commandWords struct {
	Path  string
	Words []string
}

// completionWords lists every command in the order of the help.
func completionWords(app *kong.Node) []commandWords {
	var all []commandWords
	var visit func(n *kong.Node, path string)
	visit = func(n *kong.Node, path string) {
		own := commandWords{Path: path}
		for _, c := range n.Children {
			own.Words = append(own.Words, c.Name)
		}
		for _, p := range n.Positional {
			own.Words = append(own.Words, values(p)...)
		}
		for _, f := range n.Flags {
			if !f.Hidden {
				own.Words = append(own.Words, "--"+f.Name)
			}
		}
		all = append(all, own)
		for _, c := range n.Children {
			visit(c, path+"/"+c.Name)
		}
	}
	visit(app, "")
	return all
}

// values returns what an argument or flag may be, if that is a short list.
func values(v *kong.Value) []string {
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

func bashScript(commands []commandWords) string {
	paths := make([]string, 0, len(commands))
	var cases strings.Builder
	for _, c := range commands {
		if c.Path != "" {
			paths = append(paths, c.Path)
		}
		fmt.Fprintf(&cases, "    %q) words=%q ;;\n", c.Path, strings.Join(c.Words, " "))
	}
	return `_posefuse() {
  local path="" word words=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path/$word" in
      ` + strings.Join(paths, "|") + `) path="$path/$word" ;;
    esac
  done
  case "$path" in
` + cases.String() + `  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _posefuse posefuse
`
}

// fishScript completes commands, their commands and flags.
func fishScript(app *kong.Node) string {
	quote := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
	}
	var b strings.Builder
	for _, n := range app.Children {
		fmt.Fprintf(&b, "complete -c posefuse -n __fish_use_subcommand -f -a %s -d %s\n", n.Name, quote(n.Help))
		for _, c := range n.Children {
			fmt.Fprintf(&b, "complete -c posefuse -n '__fish_seen_subcommand_from %s' -f -a %s -d %s\n", n.Name, c.Name, quote(c.Help))
		}
		for _, leaf := range append([]*kong.Node{n}, n.Children...) {
			for _, f := range leaf.Flags {
				if !f.Hidden {
					fmt.Fprintf(&b, "complete -c posefuse -n '__fish_seen_subcommand_from %s' -l %s -d %s\n", leaf.Name, f.Name, quote(f.Help))
				}
			}
		}
	}
	return b.String()
}
