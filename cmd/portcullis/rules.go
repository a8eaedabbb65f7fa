package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/report"
)

func (p program) rulesCommand() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "rules [ID]",
		Short: "List the rules, or explain one",
		Example: `  portcullis rules
  portcullis rules internet-ingress
  portcullis rules dns-blocked -o markdown`,
		Args: arguments(0, 1, "the id of one rule or nothing"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "json", "markdown"); err != nil {
				return err
			}
			if len(args) == 0 {
				return p.listRules(output)
			}
			return p.explainRule(args[0], output)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var ids []cobra.Completion
			if len(args) == 0 {
				for _, r := range p.rules.All() {
					ids = append(ids, cobra.CompletionWithDesc(r.ID, r.Doc.Title))
				}
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
	}
	choice(command, &output, "output", "o", "text", "text, json or markdown", "text", "json", "markdown")
	return command
}

func (p program) listRules(output string) error {
	switch output {
	case "json":
		return report.RulesJSON(p.out, p.rules.All())
	case "markdown":
		return report.RulesMarkdown(p.out, p.rules.All())
	}
	return report.RulesText(p.out, p.rules.All())
}

func (p program) explainRule(id, output string) error {
	r := p.rules.Find(id)
	if r == nil {
		if near, ok := model.Nearest(id, p.ruleIDs()); ok {
			return fmt.Errorf("there is no rule %q: did you mean %s?", id, near)
		}
		return fmt.Errorf("there is no rule %q: portcullis rules lists them all", id)
	}
	switch output {
	case "json":
		return report.RulesJSON(p.out, r)
	case "markdown":
		return report.RuleMarkdown(p.out, r)
	}
	return report.RuleText(p.out, r, p.width)
}

// ruleIDs are the ids of all rules, sorted.
func (p program) ruleIDs() []string {
	all := p.rules.All()
	out := make([]string, len(all))
	for i, r := range all {
		out[i] = r.ID
	}
	return out
}
