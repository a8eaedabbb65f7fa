// Package page writes the HTML pages for people: the findings of check and of the audit, and the graph of reach. A page is
// one file that needs no other: it works offline and asks for nothing. Its Content-Security-Policy lets exactly its own
// style and script run, so that nothing in a manifest, however it is named, can become code. Without scripts the findings
// can still be read: only filter, search and graph are gone.
//
// The same Page gives the same bytes. What is drawn is tested in test/browser, in Chromium.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// Page is what is shown.
type Page struct {
	// Title says what was judged or listed, as in "check" or "audit of cluster staging".
	Title string
	// Made says when, for the state of a cluster; empty for manifests, whose pages do not depend on time.
	Made string
	// Report holds the findings. It is mandatory.
	Report *report.Report
	// Rules explain the findings: why a rule is there, and what to do. What does not occur is left out.
	Rules []*rule.Rule
	// Line is the text of a line of a file that was judged; nil if no files were.
	Line func(file string, line int) (string, bool)
	// Graph is who may connect to whom, beside the findings; nil for findings alone.
	Graph *Graph
	// Outlook shows from the start what would be denied at stricter levels, as an audit does; otherwise it is folded.
	Outlook bool
}

//go:embed *.gohtml *.css *.js
var files embed.FS

// styles and scripts are the parts of the page's style and script, in order. The first style and the first two scripts are for the
// findings, the others for the graph.
var styles = [...]string{"style.css", "reach.css"}

var scripts = [...]string{"page.js", "filter.js", "layout.js", "boxes.js", "draw.js", "reach.js"}

// view is what the template gets.
type view struct {
	Page
	Findings  findingsView
	Reach     *graphView
	Style     template.CSS
	Script    template.JS
	Policy    string
	PageTitle string
}

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	t, err := template.New("page.gohtml").Funcs(template.FuncMap{"plural": plural}).ParseFS(files, "*.gohtml")
	if err != nil {
		return err
	}
	parts, code := styles[:1], scripts[:2]
	if p.Graph != nil {
		parts, code = styles[:], scripts[:]
	}
	style, err := joined(parts)
	if err != nil {
		return err
	}
	script, err := joined(code)
	if err != nil {
		return err
	}
	v := view{
		Page: p, Findings: p.findings(), PageTitle: "Portcullis " + p.Title,
		Style: template.CSS(style), Script: template.JS(script), Policy: policy(style, script),
	}
	if p.Graph != nil {
		if v.Reach, err = newGraphView(p.Graph, v.Findings.Namespaces); err != nil {
			return err
		}
	}
	return t.Execute(w, v)
}

// joined is the text of files, one after the other.
func joined(names []string) (string, error) {
	var out strings.Builder
	for _, name := range names {
		part, err := files.ReadFile(name)
		if err != nil {
			return "", err
		}
		out.Write(part)
	}
	return out.String(), nil
}

// policy is the Content-Security-Policy under which only this style and this script run, nothing is loaded, no form is sent,
// and no string becomes markup.
func policy(style, script string) string {
	return strings.Join([]string{
		"default-src 'none'", "style-src " + hash(style), "script-src " + hash(script), "img-src data:",
		"base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	}, "; ")
}

func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
