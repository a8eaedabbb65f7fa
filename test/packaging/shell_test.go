package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/test/controlplane"
)

// asked are command lines, up to the cursor, and what is offered for the last word.
var asked = map[string]string{
	"portcullis check --level r":  "restricted",
	"portcullis check --fail-on ": "deny warn",
	"portcullis check -o sa":      "sarif",
	"portcullis rules dns-":       "dns-any-destination dns-blocked dns-server-exposed dns-udp-only",
	"portcullis check dep":        "deploy",
	"portcullis check deploy/":    "deploy/open.yaml",
}

func TestBashCompletes(t *testing.T) {
	dir := workspace(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "deploy", "notes.txt"), nil, 0o644))
	// The functions of the package bash-completion that cobra's script calls, as far as it needs them.
	const asker = `
shopt -s extglob
_init_completion() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur="${words[cword]}"; prev="${words[cword-1]}"; }
_filedir() {
  if [ "$1" = -d ]; then COMPREPLY+=($(compgen -d -- "$cur")); return; fi
  for f in $(compgen -f -- "$cur"); do [[ -d "$f" || "$f" == *.@($1) ]] && COMPREPLY+=("$f"); done
}
source <(portcullis completion bash --no-descriptions)
COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
read -ra COMP_WORDS <<< "$1"; if [[ "$1" == *" " ]]; then COMP_WORDS+=(""); fi
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
__start_portcullis
printf '%s\n' "${COMPREPLY[@]}"`
	for line, want := range asked {
		r := script{dir: dir, path: []string{bin}, args: []string{"bash", "--noprofile", "--norc", "-c", asker, "bash", line}}.run(t)
		assert.Equal(t, want, strings.Join(strings.Fields(r.out), " "), line+r.err)
	}
}

func TestFishCompletes(t *testing.T) {
	if _, err := exec.LookPath("fish"); err != nil {
		t.Skip("fish is not installed")
	}
	for line, want := range asked {
		if strings.Contains(line, "dep") {
			// fish completes files by itself.
			continue
		}
		r := script{dir: workspace(t), path: []string{bin}, env: []string{"HOME=" + t.TempDir()},
			args: []string{"fish", "--no-config", "-c", "portcullis completion fish --no-descriptions | source; complete -C $argv[1]", line}}.run(t)
		assert.Equal(t, want, strings.Join(strings.Fields(r.out), " "), line+r.err)
	}
}

func TestZshCompletes(t *testing.T) {
	if _, err := exec.LookPath("zsh"); err != nil {
		t.Skip("zsh is not installed")
	}
	const asker = `
autoload -Uz compinit && compinit -D -u
source <(portcullis completion zsh)
_describe() { print -rl -- "${completions[@]}"; }
_arguments() { print -r -- "${*[-1]}"; }
words=("${(@s: :)1}"); CURRENT=${#words}
_portcullis`
	for line, wants := range asked {
		r := script{dir: workspace(t), path: []string{bin}, env: []string{"HOME=" + t.TempDir()}, args: []string{"zsh", "-f", "-c", asker, "zsh", line}}.run(t)
		if strings.Contains(line, "dep") {
			wants = "*:filename:_files"
		}
		// zsh leaves out what does not begin with the word.
		for _, want := range strings.Fields(wants) {
			assert.Contains(t, r.out, want, line+r.err)
		}
	}
}

func TestPortcullisIsAPluginOfKubectl(t *testing.T) {
	programs, err := controlplane.Binaries()
	require.NoError(t, err)
	plugins := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(bin, "portcullis"), filepath.Join(plugins, "kubectl-portcullis")))
	page, err := os.ReadFile(filepath.Join(root, "docs", "command-line.md"))
	require.NoError(t, err)
	_, completer, found := strings.Cut(string(page), "```sh\n#!/bin/sh\n")
	require.True(t, found)
	completer, _, _ = strings.Cut(completer, "```")
	require.NoError(t, os.WriteFile(filepath.Join(plugins, "kubectl_complete-portcullis"), []byte("#!/bin/sh\n"+completer), 0o755))
	kubectl := func(args ...string) result {
		return script{dir: workspace(t), path: []string{plugins, programs}, env: []string{"KUBECONFIG=/dev/null", "HOME=" + t.TempDir()}, args: append([]string{"kubectl"}, args...)}.run(t)
	}

	assert.Contains(t, kubectl("plugin", "list").out, filepath.Join(plugins, "kubectl-portcullis"))
	version := kubectl("portcullis", "version")
	assert.Equal(t, 0, version.code)
	assert.True(t, strings.HasPrefix(version.out, "portcullis "), version.out)

	denied := kubectl("portcullis", "check", "deploy", "-o", "text")
	assert.Equal(t, 1, denied.code, "kubectl hands the exit code on")
	assert.Contains(t, denied.out, "DENY internet-ingress (baseline, high) at deploy/open.yaml:43")
	assert.Equal(t, 0, kubectl("portcullis", "check", "good").code)
	assert.Contains(t, kubectl("portcullis", "check", "--help").out, "kubectl portcullis check [PATH|-]...")

	assert.Contains(t, kubectl("__complete", "plug").out, "plugin")
	levels := kubectl("__complete", "portcullis", "check", "--level", "")
	assert.True(t, strings.HasPrefix(levels.out, "privileged\nbaseline\nrestricted\n:4\n"), levels.out+levels.err)
	assert.Contains(t, kubectl("__complete", "portcullis", "rules", "").out, "internet-ingress")
}
