package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Default is the configuration that an empty file stands for.
func Default(cat *rule.Catalogue) GuardConfiguration {
	c := GuardConfiguration{
		APIVersion: APIVersion, Kind: Kind,
		Mode:     verdict.ModeEnforce,
		Defaults: Levels{Enforce: finding.Baseline, Warn: finding.Restricted, Audit: finding.Restricted},
		Exemptions: Exemptions{
			Namespaces: []string{}, Users: []string{}, Groups: []string{},
		},
		Rules:       map[string]RuleConfiguration{},
		CustomRules: []CustomRule{},
		Claims:      Claims{GracePeriod: metav1.Duration{Duration: 10 * time.Minute}},
		Mutations: Mutations{
			PolicyTypes:         true,
			NamespaceNameLabel:  NamespaceNameLabel{Enabled: true, Key: "networking/namespace"},
			NamespaceLabels:     map[string]string{},
			CopyNamespaceLabels: []string{},
		},
		LoadBalancer:      LoadBalancer{Provider: ProviderNone},
		IsolateNamespaces: IsolateNone,
		Audit:             Audit{Interval: metav1.Duration{Duration: 10 * time.Minute}},
		Metrics:           Metrics{NamespaceLabel: true},
	}
	for _, r := range cat.All() {
		c.Rules[r.ID] = ruleDefault(r)
	}
	return c
}

func ruleDefault(r *rule.Rule) RuleConfiguration {
	d := r.Default()
	return RuleConfiguration{Level: RuleLevel(d.Level.String()), Params: d.Settings}
}

// exemptByDefault are the namespaces of Kubernetes itself.
var exemptByDefault = [...]string{"kube-system", "kube-public", "kube-node-lease"}

// MarshalJSON writes the level beside the parameters.
func (r RuleConfiguration) MarshalJSON() ([]byte, error) {
	fields := map[string]any{}
	if r.Params != nil {
		text, err := json.Marshal(r.Params)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &fields); err != nil {
			return nil, fmt.Errorf("the parameters are no mapping: %w", err)
		}
		// A parameter that is null has its default, as where it is absent.
		maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	}
	fields["level"] = r.Level
	return json.Marshal(fields)
}

// setBool reads true and false alone as the switch.
func (l *NamespaceNameLabel) setBool(enabled bool) { l.Enabled = enabled }

// setDefaults gives a custom rule what it does not say itself.
func (r *CustomRule) setDefaults() {
	r.Severity = finding.Medium
	r.AppliesTo = []Resource{ResourcePolicies}
	r.Operations = []Operation{OperationCreate, OperationUpdate}
	r.FailurePolicy = FailurePolicyIgnore
}
