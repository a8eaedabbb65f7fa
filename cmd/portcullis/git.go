package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

const gitPrefix = "git:"

// checkOut replaces the paths of the form git:REV:PATH by folders with what PATH was in the revision REV of the repository
// around the working directory. name is what a file in them is called; remove removes them.
func checkOut(ctx context.Context, paths []string) (local []string, name func(string) string, remove func(), err error) {
	folders := map[string]string{} // the folder that stands for a prefix
	remove = func() {
		for folder := range folders {
			_ = os.RemoveAll(folder)
		}
	}
	name = func(file string) string {
		for folder, prefix := range folders {
			if rest, within := strings.CutPrefix(file, folder+string(filepath.Separator)); within {
				return prefix + filepath.ToSlash(rest)
			}
		}
		return file
	}
	for _, path := range paths {
		rest, isGit := strings.CutPrefix(path, gitPrefix)
		if !isGit {
			local = append(local, path)
			continue
		}
		revision, inside, found := strings.Cut(rest, ":")
		if !found || revision == "" || inside == "" {
			remove()
			return nil, nil, nil, usageError{fmt.Errorf("%q is not of the form git:REV:PATH, as in git:main:deploy", path)}
		}
		folder, err := os.MkdirTemp("", "portcullis-git-")
		if err != nil {
			remove()
			return nil, nil, nil, fmt.Errorf("cannot make a folder for %s: %w", path, err)
		}
		folders[folder] = gitPrefix + revision + ":"
		if err := extract(ctx, folder, revision, inside); err != nil {
			remove()
			return nil, nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		local = append(local, filepath.Join(folder, filepath.FromSlash(inside)))
	}
	return local, name, remove, nil
}

// extract writes the regular files of a path in a revision into a folder, byte by byte as they are committed: git archive would leave
// out, rewrite or filter what the revision's own .gitattributes say.
func extract(ctx context.Context, folder, revision, inside string) error {
	if !filepath.IsLocal(inside) {
		return errors.New("name a path within the repository, relative to the working directory")
	}
	// The revision is made an object name first, so that nothing that it holds is taken for an option.
	commit, err := git(ctx, "", "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("there is no revision %q in this repository", revision)
	}
	if err != nil {
		return err
	}
	tree, err := git(ctx, "", "ls-tree", "-r", "-z", strings.TrimSpace(string(commit)), "--", path.Clean(filepath.ToSlash(inside)))
	if err != nil {
		return fmt.Errorf("cannot read it: %w", err)
	}
	if len(tree) == 0 {
		return errors.New("there is no file of this path in the revision")
	}
	var names []string
	var wanted strings.Builder
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(tree), "\x00"), "\x00") {
		about, name, _ := strings.Cut(entry, "\t")
		kind := strings.Fields(about) // mode, type, object
		switch {
		case len(kind) != 3 || kind[1] != "blob":
			continue // a submodule
		case kind[0] == "120000" && (manifest.InFolders(name) || path.Ext(name) == ""): // without an extension, it may lead to a folder
			return fmt.Errorf("%s is a symbolic link, which is not followed in a revision: check the revision out, and name the folder", name)
		case kind[0] == "120000":
			continue
		}
		names = append(names, name)
		wanted.WriteString(kind[2] + "\n")
	}
	content, err := git(ctx, wanted.String(), "cat-file", "--batch")
	if err != nil {
		return fmt.Errorf("cannot read it: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, name := range names {
		var file []byte
		if file, content, err = nextObject(content); err != nil {
			return fmt.Errorf("cannot read %s: %w", name, err)
		}
		if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(name)), 0o700); err != nil {
			return err
		}
		if err := root.WriteFile(filepath.FromSlash(name), file, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// nextObject splits the output of git cat-file --batch: "<oid> SP <type> SP <size> LF <contents> LF".
func nextObject(batch []byte) (object, rest []byte, err error) {
	header, rest, _ := bytes.Cut(batch, []byte("\n"))
	var oid, kind string
	var size int
	if _, err := fmt.Sscanf(string(header), "%s %s %d", &oid, &kind, &size); err != nil || size < 0 || size >= len(rest) {
		return nil, nil, fmt.Errorf("git says %q", header)
	}
	return rest[:size], rest[size+1:], nil
}

func git(ctx context.Context, in string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "git", args...)
	command.Stdin = strings.NewReader(in)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	text := strings.TrimPrefix(strings.TrimSpace(stderr.String()), "fatal: ")
	switch {
	case err != nil && strings.HasPrefix(text, "not a git repository"):
		return nil, errors.New("this folder is in no git repository: run it in the one that has the revision")
	case err != nil && text != "":
		return nil, errors.New(text)
	}
	return out, err
}
