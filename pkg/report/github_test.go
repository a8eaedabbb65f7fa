package report_test

import (
	"strings"
	"testing"
	"unicode"
)

func TestGitHubAnnotatesFiles(t *testing.T) {
	golden(t, "report.github.txt", []byte(github(t, full())))
}

// command is a workflow command as GitHub's runner takes it from a line.
type command struct {
	name, message string
	properties    map[string]string
}

// parseCommand does what the runner does: a line, less blanks, that begins with :: and holds another :: is a command.
func parseCommand(line string) (command, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "::")
	if !ok {
		return command{}, false
	}
	head, message, ok := strings.Cut(rest, "::")
	if !ok {
		return command{}, false
	}
	data := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%")
	property := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
	c := command{message: data.Replace(message), properties: map[string]string{}}
	name, list, _ := strings.Cut(head, " ")
	c.name = name
	for _, p := range strings.Split(list, ",") {
		if key, value, ok := strings.Cut(p, "="); ok {
			c.properties[key] = property.Replace(value)
		}
	}
	return c, true
}

// visible is a name without control characters but line breaks.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\r' && unicode.IsControl(r) {
			return '\ufffd'
		}
		return r
	}, s)
}
