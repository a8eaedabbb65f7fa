package fix

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar is where a scalar ends. indent is as for builder.node.
func (b *builder) scalar(n *node, indent int) int {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for at := n.body + 1; at < len(b.text); at++ {
			switch b.text[at] {
			case '\\':
				at++
			case '"':
				return at + 1
			}
		}
	case n.Style&yaml.SingleQuotedStyle != 0:
		for at := n.body + 1; at < len(b.text); at++ {
			if b.text[at] != '\'' {
				continue
			}
			if b.at(at+1) != '\'' {
				return at + 1
			}
			at++
		}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return b.blockScalar(n.body, indent)
	default:
		return b.plainScalar(n.body, indent, n.flow)
	}
	b.odd = true
	return len(b.text)
}

// plainScalar: "Plain scalars must never contain the ': ' and ' #' character combinations"; inside of brackets, neither
// brackets nor commas (YAML 1.2, 7.3.3). Its further lines are indented more than what is around it.
func (b *builder) plainScalar(at, indent int, flow bool) int {
	end := at
	for {
		for at < len(b.text) && !isBreak(b.text[at]) {
			c := b.text[at]
			next := b.at(at + 1)
			switch {
			case c == '#' && (at == 0 || isBlank(b.text[at-1]) || isBreak(b.text[at-1])):
				return end
			case c == ':' && (next == 0 || isBlank(next) || isBreak(next) || flow && strings.IndexByte(",[]{}", next) >= 0):
				return end
			case flow && strings.IndexByte(",?[]{}", c) >= 0:
				return end
			}
			if at++; !isBlank(c) {
				end = at
			}
		}
		for at < len(b.text) && (isBlank(b.text[at]) || isBreak(b.text[at])) {
			at++
		}
		if at >= len(b.text) || !flow && b.column(at) <= indent {
			return end
		}
	}
}

// blockScalar is a scalar after | or >: its lines are those indented as far as the first, or as the header says.
func (b *builder) blockScalar(at, indent int) int {
	header := string(b.text[at:b.lineEnd(at)])
	header, _, _ = strings.Cut(header, " ")
	keeps := strings.Contains(header, "+")
	want := 0
	if digit := strings.IndexAny(header, "123456789"); digit >= 0 {
		want = max(indent, 0) + int(header[digit]-'0')
	}
	end := b.lineEnd(at)
	for at = nextLine(b.text, at); at < len(b.text); at = nextLine(b.text, at) {
		first := at
		for b.at(first) == ' ' {
			first++
		}
		if first == b.lineEnd(at) {
			if keeps {
				end = b.lineEnd(at)
			}
			continue
		}
		if want == 0 {
			want = max(first-at, indent+1)
		}
		if first-at < want {
			break
		}
		end = b.lineEnd(at)
	}
	return end
}
