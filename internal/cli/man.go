package cli

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// Man is the manual page of a program, in roff, made from its commands and flags.
func Man(app *kong.Application, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"%s\"\n", roff(strings.ToUpper(app.Name)), roff(version))
	summary, detail, _ := strings.Cut(app.Help, "\n\n")
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(app.Name), roff(strings.TrimSuffix(summary, ".")))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.I command\n[flags]\n", roff(app.Name))
	if detail != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(detail))
	}
	b.WriteString(".SH FLAGS\n")
	manFlags(&b, app.Node)
	for _, leaf := range app.Leaves(true) {
		manCommand(&b, app, leaf)
	}
	return b.String()
}

// manCommand is the section of a command.
func manCommand(b *strings.Builder, app *kong.Application, n *kong.Node) {
	path := strings.TrimPrefix(n.FullPath(), app.Name+" ")
	fmt.Fprintf(b, ".SH COMMAND %s\n.B %s %s\n", roff(strings.ToUpper(path)), roff(app.Name), roff(path))
	for _, p := range n.Positional {
		fmt.Fprintf(b, ".I %s\n", roff(p.Summary()))
	}
	fmt.Fprintf(b, ".PP\n%s\n", roff(n.Help))
	for _, p := range n.Positional {
		fmt.Fprintf(b, ".TP\n.I %s\n%s\n", roff(p.Summary()), roff(p.Help))
	}
	for n := n; n != nil && n.Type != kong.ApplicationNode; n = n.Parent {
		manFlags(b, n)
	}
	if n.Detail != "" {
		fmt.Fprintf(b, ".PP\n.nf\n%s\n.fi\n", roff(n.Detail))
	}
}

func manFlags(b *strings.Builder, n *kong.Node) {
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		name := "\\-\\-" + roff(f.Name)
		if f.Short != 0 {
			name = "\\-" + string(f.Short) + ", " + name
		}
		if !f.IsBool() {
			name += "=" + roff(f.FormatPlaceHolder())
		}
		help := f.Help
		if len(f.Envs) > 0 {
			help += fmt.Sprintf(" ($%s)", strings.Join(f.Envs, ", $"))
		}
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", name, roff(help))
	}
}

// roff escapes a text: backslashes, hyphens, and what would be a request at the begin of a line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\"", "\\(dq").Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
