package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"posefuse/configs"
)

type manualCmd struct {
	Out string `required:"" placeholder:"DIR" help:"Folder for the pages; made if it is not there."`
}

// Help shows the command's example.
func (manualCmd) Help() string {
	return "One page for each command, made of what --help says, and posefuse.yaml(5) with every key.\n\n" +
		"Example:\n\n  posefuse manual --out man && man man/posefuse-run.1"
}

// Run writes the pages.
func (c manualCmd) Run(k *kong.Context) error {
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	pages := map[string]string{"posefuse.1": overviewPage(k.Model.Node), "posefuse.yaml.5": configPage()}
	for _, n := range k.Model.Children {
		pages["posefuse-"+n.Name+".1"] = commandPage(n)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(c.Out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// roffText makes running text safe in a page: backslashes, hyphens that people
// copy, and lines that begin like a request.
func roffText(s string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func pageHead(b *strings.Builder, title string, section int, name, what string) {
	fmt.Fprintf(b, ".TH %s %d \"\" \"posefuse\" \"posefuse manual\"\n.SH NAME\n%s \\- %s\n",
		roffText(strings.ToUpper(title)), section, roffText(name), roffText(strings.TrimSuffix(what, ".")))
}

// verbatim is text whose lines stay as they are.
func verbatim(b *strings.Builder, text string) {
	fmt.Fprintf(b, ".nf\n%s\n.fi\n", roffText(strings.TrimRight(text, "\n")))
}

func overviewPage(app *kong.Node) string {
	var b strings.Builder
	pageHead(&b, "posefuse", 1, "posefuse", "live 3D poses from camera, LiDAR, radar and WiFi")
	b.WriteString(".SH SYNOPSIS\n.B posefuse\n.I command\n[flags]\n.SH DESCRIPTION\n")
	verbatim(&b, description)
	b.WriteString(".SH COMMANDS\n")
	for _, n := range app.Children {
		fmt.Fprintf(&b, ".TP\n.BR posefuse\\-%s (1)\n%s\n", roffText(n.Name), roffText(n.Help))
	}
	b.WriteString(".SH FILES\n.TP\n.I /etc/posefuse/posefuse.yaml\nthe configuration of the service, see\n.BR posefuse.yaml (5)\n" +
		".TP\n.I /var/lib/posefuse\nits state\n.SH \"SEE ALSO\"\n.BR posefuse\\-run (1),\n.BR posefuse.yaml (5),\n.I /usr/share/doc/posefuse\n")
	return b.String()
}

func commandPage(n *kong.Node) string {
	var b strings.Builder
	name := "posefuse-" + n.Name
	pageHead(&b, name, 1, name, n.Help)
	b.WriteString(".SH SYNOPSIS\n")
	commands := []*kong.Node{n}
	if !n.Leaf() {
		commands = n.Children
	}
	for i, c := range commands {
		if i > 0 {
			b.WriteString(".br\n")
		}
		fmt.Fprintf(&b, "%s\n", roffText("posefuse "+c.Summary()))
	}
	b.WriteString(".SH DESCRIPTION\n")
	verbatim(&b, strings.TrimSpace(n.Help+"\n\n"+n.Detail))
	for _, c := range commands {
		if c != n {
			fmt.Fprintf(&b, ".SH \"%s\"\n", roffText(strings.ToUpper(n.Name+" "+c.Name)))
			verbatim(&b, strings.TrimSpace(c.Help+"\n\n"+c.Detail))
		} else if len(c.Positional)+len(c.Flags) > 0 {
			b.WriteString(".SH OPTIONS\n")
		}
		for _, p := range c.Positional {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roffText(p.Summary()), roffText(p.Help))
		}
		for _, f := range c.Flags {
			if f.Hidden {
				continue
			}
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roffText(flagHead(f)), roffText(f.Help))
		}
	}
	b.WriteString(".SH \"SEE ALSO\"\n.BR posefuse (1)\n")
	return b.String()
}

// flagHead is a flag as it is typed: -c, --config=FILE.
func flagHead(f *kong.Flag) string {
	head := "--" + f.Name
	if f.Short != 0 {
		head = "-" + string(f.Short) + ", " + head
	}
	if !f.IsBool() {
		head += "=" + f.FormatPlaceHolder()
	}
	return head
}

func configPage() string {
	var b strings.Builder
	pageHead(&b, "posefuse.yaml", 5, "posefuse.yaml", "configuration of posefuse: every key, its default and its meaning")
	b.WriteString(".SH DESCRIPTION\nA file needs only the keys that differ.\n.B posefuse check\n.I FILE\nsays what is wrong with one.\n.SH KEYS\n")
	verbatim(&b, string(configs.Default))
	b.WriteString(".SH \"SEE ALSO\"\n.BR posefuse\\-check (1),\n.BR posefuse\\-config (1)\n")
	return b.String()
}
