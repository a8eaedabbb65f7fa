// Package arch tests the layout of the module: the direction of imports, and a few habits that a compiler does not ask for.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/portcullis-dev/portcullis/"

// floors are the packages from the ground up. A package imports only from floors below its own.
var floors = [][]string{
	{"pkg/netset"},
	{"pkg/finding"},
	{"pkg/model"},
	{"pkg/reach"},
	{"pkg/explain", "pkg/generate"},
	{"pkg/rule"},
	{"pkg/rules"},
	{"pkg/celrule"},
	{"pkg/engine"},
	{"pkg/verdict"},
	{"pkg/mutate"},
	{"pkg/fix"},
	{"pkg/config"},
	{"pkg/judge"},
	{"pkg/source/manifest", "pkg/source/cluster"},
	{"pkg/repair"},
	{"pkg/report", "pkg/metrics"},
	{"pkg/report/graph"},
	{"pkg/report/page"},
	{"pkg/election"},
	{"pkg/audit"},
	{"pkg/audit/publish", "pkg/isolate"},
	{"pkg/admission"},
	{"certs/rotation"},
	{"certs"},
	{"pkg/server/registration"},
	{"pkg/server"},
	{"cmd/portcullis"},
}

// pure are the packages that neither do I/O nor know of time, clients or servers.
var pure = []string{"pkg/netset", "pkg/finding", "pkg/model", "pkg/reach", "pkg/explain", "pkg/generate", "pkg/rule", "pkg/rules", "pkg/celrule", "pkg/engine", "pkg/verdict", "pkg/mutate", "pkg/fix", "certs/rotation"}

// impure are what they do not import.
var impure = []string{
	"os", "net/http", "log", "github.com/go-logr", "go.uber.org/zap", "k8s.io/client-go", "k8s.io/klog", "sigs.k8s.io/controller-runtime",
}

// clocks are the functions of package time whose answer depends on when they are asked.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

type listed struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", module+"...")
	command.Stderr = os.Stderr
	text, err := command.Output()
	require.NoError(t, err)
	var out []listed
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			require.NoError(t, err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		out = append(out, p)
	}
}

func floorOf(path string) int {
	return slices.IndexFunc(floors, func(floor []string) bool { return slices.Contains(floor, path) })
}

func isTool(path string) bool {
	return strings.HasPrefix(path, "test/") || strings.HasPrefix(path, "hack/")
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		if isTool(p.ImportPath) {
			continue
		}
		own := floorOf(p.ImportPath)
		assert.GreaterOrEqual(t, own, 0, "%s has no floor in test/arch: give it one", p.ImportPath)
		for _, imported := range p.Imports {
			path, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			assert.False(t, isTool(path), "%s imports %s, which is for tests", p.ImportPath, path)
			assert.Less(t, floorOf(path), own, "%s imports %s, which is not below it", p.ImportPath, path)
		}
	}
}

func TestTheEngineIsPure(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.ImportPath) {
			continue
		}
		for _, imported := range p.Imports {
			for _, not := range impure {
				assert.False(t, imported == not || strings.HasPrefix(imported, not+"/"), "%s imports %s", p.ImportPath, imported)
			}
		}
		eachFile(t, p, func(name string, file *ast.File) {
			names := namesOf(file, "time")
			assert.NotContains(t, names, ".", "%s imports time without a name", name)
			ast.Inspect(file, func(n ast.Node) bool {
				if selector, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clocks, selector.Sel.Name) {
					x, isName := selector.X.(*ast.Ident)
					assert.False(t, isName && slices.Contains(names, x.Name), "%s asks for the time by time.%s: it is to be given", name, selector.Sel.Name)
				}
				return true
			})
		})
	}
}

func TestFilesAreShort(t *testing.T) {
	const longest = 400
	root := filepath.Join("..", "..")
	files := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (name == "bin" || strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		assert.LessOrEqual(t, bytes.Count(text, []byte("\n")), longest, "%s has grown too long: split it by subject", path)
		return err
	}))
	assert.Greater(t, files, 100, "the files are found")
}

func TestPackagesAreNamedByWhatTheyDoAndNothingHappensByImportingThem(t *testing.T) {
	for _, p := range packages(t) {
		assert.NotContains(t, []string{"util", "utils", "common", "helpers"}, filepath.Base(p.ImportPath), "%s says nothing by its name", p.ImportPath)
		eachFile(t, p, func(name string, file *ast.File) {
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				assert.False(t, ok && f.Recv == nil && f.Name.Name == "init", "%s has a func init", name)
			}
		})
	}
}

// namesOf are the names by which a file calls what it imports from path, whose last part is its own name.
func namesOf(file *ast.File, path string) []string {
	var out []string
	for _, i := range file.Imports {
		switch {
		case i.Path.Value != strconv.Quote(path):
		case i.Name != nil:
			out = append(out, i.Name.Name)
		default:
			out = append(out, filepath.Base(path))
		}
	}
	return out
}

func eachFile(t *testing.T, p listed, do func(name string, file *ast.File)) {
	t.Helper()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		do(p.ImportPath+"/"+name, file)
	}
}
