package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIfWorkIsQuickThenNoProgressIsShown(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		done := streams{err: &out, progress: terminal}.progressing("working")
		done()
		done()
		assert.Empty(t, out.String())
	}
}
