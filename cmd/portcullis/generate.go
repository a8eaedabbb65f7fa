package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/generate"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

func (p program) generateCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "generate",
		Short: "Write policies: a default deny, the way to DNS, the other side of what is allowed on one side",
		Long: `Writes NetworkPolicies as YAML to standard output, for kubectl apply -f - or for a file. What it writes has no finding at level
restricted in its place.`,
		Example: `  portcullis generate default-deny -n shop | kubectl apply -f -
  portcullis generate allow-dns -n shop > allow-dns.yaml
  portcullis generate complement manifests/ > other-side.yaml`,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("what to generate, %q, is not known: use default-deny, allow-dns or complement", args[0])}
			}
			return command.Help()
		},
	}
	command.AddCommand(p.generateDefaultDenyCommand(), p.generateAllowDNSCommand(), p.generateComplementCommand())
	return command
}

type generateOptions struct {
	inputOptions
	namespace       string
	ingress, egress bool
	dns             bool
	policies        []string
}

// writtenFor adds the flags of what is written for one namespace.
func (o *generateOptions) writtenFor(command *cobra.Command) {
	command.Flags().StringVarP(&o.namespace, "namespace", "n", "", "`NAMESPACE` to write for; without it the policy names none, and kubectl apply -n decides")
	o.flags(command.Flags())
}

func (p program) generateDefaultDenyCommand() *cobra.Command {
	var o generateOptions
	command := &cobra.Command{
		Use:   "default-deny",
		Short: "Isolate every pod of a namespace",
		Long: `Writes a policy by which nothing is let in or out of the pods of a namespace but what other policies allow. Pods that are
isolated for egress still need DNS: before it, a policy is written that lets them ask it.`,
		Example: `  portcullis generate default-deny -n shop
  portcullis generate default-deny -n shop --ingress`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error { return p.generateDefaultDeny(command.Context(), o) },
	}
	command.Flags().BoolVar(&o.ingress, "ingress", false, "for ingress alone; without --ingress and --egress for both")
	command.Flags().BoolVar(&o.egress, "egress", false, "for egress alone")
	command.Flags().BoolVar(&o.dns, "dns", true, "for egress, let the pods ask the cluster's DNS; --dns=false leaves that to you")
	o.writtenFor(command)
	return command
}

func (p program) generateDefaultDeny(ctx context.Context, o generateOptions) error {
	var directions []model.Direction
	if o.ingress || !o.egress {
		directions = append(directions, model.Ingress)
	}
	if o.egress || !o.ingress {
		directions = append(directions, model.Egress)
	}
	var out []generate.Policy
	if o.dns && slices.Contains(directions, model.Egress) {
		dns, err := p.allowDNS(ctx, o)
		if err != nil {
			return err
		}
		out = append(out, dns)
	} else if err := o.checkNamespace(); err != nil {
		return err
	}
	return p.writePolicies(append(out, generate.DefaultDeny(o.namespace, directions...)))
}

func (p program) generateAllowDNSCommand() *cobra.Command {
	var o generateOptions
	command := &cobra.Command{
		Use:   "allow-dns",
		Short: "Let every pod of a namespace ask the cluster's DNS",
		Long: `Writes a policy that lets every pod of a namespace out to the cluster's DNS, over UDP and TCP. Which DNS that is, cluster.dns of
the configuration says, or the cluster with --live; else it is CoreDNS in kube-system. The policy isolates the pods for egress.`,
		Example: `  portcullis generate allow-dns -n shop
  portcullis generate allow-dns -n shop --live`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			dns, err := p.allowDNS(command.Context(), o)
			if err != nil {
				return err
			}
			return p.writePolicies([]generate.Policy{dns})
		},
	}
	o.writtenFor(command)
	return command
}

func (p program) allowDNS(ctx context.Context, o generateOptions) (generate.Policy, error) {
	if err := o.checkNamespace(); err != nil {
		return generate.Policy{}, err
	}
	if o.live {
		in, err := p.read(ctx, nil, o.inputOptions, "read", "")
		if err != nil {
			return generate.Policy{}, err
		}
		return generate.AllowDNS(o.namespace, in.snapshot.Facts())
	}
	if o.kubeconfig != "" || o.context != "" {
		return generate.Policy{}, usageError{errors.New("--kubeconfig and --context are of use with --live only")}
	}
	c, err := p.loadConfig(o.config)
	if err != nil {
		return generate.Policy{}, err
	}
	return generate.AllowDNS(o.namespace, model.NewStore().Snapshot(c.Facts).Facts())
}

