package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// extract writes the regular files of a path in a revision into a folder.
func extract(ctx context.Context, folder, revision, path string) error {
	if !filepath.IsLocal(path) {
		return errors.New("name a path within the repository, relative to the working directory")
	}
	// The revision is made an object name first, so that nothing that it holds is taken for an option.
	commit, err := git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("there is no revision %q in this repository", revision)
	}
	if err != nil {
		return err
	}
	archive, err := git(ctx, "archive", "--format=tar", strings.TrimSpace(string(commit)), "--", filepath.ToSlash(path))
	if err != nil {
		return fmt.Errorf("cannot read it: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for files := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := files.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("cannot read what git has archived: %w", err)
		case header.Typeflag != tar.TypeReg:
			continue
		}
		if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(header.Name)), 0o700); err != nil {
			return err
		}
		content, err := io.ReadAll(files)
		if err != nil {
			return fmt.Errorf("cannot read what git has archived: %w", err)
		}
		if err := root.WriteFile(filepath.FromSlash(header.Name), content, 0o600); err != nil {
			return err
		}
	}
}

func git(ctx context.Context, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "git", args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" {
		return nil, errors.New(text)
	}
	return out, err
}
