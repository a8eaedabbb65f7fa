package server

import (
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// gcPercent is how much memory may gather before it is collected, in percent of what is in use. What is in use is small and
// long-lived, so that Go's default of 100 would spend a fifth of the time on looking at it: 100,000 pods and 10,000 policies are
// 80 MiB.
const gcPercent = 300

// mostOfLimit is how much of the container's memory may gather, in percent, before it is collected all the same.
const mostOfLimit = 80

// TuneGC sets the garbage collector for a server, unless the environment variables GOGC and GOMEMLIMIT do.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit := memoryLimit(os.DirFS("/sys/fs/cgroup")); limit > 0 {
			debug.SetMemoryLimit(limit / 100 * mostOfLimit)
		}
	}
}

// memoryLimit is how many bytes the container may take, by cgroup v2 or v1; 0 if there is no limit.
func memoryLimit(cgroup fs.FS) int64 {
	for _, file := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
		text, err := fs.ReadFile(cgroup, file)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 && limit < 1<<60 {
			return limit
		}
		return 0 // "max", or what v1 has for it
	}
	return 0
}
