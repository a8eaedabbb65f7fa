// Package rule is the contract of a rule: a documented value with one pure function. It checks that the documentation is
// whole, and hands a rule what it may look at and how it reports.
package rule

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Rule says one true thing about a NetworkPolicy, a Namespace or the cluster. It is a value: make one with all of its
// documentation, and give it to New.
type Rule struct {
	// ID is a slug, stable for ever: "internet-ingress".
	ID       string
	Level    finding.Level
	Severity finding.Severity
	// Custom is whether the rule is one of the configuration, and not of the catalogue.
	Custom bool
	// Subjects are the kinds of subject that the rule judges.
	Subjects []string
	Doc      Doc
	// YieldsTo are ids of rules that say more of the same: where one of them finds a violation, or what would be one, in a
	// subject, the findings of this rule are left out.
	YieldsTo []string
	// NewSettings returns a pointer to a struct with the rule's parameters at their defaults; nil if there are none. The
	// configuration is read into it strictly. If it has a method Validate() error, that is called after.
	NewSettings func() any
	// Run looks at the pass and reports. It is pure and deterministic.
	Run func(*Pass)
}

// Doc is what a person reads of a rule, and what makes its docs page and its metadata in reports.
type Doc struct {
	Title      string      // one line, without the ID
	Why        string      // why it matters, in a few sentences
	References []Reference // at least one
	Finds      string      // exactly what is found
	Remedy     string      // what to do about it
	Opens      string      // what the rule's patches may open, as in "DNS to the cluster's DNS servers"; most open nothing
	Bad, Good  string      // manifests; Bad has the finding and Good has not
	OnDelete   bool        // the examples are about deleting their first policy
	OnLabel    bool        // the examples are about labelling their first Namespace
	Params     []Param     // in the order of the settings' fields
}

// Reference points to where a claim comes from.
type Reference struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// Param documents one parameter of a rule.
type Param struct {
	Name        string `json:"name"`
	Default     string `json:"default"` // as YAML
	Description string `json:"description"`
}

var idPattern = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

// Check tells what is missing of a rule: each of its parts is mandatory.
func (r *Rule) Check() error {
	var errs []error
	missing := func(what string, is bool) {
		if is {
			errs = append(errs, fmt.Errorf("rule %q: %s is missing", r.ID, what))
		}
	}
	if !idPattern.MatchString(r.ID) {
		errs = append(errs, fmt.Errorf("rule %q: the id must be a slug such as internet-ingress", r.ID))
	}
	missing("level", r.Level == finding.Privileged)
	missing("subjects", len(r.Subjects) == 0)
	missing("title", r.Doc.Title == "")
	missing("why", r.Doc.Why == "")
	missing("finds", r.Doc.Finds == "")
	missing("remedy", r.Doc.Remedy == "")
	missing("a reference", len(r.Doc.References) == 0)
	missing("a bad example", r.Doc.Bad == "")
	missing("a good example", r.Doc.Good == "")
	missing("run", r.Run == nil)
	missing("documentation of the parameters", r.NewSettings != nil && len(r.Doc.Params) == 0)
	return errors.Join(errs...)
}

// Catalogue is a fixed list of rules, sorted by id.
type Catalogue struct{ rules []*Rule }

// NewCatalogue checks every rule and refuses two of one id.
func NewCatalogue(rules ...*Rule) (*Catalogue, error) {
	var errs []error
	sorted := slices.SortedFunc(slices.Values(rules), func(a, b *Rule) int {
		if a.ID < b.ID {
			return -1
		} else if a.ID > b.ID {
			return 1
		}
		return 0
	})
	for i, r := range sorted {
		errs = append(errs, r.Check())
		if i > 0 && sorted[i-1].ID == r.ID {
			errs = append(errs, fmt.Errorf("rule %q is there twice", r.ID))
		}
	}
	return &Catalogue{rules: sorted}, errors.Join(errs...)
}

// All are the rules, sorted by id. The slice is the caller's.
func (c *Catalogue) All() []*Rule { return slices.Clone(c.rules) }

// Find is the rule of that id, or nil.
func (c *Catalogue) Find(id string) *Rule {
	for _, r := range c.rules {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// Configured is a rule at the level and with the settings that the configuration gives it.
type Configured struct {
	*Rule
	// Level replaces the rule's own; Privileged never occurs, as a rule switched off is left out.
	Level    finding.Level
	Settings any
}

// Default is the rule with its own level and default settings.
func (r *Rule) Default() Configured {
	c := Configured{Rule: r, Level: r.Level}
	if r.NewSettings != nil {
		c.Settings = r.NewSettings()
	}
	return c
}

// Validator is implemented by settings that can be wrong in ways their types do not say. The error names the field.
type Validator interface{ Validate() error }

// MarshalJSON shows the catalogue entry as `portcullis rules -o json` does.
func (r *Rule) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID         string           `json:"id"`
		Custom     bool             `json:"custom,omitempty"`
		Level      finding.Level    `json:"level"`
		Severity   finding.Severity `json:"severity"`
		Subjects   []string         `json:"subjects"`
		Title      string           `json:"title"`
		Why        string           `json:"why"`
		Finds      string           `json:"finds"`
		Remedy     string           `json:"remedy"`
		References []Reference      `json:"references"`
		Params     []Param          `json:"params,omitempty"`
		Bad        string           `json:"bad,omitempty"`
		Good       string           `json:"good,omitempty"`
	}{r.ID, r.Custom, r.Level, r.Severity, r.Subjects, r.Doc.Title, r.Doc.Why, r.Doc.Finds, r.Doc.Remedy, r.Doc.References, r.Doc.Params, r.Doc.Bad, r.Doc.Good})
}
