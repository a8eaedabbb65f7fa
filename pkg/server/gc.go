package server

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much memory may gather before it is collected, in percent of what is in use. What is in use is small and
// long-lived, so that Go's default of 100 would spend a fifth of the time on looking at it: 100,000 pods and 10,000 policies are
// 80 MiB.
const gcPercent = 300

// TuneGC sets the garbage collector for a server, unless the environment variable GOGC does.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
