package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

func (p program) checkConfigCommand() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "check-config FILE",
		Short: "Check a configuration, and show it with all defaults",
		Long:  "Says that the configuration is valid, or what is wrong with it, by file, line and field. - stands for standard input.",
		Example: `  portcullis check-config guard.yaml
  portcullis check-config guard.yaml -o yaml`,
		Args: arguments(1, 1, "one file"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "yaml"); err != nil {
				return err
			}
			return p.checkConfig(args[0], output)
		},
		ValidArgsFunction: completeManifests,
	}
	choice(command, &output, "output", "o", "text", "text, or yaml for the configuration with all defaults", "text", "yaml")
	return command
}

func (p program) checkConfig(path, output string) error {
	c, err := p.loadConfig(path)
	if err != nil {
		return err
	}
	if output == "yaml" {
		text, err := c.YAML()
		if err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
		_, err = p.out.Write(text)
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s is valid.\n", path)
	return err
}

// loadConfig reads the configuration; an empty path stands for the defaults.
func (p program) loadConfig(path string) (*config.Config, error) {
	switch path {
	case "":
		return config.Load(nil, "", p.rules)
	case manifest.Stdin:
		// One byte more than a configuration may have, so that one that is too large is refused as such.
		data, err := io.ReadAll(io.LimitReader(p.in, 1<<20+1))
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return config.Load(data, manifest.StdinName, p.rules)
	}
	return config.LoadFile(path, p.rules)
}
