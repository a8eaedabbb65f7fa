// Package page writes the HTML pages for people: the findings of check and of the audit, and the graph of reach. A page is
// one file that needs no other: it works offline and asks for nothing. Its Content-Security-Policy lets exactly its own
// style and script run, so that nothing in a manifest, however it is named, can become code. Without scripts the findings
// can still be read: only filter, search and graph are gone.
//
// The same Page gives the same bytes.
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
	// Outlook shows from the start what would be denied at stricter levels, as an audit does; otherwise it is folded.
	Outlook bool
}

//go:embed page.gohtml style.css *.js
var files embed.FS

// scripts are the parts of the page's script, in order.
var scripts = [...]string{"page.js", "filter.js"}

// view is what the template gets.
type view struct {
	Page
	Findings  findingsView
	Style     template.CSS
	Script    template.JS
	Policy    string
	PageTitle string
}

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	t, err := template.New("page.gohtml").Funcs(template.FuncMap{"plural": plural}).ParseFS(files, "page.gohtml")
	if err != nil {
		return err
	}
	style, err := files.ReadFile("style.css")
	if err != nil {
		return err
	}
	var script strings.Builder
	for _, name := range scripts {
		part, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		script.Write(part)
	}
	return t.Execute(w, view{
		Page: p, Findings: p.findings(), PageTitle: "Portcullis " + p.Title,
		Style: template.CSS(style), Script: template.JS(script.String()), Policy: policy(string(style), script.String()),
	})
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
