package celrule

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// pods are the pods that the policy selects, one entry for those that are alike. Pods that do not exist yet are not among
// them.
func (f *facts) pods() ref.Val {
	selected := f.view.Select(f.policy)
	out := []any{}
	if !selected.Hypothetical {
		if len(selected.Classes) > most {
			return types.WrapErr(tooMany(varPods))
		}
		for _, c := range selected.Classes {
			pod := podFields(c)
			list := make([]any, len(c.Ports))
			for i, p := range c.Ports {
				list[i] = fields{"name": p.Name, "protocol": p.Port.Protocol.String(), "port": int64(p.Port.Number)}
			}
			pod["ports"] = list
			out = append(out, pod)
		}
	}
	return types.DefaultTypeAdapter.NativeToValue(out)
}

func podFields(c *model.PodClass) fields {
	labels := c.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return fields{"name": strings.TrimPrefix(c.Name(), c.Namespace+"/"), "namespace": c.Namespace, "labels": labels, "count": int64(c.Count())}
}

// count takes the entries of a list off what a review may have.
func (f *facts) count(name string, entries int) error {
	f.entries += entries
	switch {
	case entries > most:
		return tooMany(name)
	case f.entries > mostInAll:
		return &limit{fmt.Sprintf("%s brings the lists of this review to more than %d entries, which is as far as custom rules look", name, mostInAll)}
	}
	return nil
}

func (f *facts) connections(name string, c netset.Conns) (any, error) {
	parts := c.Parts()
	if err := f.count(name, len(parts)); err != nil {
		return nil, err
	}
	out := make([]any, len(parts))
	for i, part := range parts {
		cidrs, err := f.cidrTexts(name+".cidrs", part.Addrs)
		if err != nil {
			return nil, err
		}
		ports, err := f.portTexts(name+".ports", part.Ports)
		if err != nil {
			return nil, err
		}
		out[i] = fields{"cidrs": cidrs, "ports": ports}
	}
	return out, nil
}

func (f *facts) cidrTexts(name string, a netset.Addrs) ([]string, error) {
	out := []string{}
	for _, r := range a.Ranges() {
		for _, p := range r.Prefixes() {
			out = append(out, p.String())
		}
		if len(out) > most {
			break
		}
	}
	return out, f.count(name, len(out))
}

// portTexts are ports as "TCP/443" and "TCP/8000-8999".
func (f *facts) portTexts(name string, p netset.Ports) ([]string, error) {
	out := []string{}
	for span := range p.Ranges() {
		text := fmt.Sprintf("%s/%d", span.Protocol, span.First)
		if span.Last != span.First {
			text += fmt.Sprintf("-%d", span.Last)
		}
		if out = append(out, text); len(out) > most {
			break
		}
	}
	return out, f.count(name, len(out))
}
