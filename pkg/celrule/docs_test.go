package celrule

import (
	"os"
	"regexp"
	"strings"
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

func TestTheLinksOfThePageLeadToItsHeadings(t *testing.T) {
	page, err := os.ReadFile("../../docs/custom-rules.md")
	require.NoError(t, err)
	links := regexp.MustCompile(`\]\(#([a-z-]+)\)`).FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, links)
	headings := map[string]bool{}
	for _, h := range regexp.MustCompile("(?m)^#+ (.*)$").FindAllStringSubmatch(string(page), -1) {
		headings[strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(h[1], "`", "")), " ", "-")] = true
	}
	for _, link := range links {
		assert.True(t, headings[link[1]], "there is no heading for #%s", link[1])
	}
}
