package server

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	crlog "sigs.k8s.io/controller-runtime/pkg/log"
)

// LogFormats are the formats that NewLog knows.
var LogFormats = [...]string{"json", "text"}

// NewLog is a log of one line for each event, in one of the LogFormats.
func NewLog(format string, w io.Writer) (*slog.Logger, error) {
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	}
	return nil, fmt.Errorf("unknown log format %q: use json or text", format)
}

// RedirectLibraries has klog, controller-runtime and the standard library's log write to the log. They keep their loggers in
// global variables: call it once in a process, before anything else.
func RedirectLibraries(log *slog.Logger) {
	slog.SetDefault(log)
	logger := logr.FromSlogHandler(log.Handler())
	klog.SetLogger(logger)
	crlog.SetLogger(logger)
}
