package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/report"
)

// suites is JUnit's XML as a reporter reads it.
type suites struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Suites   []struct {
		Name     string `xml:"name,attr"`
		File     string `xml:"file,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Class   string `xml:"classname,attr"`
			Failure []struct {
				Type    string `xml:"type,attr"`
				Message string `xml:"message,attr"`
				Text    string `xml:",chardata"`
			} `xml:"failure"`
			Error  []struct{} `xml:"error"`
			Output string     `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func suitesOf(t require.TestingT, text []byte) suites {
	var out suites
	require.NoError(t, xml.Unmarshal(text, &out))
	return out
}

func TestJUnitHasACaseForEachObject(t *testing.T) {
	for name, o := range map[string]report.JUnitOptions{"report.junit.xml": {}, "report-warn.junit.xml": {FailOnWarn: true}} {
		text := junit(t, full(), o)
		golden(t, name, text)
		checkJUnit(t, text)
	}
	got := suitesOf(t, junit(t, full(), report.JUnitOptions{}))
	var cases []string
	for _, s := range got.Suites {
		for _, c := range s.Cases {
			cases = append(cases, s.Name+": "+c.Name+" "+strconv.Itoa(len(c.Failure)))
		}
	}
	assert.Equal(t, []string{
		"a.yaml: the file is as kubectl and the API server want it 0", "db & co/50% a.yaml: NetworkPolicy shop/db 0", "web.yaml: NetworkPolicy shop/web 1",
		"x.yaml: the file is as kubectl and the API server want it 0", "namespace kube-system: NetworkPolicy kube-system/dns 0", "namespace ops: NetworkPolicy ops/agent 0", "namespace shop: Namespace shop 0",
	}, cases)
}

func TestOnlyWithFailOnWarnWarningsFail(t *testing.T) {
	warned := report.FromDecided(scope, decided()[:1], nil)
	assert.Equal(t, 0, suitesOf(t, junit(t, warned, report.JUnitOptions{})).Failures)
	assert.Contains(t, suitesOf(t, junit(t, warned, report.JUnitOptions{})).Suites[0].Cases[0].Output, "web.yaml:5: warn policy-types-unset: ")
	assert.Equal(t, 1, suitesOf(t, junit(t, warned, report.JUnitOptions{FailOnWarn: true})).Failures)
}

// checkJUnit holds the text against what junit-10.xsd of Jenkins' xUnit plugin allows, and against its own counts.
func checkJUnit(t require.TestingT, text []byte) {
	allowed := map[string][]string{
		"testsuites": {"name", "time", "tests", "failures", "errors"},
		"testsuite":  {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
		"testcase":   {"name", "time", "classname", "group"}, "failure": {"type", "message"}, "error": {"type", "message"}, "system-out": nil,
	}
	required := map[string][]string{"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
	parents := map[string]string{"testsuites": "", "testsuite": "testsuites", "testcase": "testsuite", "failure": "testcase", "error": "testcase", "system-out": "testcase"}
	path := []string{""}
	for decoder := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch e := token.(type) {
		case xml.StartElement:
			require.Contains(t, allowed, e.Name.Local)
			require.Equal(t, parents[e.Name.Local], path[len(path)-1])
			path = append(path, e.Name.Local)
			var names []string
			for _, a := range e.Attr {
				names = append(names, a.Name.Local)
			}
			require.Subset(t, allowed[e.Name.Local], names)
			require.Subset(t, names, required[e.Name.Local])
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
	got := suitesOf(t, text)
	tests, failures, failed := 0, 0, 0
	for _, s := range got.Suites {
		require.Len(t, s.Cases, s.Tests)
		tests, failures, failed = tests+s.Tests, failures+s.Failures, failed+s.Errors
		for _, c := range s.Cases {
			require.LessOrEqual(t, len(c.Failure)+len(c.Error), 1, "Jenkins reads the first alone")
		}
	}
	require.Equal(t, [3]int{got.Tests, got.Failures, got.Errors}, [3]int{tests, failures, failed})
}
