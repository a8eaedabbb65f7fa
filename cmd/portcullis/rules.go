package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

func (p program) rulesCommand() *cobra.Command {
	var output, file string
	command := &cobra.Command{
		Use:   "rules [ID]",
		Short: "List the rules, or explain one",
		Example: `  portcullis rules
  portcullis rules internet-ingress
  portcullis rules dns-blocked -o markdown
  portcullis rules --config guard.yaml`,
		Args: arguments(0, 1, "the id of one rule or nothing"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "json", "markdown"); err != nil {
				return err
			}
			known, err := p.rulesOf(file)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return p.listRules(known, output)
			}
			return p.explainRule(known, args[0], output)
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
	command.Flags().StringVar(&file, "config", "", "list the rules that are in force with this configuration `FILE`, at its levels, and its custom rules")
	return command
}

// rulesOf are the rules in force with a configuration file, or the catalogue without one.
func (p program) rulesOf(file string) ([]*rule.Rule, error) {
	if file == "" {
		return p.rules.All(), nil
	}
	c, err := p.loadConfig(file)
	if err != nil {
		return nil, err
	}
	var out []*rule.Rule
	for i := range c.Rules {
		r := *c.Rules[i].Rule
		r.Level = c.Rules[i].Level
		out = append(out, &r)
	}
	return out, nil
}

func (p program) listRules(known []*rule.Rule, output string) error {
	switch output {
	case "json":
		return report.RulesJSON(p.out, known)
	case "markdown":
		return report.RulesMarkdown(p.out, known)
	}
	return report.RulesText(p.out, known)
}

func (p program) explainRule(known []*rule.Rule, id, output string) error {
	at := slices.IndexFunc(known, func(r *rule.Rule) bool { return r.ID == id })
	if at < 0 {
		if near, ok := model.Nearest(id, idsOf(known)); ok {
			return fmt.Errorf("there is no rule %q: did you mean %s?", id, near)
		}
		return fmt.Errorf("there is no rule %q: portcullis rules lists them all", id)
	}
	r := known[at]
	switch output {
	case "json":
		return report.RulesJSON(p.out, r)
	case "markdown":
		return report.RuleMarkdown(p.out, r)
	}
	return report.RuleText(p.out, r, p.width)
}

// ruleIDs are the ids of all rules of the catalogue, sorted.
func (p program) ruleIDs() []string { return idsOf(p.rules.All()) }

func idsOf(rules []*rule.Rule) []string {
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = r.ID
	}
	return out
}
