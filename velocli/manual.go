package velocli

import (
	"fmt"

	"github.com/alecthomas/kong"
	"github.com/velo-engine/velo/internal/cli"
)

// completionCmd prints a script for a shell.
type completionCmd struct {
	Shell string `arg:"" help:"The shell: ${enum}." enum:"bash,zsh,fish"`
}

// Help is the additional text of velo completion --help.
func (completionCmd) Help() string {
	return `    velo completion bash > /etc/bash_completion.d/velo
    velo completion zsh > "${fpath[1]}/_velo"
    velo completion fish > ~/.config/fish/completions/velo.fish`
}

// Run runs the command.
func (c *completionCmd) Run(ctx *kong.Context, std streams) error {
	text, err := cli.Completion(ctx.Model, c.Shell)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(std.out, text)
	return err
}

// manCmd prints the manual page.
type manCmd struct{}

// Run runs the command.
func (manCmd) Run(ctx *kong.Context, std streams) error {
	_, err := fmt.Fprint(std.out, cli.Man(ctx.Model, version()))
	return err
}
