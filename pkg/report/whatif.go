package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// WhatIfKind is the kind of the JSON document of a WhatIf.
const WhatIfKind = "WhatIf"

// WhatIf says which namespaces could enforce a level today without a single violation. Make one with NewWhatIf, add all
// Namespaces and then all findings, judged at level restricted.
type WhatIf struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Level      finding.Level     `json:"level"`
	Namespaces []WhatIfNamespace `json:"namespaces"`

	at map[string]int
}

// WhatIfNamespace is the answer for one namespace.
type WhatIfNamespace struct {
	Name string `json:"name"`
	// Enforced is the level that it enforces now, by its label or by default, and Could the strictest one without a violation.
	Enforced finding.Level `json:"enforced"`
	Could    finding.Level `json:"could"`
	// Violations is how many there are at the level in question, and Rules those that they are of.
	Violations int      `json:"violations"`
	Rules      []string `json:"rules"`
	// Open is how many findings may still come right, or turn into violations.
	Open int `json:"open"`
}

// NewWhatIf begins an answer about a level.
func NewWhatIf(level finding.Level) *WhatIf {
	return &WhatIf{APIVersion: APIVersion, Kind: WhatIfKind, Level: level, Namespaces: []WhatIfNamespace{}, at: map[string]int{}}
}

// Namespace adds a namespace, and the level that it enforces. Exempt ones are left out, as no level matters to them.
func (w *WhatIf) Namespace(name string, enforced finding.Level, exempt bool) {
	if exempt {
		return
	}
	w.at[name] = len(w.Namespaces)
	w.Namespaces = append(w.Namespaces, WhatIfNamespace{Name: name, Enforced: enforced, Could: finding.Restricted, Rules: []string{}})
}

// Finding adds a finding.
func (w *WhatIf) Finding(d *verdict.Decided) {
	at, known := w.at[d.Subject.Space()]
	if !known {
		return
	}
	ns := &w.Namespaces[at]
	switch {
	case d.Action == verdict.ActionProvisional:
		if w.Level.Includes(d.Level) {
			ns.Open++
		}
	case d.Action == verdict.ActionDeny || d.WouldDeny:
		below := finding.Privileged
		if d.Level == finding.Restricted {
			below = finding.Baseline
		}
		ns.Could = min(ns.Could, below)
		if w.Level.Includes(d.Level) {
			ns.Violations++
			if !slices.Contains(ns.Rules, d.Rule) {
				ns.Rules = append(ns.Rules, d.Rule)
			}
		}
	}
}

// Clean says whether every namespace could enforce the level.
func (w *WhatIf) Clean() bool {
	return !slices.ContainsFunc(w.Namespaces, func(ns WhatIfNamespace) bool { return ns.Violations > 0 })
}

// JSON writes the answer as indented JSON.
func (w *WhatIf) JSON(to io.Writer) error {
	text, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return err
	}
	_, err = to.Write(append(text, '\n'))
	return err
}

// Text writes the answer for people, with the commands that label the namespaces.
func (w *WhatIf) Text(to io.Writer) error {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "NAMESPACE\tENFORCES\tCOULD ENFORCE\tVIOLATIONS AT %s\n", strings.ToUpper(w.Level.String()))
	var ready, done []string
	for _, ns := range w.Namespaces {
		violations := "none"
		if ns.Violations > 0 {
			violations = fmt.Sprintf("%d (%s)", ns.Violations, strings.Join(ns.Rules, ", "))
		}
		if ns.Open > 0 {
			violations += fmt.Sprintf(", %d still open", ns.Open)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", ns.Name, ns.Enforced, ns.Could, violations)
		switch {
		case ns.Enforced.Includes(w.Level):
			done = append(done, ns.Name)
		case ns.Violations == 0:
			ready = append(ready, ns.Name)
		}
	}
	_ = table.Flush()
	fmt.Fprintf(&out, "\n%s; %d already %s.\n", plural(len(w.Namespaces), "namespace", "namespaces"), len(done), agree(len(done), "enforces", "enforce")+" "+w.Level.String())
	if len(ready) > 0 {
		fmt.Fprintf(&out, "These could enforce %s today without a violation:\n\n", w.Level)
		for _, name := range ready {
			fmt.Fprintf(&out, "kubectl label namespace %s portcullis.dev/enforce=%s --overwrite\n", name, w.Level)
		}
	}
	_, err := io.WriteString(to, out.String())
	return err
}

func agree(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
