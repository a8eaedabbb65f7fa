package report

import (
	"cmp"
	"encoding/xml"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// JUnit's XML has no standard. This is the part that Jenkins, GitLab and the reporters for GitHub agree on, and that the
// schema of Jenkins' xUnit plugin allows (junit-10.xsd):
//   - a test suite for each file, and for each namespace of a cluster;
//   - a test case for each object that was judged, with all its denied findings in one failure, as Jenkins reads only the
//     first. Other findings are its output;
//   - problems of a file are the error of a test case of its own.
//
// It holds no times, since the same input is to give the same bytes.

// JUnitOptions say what fails.
type JUnitOptions struct {
	// FailOnWarn makes failures of warnings, too.
	FailOnWarn bool
}

type (
	junitSuites struct {
		XMLName  xml.Name      `xml:"testsuites"`
		Name     string        `xml:"name,attr"`
		Tests    int           `xml:"tests,attr"`
		Failures int           `xml:"failures,attr"`
		Errors   int           `xml:"errors,attr"`
		Suites   []*junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		File     string      `xml:"file,attr,omitempty"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
		Error   *junitFailure `xml:"error"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the report as JUnit's XML.
func (r *Report) JUnit(w io.Writer, o JUnitOptions) error {
	out := junitSuites{Name: "portcullis check"}
	suite := func(name, file string) *junitSuite {
		if last := len(out.Suites) - 1; last >= 0 && out.Suites[last].Name == name && out.Suites[last].File == file {
			return out.Suites[last]
		}
		s := &junitSuite{Name: name, File: file, Time: "0"}
		out.Suites = append(out.Suites, s)
		return s
	}
	for _, t := range r.junitTests() {
		s := suite(oneLine(cmp.Or(t.file, t.where)), oneLine(t.file))
		c := t.testCase(o)
		s.Tests++
		out.Tests++
		if c.Failure != nil {
			s.Failures++
			out.Failures++
		}
		if c.Error != nil {
			s.Errors++
			out.Errors++
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junitTest is what becomes a test case: an object with what is found of it, or a file with its problems.
type junitTest struct {
	file, where string // where is the namespace
	line        int
	subject     finding.Subject
	findings    []Finding
	problems    []Problem
}

// junitTests are sorted by file, or else by namespace, and there by line. What is told of a namespace that is in no file is
// listed under the namespace.
func (r *Report) junitTests() []*junitTest {
	tests := map[finding.Subject]*junitTest{}
	files := map[string]*junitTest{}
	var out []*junitTest
	add := func(s finding.Subject) *junitTest {
		if tests[s] == nil {
			tests[s] = &junitTest{subject: s, where: "cluster"}
			switch {
			case s.Namespace != "":
				tests[s].where = "namespace " + s.Namespace
			case s.Kind == finding.KindNamespace:
				tests[s].where = "namespace " + s.Name
			}
			out = append(out, tests[s])
		}
		return tests[s]
	}
	for _, object := range r.Judged {
		t := add(object.Subject)
		t.file, t.line = object.Source.File, object.Source.Line
	}
	for _, f := range r.Findings {
		t := add(f.Subject)
		t.findings = append(t.findings, f)
		if f.Source != nil && t.file == "" {
			t.file, t.line = f.Source.File, f.Source.Line
		}
	}
	for _, p := range r.Problems {
		if files[p.File] == nil {
			files[p.File] = &junitTest{file: p.File}
			out = append(out, files[p.File])
		}
		files[p.File].problems = append(files[p.File].problems, p)
	}
	slices.SortStableFunc(out, func(a, b *junitTest) int {
		return cmp.Or(emptyLast(a.file, b.file), cmp.Compare(a.where, b.where), cmp.Compare(a.line, b.line),
			cmp.Compare(a.subject.Kind, b.subject.Kind), cmp.Compare(a.subject.Name, b.subject.Name), cmp.Compare(a.subject.Namespace, b.subject.Namespace))
	})
	return out
}

func emptyLast(a, b string) int {
	if (a == "") != (b == "") {
		return -cmp.Compare(a, b)
	}
	return cmp.Compare(a, b)
}

func (t *junitTest) testCase(o JUnitOptions) junitCase {
	if len(t.problems) > 0 {
		c := junitCase{Name: "the file is as kubectl and the API server want it", Class: "input", Time: "0", Error: &junitFailure{Type: sarifProblem}}
		var lines []string
		for _, p := range t.problems {
			lines = append(lines, p.String())
		}
		c.Error.Message = firstOf(oneLine(t.problems[0].Message), len(lines))
		c.Error.Text = strings.Join(lines, "\n")
		return c
	}
	c := junitCase{Name: oneLine(t.subject.Title()), Class: oneLine(t.where), Time: "0"}
	var failures, output, rules []string
	first := ""
	for i := range t.findings {
		f := &t.findings[i]
		line := t.line
		if f.Source != nil {
			line = f.Source.Line
		}
		text := Problem{File: t.file, Line: line, Message: string(f.Action) + " " + f.Rule + ": " + f.advice()}.String()
		if f.Action == verdict.ActionDeny || o.FailOnWarn && f.Action == verdict.ActionWarn {
			failures = append(failures, text)
			first = cmp.Or(first, f.Rule+": "+f.advice())
			if !slices.Contains(rules, f.Rule) {
				rules = append(rules, f.Rule)
			}
		} else {
			output = append(output, text)
		}
	}
	if len(failures) > 0 {
		c.Failure = &junitFailure{Type: strings.Join(rules, ", "), Message: firstOf(first, len(failures)), Text: strings.Join(failures, "\n")}
	}
	c.Output = strings.Join(output, "\n")
	return c
}

// firstOf is the first of n texts, and how many more there are.
func firstOf(first string, n int) string {
	if n == 1 {
		return first
	}
	return first + " (and " + strconv.Itoa(n-1) + " more" + ")"
}
