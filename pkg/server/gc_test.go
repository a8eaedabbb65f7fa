package server

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
)

func TestTheMemoryLimitIsThatOfTheContainer(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       int64
	}{
		"if cgroup v2 has one, then it is the limit":    {"memory.max", "536870912\n", 512 << 20},
		"if cgroup v2 has none, then there is none":     {"memory.max", "max\n", 0},
		"if cgroup v1 has one, then it is the limit":    {"memory/memory.limit_in_bytes", "1073741824\n", 1 << 30},
		"if cgroup v1 has none, then there is none":     {"memory/memory.limit_in_bytes", "9223372036854771712\n", 0},
		"if there is no cgroup, then there is no limit": {"other", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, memoryLimit(fstest.MapFS{c.file: {Data: []byte(c.text)}}))
		})
	}
}
