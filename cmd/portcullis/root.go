package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// Exit codes: nothing at or above --fail-on, findings, and bad input or usage.
const (
	exitOK       = 0
	exitFindings = 1
	exitBadInput = 2
)

// exit is an error that ends the program with a code, and of which everything has been told.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a command line that makes no sense.
type usageError struct{ error }

// program is what the commands have in common.
type program struct {
	streams
	rules *rule.Catalogue
	now   func() time.Time
}

// run runs one command line and yields its exit code.
func (p program) run(ctx context.Context, args []string) int {
	root := p.rootCommand(args...)
	if len(args) > 0 {
		// kubectl finds a plugin by the name kubectl-portcullis, and calls it as kubectl portcullis.
		if strings.HasPrefix(filepath.Base(args[0]), "kubectl-") {
			root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl portcullis"}
		}
		args = args[1:]
	}
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if code := exit(0); errors.As(err, &code) {
		return int(code)
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if invalid := (*config.Error)(nil); errors.As(err, &invalid) {
		p.tell("%v", invalid)
		return exitBadInput
	}
	p.tell("Error: %v", err)
	if errors.As(err, &usageError{}) || command == root {
		p.tell("See %s --help.", command.CommandPath())
	}
	return exitBadInput
}

// tell writes a line for people to the error stream.
func (p program) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(p.err, format+"\n", args...)
}

func (p program) rootCommand(args ...string) *cobra.Command {
	root := &cobra.Command{
		Use:   "portcullis",
		Short: "Guards the NetworkPolicies of a Kubernetes cluster",
		Long: `Portcullis refuses NetworkPolicies that open what should be closed or break what should work, repairs what authors
leave out, and says why, with one connection as proof and a fix that works. One engine gives the same verdict at admission
and on the command line.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		p.auditCommand(),
		p.checkCommand(),
		p.checkConfigCommand(),
		p.diffCommand(),
		p.explainCommand(),
		p.fixCommand(),
		p.generateCommand(),
		p.reachCommand(),
		p.rulesCommand(),
		p.serveCommand(),
		p.versionCommand(),
	)
	root.InitDefaultCompletionCmd(args...)
	for _, command := range root.Commands() {
		if command.Name() == "completion" {
			command.Args = cobra.ArbitraryArgs
			command.RunE = func(command *cobra.Command, args []string) error {
				if len(args) == 0 {
					return command.Help()
				}
				return usageError{fmt.Errorf("the shell %q is not known: use bash, zsh, fish or powershell", args[0])}
			}
		}
	}
	return root
}

// flagError is what is wrong with a flag. kubectl's -f, which many will try, is told apart.
func flagError(command *cobra.Command, err error) error {
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) && (unknown.GetSpecifiedName() == "f" || unknown.GetSpecifiedName() == "filename") {
		return usageError{fmt.Errorf("there is no flag -f: name files and folders without it, as in %s manifests/", command.CommandPath())}
	}
	return usageError{err}
}

// arguments wants at least least and at most most arguments, and else says what is wanted.
func arguments(least, most int, want string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usageError{fmt.Errorf("%s wants %s, and got %d", command.CommandPath(), want, len(args))}
		}
		return nil
	}
}

// oneOf checks the value of a flag.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usageError{fmt.Errorf("--%s %q is not known: use %s", flag, value, either(allowed...))}
}
