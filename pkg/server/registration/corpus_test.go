package registration_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

var separator = regexp.MustCompile(`(?m)^---.*$`)

// corpusPolicies are the NetworkPolicies among manifests from real projects, as kubectl apply creates them: in
// PORTCULLIS_CORPUS, or beside the repository.
func corpusPolicies(t *testing.T) []*networkingv1.NetworkPolicy {
	t.Helper()
	dir := os.Getenv("PORTCULLIS_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("there is no corpus: set PORTCULLIS_CORPUS to a folder of manifests to run this test")
	}
	var out []*networkingv1.NetworkPolicy
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, document := range separator.Split(strings.ReplaceAll(string(text), "\r", ""), -1) {
			manifest, err := yaml.YAMLToJSON([]byte(document))
			np := &networkingv1.NetworkPolicy{}
			if err != nil || json.Unmarshal(manifest, np) != nil || np.Kind != "NetworkPolicy" || np.APIVersion != "networking.k8s.io/v1" {
				continue // what is wrong with it is told elsewhere
			}
			if len(np.Spec.PolicyTypes) == 0 {
				np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
				if len(np.Spec.Egress) > 0 {
					np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
				}
			}
			if np.Annotations == nil {
				np.Annotations = map[string]string{}
			}
			np.Annotations[model.LastApplied] = string(manifest)
			out = append(out, np)
		}
		return nil
	}))
	return out
}

func TestMostPoliciesOfTheCorpusNeedNoReviewForRepairs(t *testing.T) {
	policies, asked := corpusPolicies(t), 0
	for _, np := range policies {
		if asks(t, usual, np) {
			asked++
		}
	}
	t.Logf("of %d policies, %d are not asked about (%d%%)", len(policies), len(policies)-asked, 100*(len(policies)-asked)/len(policies))
	assert.Less(t, asked, len(policies)/5)
}
