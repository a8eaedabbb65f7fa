package packaging

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// action is a composite action, as far as this one goes
// (https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax).
type action struct {
	Name, Description, Author string
	Branding                  struct{ Icon, Color string }
	Inputs                    map[string]struct{ Description, Default string }
	Outputs                   map[string]struct{ Description, Value string }
	Runs                      struct {
		Using string
		Steps []step
	}
}

type step struct {
	ID, Name, Uses, Shell, Run string
	With, Env                  map[string]string
}

func readAction(t *testing.T) action {
	t.Helper()
	var a action
	readYAML(t, "action.yml", &a)
	return a
}

var expression = regexp.MustCompile(`\$\{\{ *([a-z_.-]+) *\}\}`)

// job is a run of the action, as by GitHub's runner.
type job struct {
	workspace, temp string
	inputs          map[string]string
}

// run runs the shell steps of the action whose names are given, and yields the result of the last and the outputs.
func (j job) run(t *testing.T, names ...string) (result, map[string]string) {
	t.Helper()
	a := readAction(t)
	output := filepath.Join(t.TempDir(), "output")
	require.NoError(t, os.WriteFile(output, nil, 0o644))
	var last result
	for _, s := range a.Runs.Steps {
		if !slices.Contains(names, s.Name) {
			continue
		}
		require.Equal(t, "bash", s.Shell)
		file := filepath.Join(t.TempDir(), "step.sh")
		require.NoError(t, os.WriteFile(file, []byte(s.Run), 0o644))
		env := []string{"RUNNER_TEMP=" + j.temp, "GITHUB_OUTPUT=" + output}
		for key, value := range s.Env {
			env = append(env, key+"="+expression.ReplaceAllStringFunc(value, func(e string) string { return j.value(t, a, expression.FindStringSubmatch(e)[1]) }))
		}
		// How the runner calls bash: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
		last = script{dir: j.workspace, env: env, args: []string{"bash", "--noprofile", "--norc", "-eo", "pipefail", file}}.run(t)
		if last.code != 0 {
			break
		}
	}
	text, err := os.ReadFile(output)
	require.NoError(t, err)
	outputs := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		require.True(t, ok, line)
		outputs[key] = value
	}
	return last, outputs
}

func (j job) value(t *testing.T, a action, name string) string {
	t.Helper()
	if name == "github.action_path" {
		return root
	}
	input, ok := strings.CutPrefix(name, "inputs.")
	require.True(t, ok, name)
	declared, ok := a.Inputs[input]
	require.True(t, ok, "there is no input %s", input)
	if value, given := j.inputs[input]; given {
		return value
	}
	return declared.Default
}

// newJob is a job with the program in place.
func newJob(t *testing.T, inputs map[string]string) job {
	t.Helper()
	j := job{workspace: workspace(t), temp: t.TempDir(), inputs: inputs}
	require.NoError(t, os.Symlink(bin, filepath.Join(j.temp, "portcullis")))
	return j
}

func TestTheActionBuildsAndChecks(t *testing.T) {
	j := job{workspace: workspace(t), temp: t.TempDir(), inputs: map[string]string{"path": "deploy", "sarif": "out.sarif"}}
	r, outputs := j.run(t, "build portcullis", "portcullis check")
	assert.Equal(t, 1, r.code, r.err)
	assert.Contains(t, r.out, "::error file=deploy/open.yaml,line=43,title=internet-ingress in NetworkPolicy billing/api::")
	assert.Equal(t, map[string]string{"exit-code": "1", "sarif": "out.sarif"}, outputs)
	text, err := os.ReadFile(filepath.Join(j.workspace, "out.sarif"))
	require.NoError(t, err)
	assert.True(t, json.Valid(text))
}

