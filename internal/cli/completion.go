package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Shells are the shells that Completion is for.
var Shells = []string{"bash", "zsh", "fish"}

// Completion is a script with which a shell completes the commands, the flags and their values. It
// is made from the same model that parses them. Everything else is completed as names of files.
func Completion(app *kong.Application, shell string) (string, error) {
	switch shell {
	case "bash":
		return bashCompletion(app), nil
	case "zsh":
		// zsh has bash's functions, too.
		return "#compdef " + app.Name + "\nautoload -U +X bashcompinit && bashcompinit\n" + bashCompletion(app), nil
	case "fish":
		return fishCompletion(app), nil
	}
	return "", fmt.Errorf("no completion for %q, expected %s", shell, strings.Join(Shells, ", "))
}

// visible are the commands below a node that help shows.
func visible(n *kong.Node) (names []string) {
	for _, c := range n.Children {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

// flagsOf are the flags that may stand after a command, its own first.
func flagsOf(n *kong.Node) (all []*kong.Flag) {
	for ; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if !f.Hidden {
				all = append(all, f)
			}
		}
	}
	return all
}

// valuesOf are the values of a flag or an argument, if they are known.
func valuesOf(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

// nodes are all commands, the program itself first, each with the words that lead to it.
func nodes(n *kong.Node, path string, visit func(path string, n *kong.Node)) {
	visit(path, n)
	for _, c := range n.Children {
		if !c.Hidden {
			nodes(c, strings.TrimSpace(path+" "+c.Name), visit)
		}
	}
}

func bashCompletion(app *kong.Application) string {
	function := "_" + strings.ReplaceAll(app.Name, "-", "_") + "_complete"
	var commands, words, values strings.Builder
	seen := map[string]bool{}
	nodes(app.Node, "", func(path string, n *kong.Node) {
		next := visible(n)
		for _, p := range n.Positional {
			next = append(next, valuesOf(p)...)
		}
		for _, name := range visible(n) {
			fmt.Fprintf(&commands, "      %q) path=%q ;;\n", path+"/"+name, strings.TrimSpace(path+" "+name))
		}
		for _, f := range flagsOf(n) {
			next = append(next, "--"+f.Name)
			if all := valuesOf(f.Value); len(all) > 0 && !seen[path+f.Name] {
				seen[path+f.Name] = true
				fmt.Fprintf(&values, "    %q) words=%q ;;\n", path+"/--"+f.Name, strings.Join(all, " "))
			}
		}
		fmt.Fprintf(&words, "    %q) words=%q ;;\n", path, strings.Join(next, " "))
	})
	return fmt.Sprintf(`# bash completion of %[1]s
%[2]s() {
  local word path="" words="" i last cur=${COMP_WORDS[COMP_CWORD]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case "$path/$word" in
%[3]s    esac
  done
  last=${COMP_WORDS[COMP_CWORD-1]}
  # Some shells take = for a word of its own.
  [[ $last == "=" ]] && last=${COMP_WORDS[COMP_CWORD-2]}
  [[ $cur == "=" ]] && last=${COMP_WORDS[COMP_CWORD-1]} cur=""
  case "$path/$last" in
%[4]s  esac
  if [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    return
  fi
  case "$path" in
%[5]s  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ $cur == -* ]] || COMPREPLY+=($(compgen -f -- "$cur"))
}
complete -o filenames -F %[2]s %[1]s
`, app.Name, function, commands.String(), values.String(), words.String())
}

func fishCompletion(app *kong.Application) string {
	quote := func(s string) string {
		s, _, _ = strings.Cut(s, "\n")
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion of %s\n", app.Name)
	nodes(app.Node, "", func(path string, n *kong.Node) {
		when := "__fish_use_subcommand"
		if path != "" {
			var parts []string
			for _, word := range strings.Fields(path) {
				parts = append(parts, "__fish_seen_subcommand_from "+word)
			}
			if next := visible(n); len(next) > 0 {
				parts = append(parts, "not __fish_seen_subcommand_from "+strings.Join(next, " "))
			}
			when = strings.Join(parts, "; and ")
		}
		for _, c := range n.Children {
			if !c.Hidden {
				fmt.Fprintf(&b, "complete -c %s -n %s -a %s -d %s\n", app.Name, quote(when), c.Name, quote(c.Help))
			}
		}
		for _, f := range n.Flags {
			if f.Hidden {
				continue
			}
			line := fmt.Sprintf("complete -c %s -n %s -l %s -d %s", app.Name, quote(when), f.Name, quote(f.Help))
			if path == "" {
				line = fmt.Sprintf("complete -c %s -l %s -d %s", app.Name, f.Name, quote(f.Help))
			}
			if all := valuesOf(f.Value); len(all) > 0 {
				line += " -x -a " + quote(strings.Join(all, " "))
			} else if !f.IsBool() {
				line += " -r"
			}
			b.WriteString(line + "\n")
		}
		for _, p := range n.Positional {
			all := valuesOf(p)
			if len(all) > 0 {
				slices.Sort(all)
				fmt.Fprintf(&b, "complete -c %s -n %s -f -a %s\n", app.Name, quote(when), quote(strings.Join(all, " ")))
			}
		}
	})
	return b.String()
}
