package celrule

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apiservercel "k8s.io/apiserver/pkg/cel"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

func TestThePageNamesEveryVariableFieldAndFunction(t *testing.T) {
	page, err := os.ReadFile("../../docs/custom-rules.md")
	require.NoError(t, err)
	named := func(name string) { assert.Regexp(t, "`[^`]*\\b"+name+"\\b[^`]*`", string(page)) }
	for _, name := range variablesOf(finding.KindNetworkPolicy) {
		named(name)
	}
	for _, f := range memberFunctions() {
		named(f.name)
	}
	var fields func(d *apiservercel.DeclType)
	fields = func(d *apiservercel.DeclType) {
		if d.ElemType != nil {
			fields(d.ElemType)
		}
		for name, f := range d.Fields {
			named(name)
			fields(f.Type)
		}
	}
	for _, d := range []*apiservercel.DeclType{reachType(), podType(), requestType(), namespaceType()} {
		fields(d)
	}
}
