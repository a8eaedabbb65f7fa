package browser

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var screenshots = flag.String("screenshots", "", "write pictures of the pages into this folder")

// The program and the browser that all tests share.
type stage struct {
	binary  string
	browser context.Context
}

// names are what Chromium is called.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// setUp builds the program and starts the browser, once.
var setUp = sync.OnceValues(func() (*stage, error) {
	dir, err := os.MkdirTemp("", "portcullis-browser-")
	if err != nil {
		return nil, err
	}
	s := &stage{binary: filepath.Join(dir, "portcullis")}
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", s.binary, "./cmd/portcullis").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the program: %w\n%s", err, out)
	}
	chromium := ""
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" {
		return nil, errors.New("there is no Chromium: install it, as in\n  apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.DisableGPU, chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	browser, closeBrowser := chromedp.NewContext(allocator)
	closers = append(closers, closeBrowser, stop, func() { _ = os.RemoveAll(dir) })
	s.browser = browser
	return s, chromedp.Do(browser)
})

var closers []func()

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	for _, c := range closers {
		c()
	}
	os.Exit(code)
}

// written is the file with the page that the program writes of manifests.
func written(t *testing.T, manifests string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "input.yaml"), []byte(manifests), 0o600))
	return run(t, dir, append(args, "-o", "html", "input.yaml")...)
}

// run runs the program in a folder, and is the file with what it wrote. Findings are no failure.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	s, err := setUp()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), s.binary, args...)
	command.Dir = dir
	var errs strings.Builder
	command.Stderr = &errs
	out, err := command.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	require.NotEmpty(t, out, "the program wrote no page, but: %s", errs.String())
	file := filepath.Join(dir, "page.html")
	require.NoError(t, os.WriteFile(file, out, 0o600))
	return file
}

// tab is one page, open in the browser.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	console  []string
	requests []string
}

type view struct {
	width, height int64
	dark          bool
	hash          string
}

var desk, deskDark, phone = view{width: 1280, height: 900}, view{width: 1280, height: 900, dark: true}, view{width: 390, height: 844}

// open shows a file. When the test ends, the page must have complained of nothing and asked for nothing but itself.
func open(t *testing.T, file string, v view) *tab {
	t.Helper()
	s, err := setUp()
	require.NoError(t, err)
	ctx, stop := chromedp.NewContext(s.browser)
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(ctx))
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	tb := &tab{t: t, ctx: ctx}
	address := "file://" + file
	require.NoError(t, chromedp.Listen(ctx, func(event any) { tb.listen(event, address) }))
	t.Cleanup(func() {
		tb.quiet()
		cancel()
	})
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	tb.run(
		command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
		chromedp.EmulateViewport(v.width, v.height), chromedp.Navigate(address+v.hash))
	return tb
}

// command is a command of the protocol as a step.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

func (tb *tab) listen(event any, address string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		tb.console = append(tb.console, fmt.Sprint(e.Type, " ", e.Args))
	case *runtime.EventExceptionThrown:
		tb.console = append(tb.console, fmt.Sprintf("%+v", e.ExceptionDetails))
	case *log.EventEntryAdded:
		tb.console = append(tb.console, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		if url, _, _ := strings.Cut(e.Request.URL, "#"); url != address && !strings.HasPrefix(url, "data:") {
			tb.requests = append(tb.requests, e.Request.URL)
		}
	}
}

// quiet is whether the page is without errors and without requests.
func (tb *tab) quiet() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	assert.Empty(tb.t, tb.console, "the console of the page")
	assert.Empty(tb.t, tb.requests, "what the page asked for")
}

func (tb *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	require.NoError(tb.t, chromedp.Do(tb.ctx, steps...))
}

// get runs an action that has a value.
func get[T any](tb *tab, action chromedp.Action[T]) T {
	tb.t.Helper()
	out, err := chromedp.Run(tb.ctx, action)
	require.NoError(tb.t, err)
	return out
}

// eval is the value of a JavaScript expression.
func eval[T any](tb *tab, expression string) T {
	tb.t.Helper()
	return get(tb, chromedp.Evaluate[T](expression))
}

// until waits until a JavaScript expression is true.
func (tb *tab) until(expression string) {
	tb.t.Helper()
	get(tb, chromedp.Poll[bool](expression))
}

// keys presses keys, one after the other, as a keyboard does: a page that takes a key for itself keeps its character out of
// the field that has the focus.
func (tb *tab) keys(keys ...string) {
	tb.t.Helper()
	for _, key := range strings.Join(keys, "") {
		events := kb.Encode(key)
		down, up := *events[0], *events[len(events)-1]
		if len(events) == 3 {
			down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
		}
		tb.run(command(input.DispatchKeyEvent, down), command(input.DispatchKeyEvent, up))
	}
}

// click clicks the first element that matches and can be seen.
func (tb *tab) click(selector string) {
	tb.t.Helper()
	tb.run(chromedp.Click(chromedp.CSS(selector)))
}

// fill types into a field in place of what it holds.
func fill(selector, text string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// withoutScripts is the page as it is where scripts may not run.
func withoutScripts(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	start, end := strings.LastIndex(string(text), "<script>"), strings.LastIndex(string(text), "</script>")
	require.NoError(t, os.WriteFile(file, []byte(string(text[:start])+string(text[end+len("</script>"):])), 0o600))
	return file
}

// texts are the texts of what matches and can be seen.
func (tb *tab) texts(selector string) []string {
	tb.t.Helper()
	return eval[[]string](tb, fmt.Sprintf(`Array.from(document.querySelectorAll(%q)).filter(e => e.checkVisibility()).map(e => e.textContent.trim())`, selector))
}

// picture writes a picture of the page, or of its first screen, if pictures are wanted.
func (tb *tab) picture(name string, whole bool) {
	tb.t.Helper()
	if *screenshots == "" {
		return
	}
	shoot := chromedp.CaptureScreenshot()
	if whole {
		shoot = chromedp.FullScreenshot(100)
	}
	image := get(tb, shoot)
	require.NoError(tb.t, os.MkdirAll(*screenshots, 0o755))
	require.NoError(tb.t, os.WriteFile(filepath.Join(*screenshots, name+".png"), image, 0o644))
}

// pdf prints the page.
func (tb *tab) pdf() []byte {
	tb.t.Helper()
	return get(tb, chromedp.PrintToPDF())
}

// contrasts tells every text whose colour has less contrast to its background than WCAG 2 asks of small text, 4.5.
func (tb *tab) contrasts() []string {
	tb.t.Helper()
	return eval[[]string](tb, contrast)
}