func (o *generateOptions) checkNamespace() error {
	if o.namespace == "" {
		return nil
	}
	if len(validation.IsDNS1123Label(o.namespace)) > 0 {
		return usageError{fmt.Errorf("--namespace %q is no name of a namespace: use lower-case letters, digits and dashes", o.namespace)}
	}
	return nil
}

func (p program) generateComplementCommand() *cobra.Command {
	var o generateOptions
	command := &cobra.Command{
		Use:   "complement [PATH|-]...",
		Short: "Write the other side of what is allowed on one side only",
		Long: `Writes the policies that are missing where pods are let in that are not let out, or let out to pods that do not let them in, so
that nobody can connect: what the rule one-sided-allow finds. The manifests that are read stay as they are.

Exit code 0 also if there is nothing to write, and 2 for bad input.`,
		Example: `  portcullis generate complement manifests/
  portcullis generate complement manifests/ --policy shop/db
  portcullis generate complement --live --policy shop/db | kubectl apply -f -`,
		RunE: func(command *cobra.Command, paths []string) error {
			return p.generateComplement(command.Context(), paths, o)
		},
		ValidArgsFunction: completeManifests,
	}
	command.Flags().StringArrayVar(&o.policies, "policy", nil, "`NAMESPACE/NAME` of a policy whose other side is written; may be given several times; without it, all policies")
	o.flags(command.Flags())
	return command
}

func (p program) generateComplement(ctx context.Context, paths []string, o generateOptions) error {
	done := p.progressing("reading")
	defer done()
	in, err := p.read(ctx, paths, o.inputOptions, "complement", examples("portcullis generate complement manifests/"))
	if err != nil {
		return err
	}
	policies, err := named(in.judged(), o.policies)
	if err != nil {
		return err
	}
	written, left, after := generate.Complement(in.snapshot, policies)
	done()
	for _, l := range left {
		p.tell("%s: nothing is written for %s: %s", l.Policy, l.Path, l.Why)
	}
	if len(written) == 0 && len(left) == 0 {
		p.tell("Nothing is allowed on one side only: there is nothing to write.")
	}
	for _, w := range written {
		p.tellFaults(in, w.Compiled(), after)
	}
	if err := p.writePolicies(written); err != nil {
		return err
	}
	if len(in.problems) > 0 {
		return exit(exitBadInput)
	}
	return nil
}

// named are the policies of these names, or all without any.
func named(all []*model.Policy, names []string) ([]*model.Policy, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []*model.Policy
	for _, name := range names {
		full := name
		if !strings.Contains(name, "/") {
			full = "default/" + name
		}
		at := slices.IndexFunc(all, func(policy *model.Policy) bool { return policy.Subject().String() == full })
		if at < 0 {
			var known []string
			for _, policy := range all {
				known = append(known, policy.Subject().String())
			}
			if near, ok := model.Nearest(full, known); ok {
				return nil, usageError{fmt.Errorf("--policy %s is not in the input: did you mean %s?", name, near)}
			}
			return nil, usageError{fmt.Errorf("--policy %s is not in the input", name)}
		}
		out = append(out, all[at])
	}
	return out, nil
}

// tellFaults tells what would be found of a policy that was written, where it is put.
func (p program) tellFaults(in *input, policy *model.Policy, after *model.Snapshot) {
	for _, f := range engine.New(in.config.Rules).Evaluate(after, model.Change{Time: p.now(), OldPolicy: policy, NewPolicy: policy}) {
		if f.Outcome == finding.Violation {
			p.tell("%s, as it is written, has a finding of %s: %s. Fix: %s.", policy.Subject(), f.Rule, f.Message, f.Fix)
		}
	}
}

// writePolicies writes the policies as YAML documents.
func (p program) writePolicies(policies []generate.Policy) error {
	var b strings.Builder
	for i, policy := range policies {
		text, err := yaml.Marshal(policy.Object)
		if err != nil {
			return fmt.Errorf("writing %s: %w", policy.Object.Name, err)
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		fmt.Fprintf(&b, "# %s\n%s", policy.Comment, text)
	}
	if _, err := fmt.Fprint(p.out, b.String()); err != nil {
		return fmt.Errorf("writing the policies: %w", err)
	}
	return nil
}
