package admission

import (
	"strings"
	"unicode"
)

// clip makes a text from others fit to be quoted in a message, a header and a log: short, and without control characters.
func clip(s string) string {
	const most = 128
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
	if len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(runes)
}
