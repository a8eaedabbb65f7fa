package rules_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

func compact(value any) string {
	if value == nil {
		return ""
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// opens are the ports that the fixes of the fixtures may open, of the rules that say they open something.
var opens = map[string]netset.Ports{
	"dns-blocked":        portsOf(53, 5353, 1053),
	"dns-udp-only":       portsOf(53, 5353, 1053),
	"service-port":       portsOf(5433, 8080, 8443), // the target ports of the fixtures
	"named-port-unknown": portsOf(8443, 9100),       // the ports meant in the fixtures
}

func TestTheRulesWhoseFixesOpenSomethingSaySo(t *testing.T) {
	for _, r := range rules.Catalogue().All() {
		_, does := opens[r.ID]
		assert.Equal(t, does, r.Doc.Opens != "", r.ID)
	}
}

func portsOf(numbers ...uint16) netset.Ports {
	var out netset.Ports
	for _, n := range numbers {
		out = out.Union(netset.PortRange(netset.UDP, n, n)).Union(netset.PortRange(netset.TCP, n, n))
	}
	return out
}

// provePatch applies the patch of a finding and judges again: the finding is gone, no other rule of the same or a stricter
// level finds anything new, and nothing is open that was closed.
func (f *fixture) provePatch(t *testing.T, found *finding.Finding) {
	t.Helper()
	if len(found.Patch) == 0 {
		return
	}
	var change model.Change
	for _, c := range f.changes {
		if p := c.NewPolicy; p != nil && p.Subject() == found.Subject {
			change = c
		}
	}
	require.NotNil(t, change.NewPolicy, "%s: a patch is on a policy", f.path)
	text, err := os.ReadFile(f.path)
	require.NoError(t, err)
	patched, err := mutate.Apply(f.object(t, text, found.Subject), found.Patch)
	require.NoError(t, err, "%s: %s", f.path, compact(found.Patch))
	edits, err := manifest.NewText(text).Edits(found)
	require.NoError(t, err, "%s: %s", f.path, compact(found.Patch))
	written := f.object(t, fix.Apply(text, edits), found.Subject)
	assert.True(t, equality.Semantic.DeepEqual(patched, written), "%s: the patch as text makes %s of it, not %s", f.path, compact(written), compact(patched))
	authored := change.NewPolicy.Authored
	if strings.Contains(compact(found.Patch), "/spec/policyTypes") {
		authored.PolicyTypes = true
	}
	mended := change
	mended.NewPolicy = model.CompilePolicy(patched, authored)
	if mended.Operation == model.Exists {
		mended.Operation = model.Update
	}
	e := engine.New(f.config.Rules)
	before, after := e.Evaluate(f.prior, change), e.Evaluate(f.prior, mended)
	had := map[string]bool{}
	for _, b := range before {
		had[b.Rule] = true
	}
	for _, a := range after {
		assert.NotEqual(t, found.Rule, a.Rule, "%s: the fix of %s leaves it: %s", f.path, found.Rule, a.Message)
		if a.Level <= found.Level && a.Outcome == finding.Violation {
			assert.True(t, had[a.Rule], "%s: the fix of %s brings %s: %s", f.path, found.Rule, a.Rule, a.Message)
		}
	}
	old, now := f.prior.With(change), f.prior.With(mended)
	if change.Operation == model.Exists {
		old = f.prior
	}
	f.proveClosed(t, found.Rule, reach.NewView(old), reach.NewView(now))
}

// proveClosed checks that what is allowed in now was allowed in old.
func (f *fixture) proveClosed(t *testing.T, id string, old, now *reach.View) {
	t.Helper()
	may := netset.ConnsOf(netset.AllAddrs(), opens[id])
	var classes []*model.PodClass
	for ns := range old.World().Namespaces() {
		classes = append(classes, ns.Classes...)
		for _, p := range ns.Policies {
			classes = append(classes, old.Select(p).Classes...)
		}
	}
	for _, a := range classes {
		for _, d := range model.Directions {
			opened := now.External(a, d).Minus(old.External(a, d)).Minus(may)
			assert.True(t, opened.IsEmpty(), "%s: the fix of %s opens %s %s", f.path, id, a.Name(), opened)
		}
		for _, b := range classes {
			opened := now.Between(a, b).Possible.Minus(old.Between(a, b).Possible).Minus(opens[id])
			assert.True(t, opened.IsEmpty(), "%s: the fix of %s opens %s to %s on %s", f.path, id, a.Name(), b.Name(), opened)
		}
	}
}

// object is the NetworkPolicy as it is written in the text.
func (f *fixture) object(t *testing.T, text []byte, s finding.Subject) *networkingv1.NetworkPolicy {
	t.Helper()
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		var np networkingv1.NetworkPolicy
		if yaml.Unmarshal(document, &np) == nil && np.Kind == "NetworkPolicy" && np.Name == s.Name && (np.Namespace == s.Namespace || np.Namespace == "" && s.Namespace == "default") {
			return &np
		}
	}
	require.Fail(t, "no such policy", "%s: %s", f.path, s)
	return nil
}
