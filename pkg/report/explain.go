package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/explain"
	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// KindExplanation is the kind of the JSON document that tells an Explanation.
const KindExplanation = "Explanation"

// ExplanationJSON writes the explanation, and what was wrong with the input, for programs.
func ExplanationJSON(w io.Writer, e *explain.Explanation, problems []Problem) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		*explain.Explanation
		Problems []Problem `json:"problems"`
	}{APIVersion, KindExplanation, e, append([]Problem{}, problems...)})
}

// ExplanationText writes the explanation for people: the verdict, each end with the policies and rules that decide, and the
// change that would allow what is blocked.
func ExplanationText(w io.Writer, e *explain.Explanation, o TextOptions) error {
	t := textWriter{TextOptions: o}
	port := ""
	if e.Port != "" {
		port = " " + e.Port
	}
	fmt.Fprintf(&t.out, "%s %s\n", t.verdict(e.Verdict), t.paint(bold, Printable(fmt.Sprintf("%s → %s%s", e.From, e.To, port))))
	for _, note := range e.Notes {
		t.paragraph("  ", "  ", note)
	}
	for i := range e.Cases {
		t.explainedCase(e, &e.Cases[i])
	}
	if e.Change != nil {
		t.change(e)
	}
	if e.NoChange != "" {
		t.out.WriteByte('\n')
		t.paragraph("", "", e.NoChange)
	}
	_, err := io.WriteString(w, t.out.String())
	return err
}

func (t *textWriter) verdict(v explain.Verdict) string {
	color := map[explain.Verdict]string{explain.Allowed: green, explain.Blocked: red, explain.Unknown: blue, explain.Mixed: yellow}[v]
	return t.paint(color, strings.ToUpper(string(v)))
}

func (t *textWriter) explainedCase(e *explain.Explanation, c *explain.Case) {
	t.out.WriteByte('\n')
	what := fmt.Sprintf("%s → %s", someNames(c.From), someNames(c.To))
	if c.Port != "" {
		what += " " + c.Port
	}
	if c.PortName != "" {
		what += " (" + c.PortName + ")"
	}
	if c.ServicePort != "" {
		what += ", behind the Service's port " + c.ServicePort
	}
	fmt.Fprintf(&t.out, "%s: %s", Printable(what), t.verdict(c.Verdict))
	if e.Port == "" && c.Ports != "" {
		fmt.Fprintf(&t.out, " on %s", c.Ports)
	}
	if e.Port == "" && c.UnknownPorts != "" {
		fmt.Fprintf(&t.out, "; not known of %s", c.UnknownPorts)
	}
	t.out.WriteByte('\n')
	if c.Reason != "" {
		t.paragraph("  ", "  ", c.Reason)
	}
	if c.Egress != nil {
		t.side("out of "+someNames(c.From), c.Egress)
	}
	if c.Ingress != nil {
		t.side("into "+someNames(c.To), c.Ingress)
	}
}

// someNames is a list of pods for a line.
func someNames(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most-1], ", "), len(names)-most+1)
}

func (t *textWriter) side(where string, s *explain.Side) {
	t.paragraph("  ", "    ", fmt.Sprintf("%s: %s: %s.", where, s.Verdict, s.Reason))
	for i := range s.Policies {
		p := &s.Policies[i]
		line := p.Namespace + "/" + p.Name
		if p.Reason != "" {
			line += ": " + p.Reason
		}
		t.marked("    ", p.Verdict, line, p.Source)
		for k := range p.Rules {
			r := &p.Rules[k]
			line := r.Path
			if r.Ports != "" {
				line += ": " + r.Ports
			}
			t.marked("      ", r.Verdict, line, r.Source)
			for _, reason := range r.Reasons {
				t.paragraph("          ", "          ", reason)
			}
		}
	}
	for _, ignored := range s.Ignored {
		t.paragraph("    ", "      ", "Beside these, "+ignored+".")
	}
}

// marked writes one line with the sign of the verdict, and where it stands in the manifests.
func (t *textWriter) marked(indent string, v explain.Verdict, line string, at *finding.Source) {
	sign, color := "✗", red
	switch v {
	case explain.Allowed:
		sign, color = "✓", green
	case explain.Unknown:
		sign, color = "?", blue
	}
	t.out.WriteString(indent + t.paint(color, sign) + " " + Printable(line))
	if at != nil {
		t.out.WriteString(t.paint(dim, fmt.Sprintf("  %s:%d", Printable(at.File), at.Line)))
	}
	t.out.WriteByte('\n')
}

func (t *textWriter) change(e *explain.Explanation) {
	title, c := "The smallest change that allows it:", e.Change
	if e.Verdict == explain.Unknown {
		title = "The smallest change that is sure to allow it:"
	}
	t.out.WriteString("\n" + t.paint(bold, title) + "\n")
	for i := range c.Steps {
		s := &c.Steps[i]
		if s.Policy != nil {
			fmt.Fprintf(&t.out, "  Create this policy (%s):\n", strings.ToLower(s.Direction))
			text, err := yaml.Marshal(s.Policy)
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(text)) {
				t.out.WriteString("    " + Printable(strings.TrimRight(line, "\n")) + "\n")
			}
			continue
		}
		at := ""
		if s.Source != nil {
			at = fmt.Sprintf(" (%s:%d)", s.Source.File, s.Source.Line)
		}
		patch, err := json.Marshal(s.Patch)
		if err != nil {
			continue
		}
		fmt.Fprintf(&t.out, "  Patch NetworkPolicy %s/%s%s:\n", Printable(s.Namespace), Printable(s.Name), Printable(at))
		quoted := strings.ReplaceAll(string(patch), "'", `'\''`)
		t.out.WriteString("    " + Printable(fmt.Sprintf("kubectl patch networkpolicy -n %s %s --type=json -p '%s'", s.Namespace, s.Name, quoted)) + "\n")
	}
	t.out.WriteString("  Evaluated again, it is allowed, and this is all that opens:\n")
	for _, o := range c.Opens {
		t.paragraph("    ", "      ", fmt.Sprintf("%s → %s %s", someNames(o.From), someNames(o.To), o.Ports))
	}
}
