package admission

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestClip(t *testing.T) {
	assert.Equal(t, "kubernetes-admin", clip("kubernetes-admin"), "what is fit stays")
	assert.Equal(t, "a level=ERROR b", clip("a\nlevel=ERROR\u2028b"), "line breaks become blanks")
	assert.Equal(t, strings.Repeat("ä", 127)+"…", clip(strings.Repeat("ä", 1000)), "what is long is cut between characters")
	assert.Equal(t, "a\uFFFDb", clip("a\xffb"), "what is not UTF-8 becomes so")
}
