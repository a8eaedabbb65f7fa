package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// streams are what a command reads and writes, and what is known of the other ends.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// piped is whether something was piped or redirected into in.
	piped bool
	// color is whether out is a terminal that wants colours, width its columns, or 0 if out is no terminal.
	color bool
	width int
	// progress is whether err is a terminal.
	progress bool
}

// standardStreams are those of the process. NO_COLOR, unless empty, switches colours off (https://no-color.org).
func standardStreams() streams {
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, progress: term.IsTerminal(int(os.Stderr.Fd()))}
	if info, err := os.Stdin.Stat(); err == nil {
		s.piped = info.Mode()&os.ModeNamedPipe != 0 || info.Mode().IsRegular() || info.Mode()&os.ModeSocket != 0
	}
	if out := int(os.Stdout.Fd()); term.IsTerminal(out) {
		s.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(out); err == nil {
			s.width = min(width, 120)
		}
	}
	return s
}