func TestTheActionFailsAsTheExitCodeSays(t *testing.T) {
	for name, c := range map[string]struct {
		inputs map[string]string
		code   int
		out    string
	}{
		"if nothing would be denied, then it passes":             {map[string]string{"path": "good"}, 0, "::warning file=good/closed.yaml"},
		"if warnings are to fail, then they do":                  {map[string]string{"path": "good", "fail-on": "warn"}, 1, "::warning file=good/closed.yaml"},
		"if the level is stricter, then more is denied":          {map[string]string{"path": "good", "level": "restricted"}, 1, "::error file=good/closed.yaml"},
		"if the level is laxer, then nothing is":                 {map[string]string{"path": "deploy", "level": "privileged"}, 0, "::warning file=deploy/open.yaml"},
		"if no path is given, then everything is judged":         {nil, 1, "::error file=deploy/open.yaml"},
		"if there are several paths, then all are judged":        {map[string]string{"path": "good\n\ndeploy\n"}, 1, "4 policies in 2 namespaces"},
		"if a configuration switches a rule off, then it is off": {map[string]string{"path": "deploy", "config": "a b.yaml"}, 0, "::warning file=deploy/open.yaml"},
		"if the input is bad, then it fails":                     {map[string]string{"path": "nowhere"}, 2, "::error file=nowhere,title=problem in the input::there is no such file or folder: check the path\n"},
		"if a path looks like a flag, then it is none":           {map[string]string{"path": "--help"}, 2, "::error file=--help,"},
		"if a path looks like a command, then it is none":        {map[string]string{"path": "$(touch owned) `touch owned`; touch owned"}, 2, "there is no such file or folder"},
	} {
		j := newJob(t, c.inputs)
		require.NoError(t, os.WriteFile(filepath.Join(j.workspace, "a b.yaml"), []byte("rules:\n  internet-ingress: off\n"), 0o644))
		r, outputs := j.run(t, "portcullis check")
		assert.Equal(t, c.code, r.code, name+r.err)
		assert.Contains(t, r.out, c.out, name)
		assert.Equal(t, map[string]string{"exit-code": string(rune('0' + c.code))}, outputs, name)
		assert.NoFileExists(t, filepath.Join(j.workspace, "owned"))
	}
}

func TestIfAnInputOfTheActionIsWrongThenItIsToldAndThereIsNoSARIF(t *testing.T) {
	r, outputs := newJob(t, map[string]string{"level": "strict", "sarif": "out.sarif"}).run(t, "portcullis check")
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.err, "unknown level \"strict\"")
	assert.Equal(t, map[string]string{"exit-code": "2"}, outputs)
}

func TestTheActionIsWholeAndDocumented(t *testing.T) {
	a := readAction(t)
	assert.Equal(t, "composite", a.Runs.Using)
	page, err := os.ReadFile(filepath.Join(root, "docs", "command-line.md"))
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(page), "\n## GitHub Action\n")
	section, _, _ = strings.Cut(section, "\n## ")
	used := map[string]bool{}
	for _, s := range a.Runs.Steps {
		assert.NotContains(t, s.Run, "${{", "a script reads inputs from its environment: pasted into it, they could be commands")
		for _, value := range s.Env {
			for _, e := range expression.FindAllStringSubmatch(value, -1) {
				used[strings.TrimPrefix(e[1], "inputs.")] = true
			}
		}
	}
	for name, input := range a.Inputs {
		assert.NotEmpty(t, input.Description, name)
		assert.True(t, used[name], "nothing reads the input %s", name)
		assert.Contains(t, section, "\n| `"+name+"` |", "docs/command-line.md lacks the input %s", name)
	}
	for name, output := range a.Outputs {
		assert.NotEmpty(t, output.Description, name)
		assert.Equal(t, "${{ steps.check.outputs."+name+" }}", output.Value)
		assert.Contains(t, section, "`"+name+"`", "docs/command-line.md lacks the output %s", name)
	}
	assert.True(t, slices.ContainsFunc(a.Runs.Steps, func(s step) bool { return s.ID == "check" }))
}
