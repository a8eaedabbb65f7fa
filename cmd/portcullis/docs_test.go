package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page is docs/command-line.md, and its sections by their headings.
func page(t *testing.T) (text string, sections map[string]string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "command-line.md"))
	require.NoError(t, err)
	text, sections = string(data), map[string]string{}
	for _, part := range strings.Split(text, "\n## ")[1:] {
		heading, body, _ := strings.Cut(part, "\n")
		sections[strings.Trim(heading, "`")] = body
	}
	return text, sections
}

// everyCommand are the commands that people see, those that cobra adds included.
func everyCommand(t *testing.T) (root *cobra.Command, all []*cobra.Command) {
	t.Helper()
	root = program{rules: testRules(t)}.rootCommand()
	root.InitDefaultCompletionCmd()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				all = append(all, sub)
				walk(sub)
			}
		}
	}
	walk(root)
	return root, all
}

var flagName = regexp.MustCompile("--[a-z][a-z0-9-]*")

func TestEveryCommandAndFlagIsOnThePage(t *testing.T) {
	text, sections := page(t)
	root, all := everyCommand(t)
	flags := map[string]map[string]bool{}
	for _, c := range all {
		assert.Contains(t, text, c.CommandPath(), "docs/command-line.md lacks %s", c.CommandPath())
		top := c
		for top.Parent() != root {
			top = top.Parent()
		}
		section, ok := sections[top.CommandPath()]
		assert.True(t, ok, "docs/command-line.md lacks the section ## `%s`", top.CommandPath())
		assert.Contains(t, text, "(#"+strings.ReplaceAll(top.CommandPath(), " ", "-")+")", "the table on top lacks %s", top.CommandPath())
		assert.Contains(t, section, "```sh\n", "%s lacks examples", top.CommandPath())
		if flags[top.CommandPath()] == nil {
			flags[top.CommandPath()] = map[string]bool{}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" {
				flags[top.CommandPath()]["--"+f.Name] = true
				assert.Regexp(t, `(?m)^\|[^|]*--`+f.Name+`\b`, section, "the table of %s lacks --%s", c.CommandPath(), f.Name)
			}
		})
	}
	for command, known := range flags {
		for line := range strings.Lines(sections[command]) {
			if cell, _, ok := strings.Cut(strings.TrimPrefix(line, "|"), "|"); ok && strings.HasPrefix(line, "|") {
				for _, f := range flagName.FindAllString(cell, -1) {
					assert.True(t, known[f], "%s has no %s", command, f)
				}
			}
		}
	}
}

func TestTheExamplesOnThePageAreCommandLines(t *testing.T) {
	text, _ := page(t)
	_, all := everyCommand(t)
	seen := map[string]int{}
	lines := regexp.MustCompile(`(?m)(?:^|\| |kubectl |<\()portcullis ([a-z].*)$`).FindAllStringSubmatch(code(text), -1)
	for _, line := range lines {
		words := regexp.MustCompile(`\s+[|#>]|\)|;`).Split(line[1], 2)[0]
		root := program{rules: testRules(t)}.rootCommand()
		root.InitDefaultCompletionCmd()
		c, rest, err := root.Find(strings.Fields(words))
		require.NoError(t, err, words)
		require.NotSame(t, root, c, words)
		assert.NoError(t, c.ParseFlags(rest), words)
		seen[c.CommandPath()]++
	}
	for _, c := range all {
		if c.Runnable() && !c.HasSubCommands() {
			assert.Positive(t, seen[c.CommandPath()], "there is no example of %s", c.CommandPath())
		}
	}
}

// code is what stands between ```sh and ```.
func code(text string) string {
	var out strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		out.WriteString(block[1])
	}
	return out.String()
}
