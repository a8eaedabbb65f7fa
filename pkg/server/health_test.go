package server_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/portcullis-dev/portcullis/pkg/server"
)

func TestReadinessSaysWhichCheckFailsAndWhyAndLogsItOnce(t *testing.T) {
	log := &buffer{}
	var state, stopping error
	handler := server.Readiness(slog.New(slog.NewTextHandler(log, nil)), func() error { return state }, func() error { return stopping })
	probe := func(path string) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}

	code, body := probe("/readyz")
	assert.Equal(t, http.StatusOK, code)
	assert.Equal(t, "ok", body)
	assert.Empty(t, log.String(), "that all is well is no news")

	state = errors.New("waiting for pods")
	for range 3 {
		code, body = probe("/readyz")
		assert.Equal(t, http.StatusInternalServerError, code)
		assert.Equal(t, "[-]state failed: waiting for pods\n[+]webhook ok\n[+]shutdown ok\nnot ready\n", body)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), log)
	assert.Contains(t, log.String(), `level=WARN msg="not ready" state="waiting for pods"`)

	state = nil
	for range 3 {
		_, body = probe("/readyz?verbose")
		assert.Equal(t, "[+]state ok\n[+]webhook ok\n[+]shutdown ok\nready\n", body)
	}
	assert.Equal(t, 2, strings.Count(log.String(), "\n"), log)
	assert.Contains(t, log.String(), "level=INFO msg=ready")

	stopping = errors.New("stopping")
	code, body = probe("/readyz")
	assert.Equal(t, http.StatusInternalServerError, code)
	assert.Contains(t, body, "[-]shutdown failed: stopping")
	assert.Equal(t, 2, strings.Count(log.String(), "\n"), "the end has a line of its own: %s", log)
}
