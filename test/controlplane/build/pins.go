package main

import (
	"debug/buildinfo"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

const kubernetes = "k8s.io/kubernetes"

// program is one of the binaries to build.
type program struct {
	name    string // of the file
	pkg     string // import path of its main package
	module  string // the module that the package belongs to
	version string // of that module
	dir     string // with the go.mod that pins it
}

// pinned reads the programs and their versions from a go.mod. It fails if the
// staging modules of Kubernetes are not replaced by the versions that belong to
// the Kubernetes version: k8s.io/kubernetes requires them as v0.0.0.
func pinned(gomod []byte) ([]program, error) {
	f, err := modfile.Parse("go.mod", gomod, nil)
	if err != nil {
		return nil, err
	}
	var programs []program
	for _, tool := range f.Tool {
		p := program{pkg: tool.Path, name: programName(tool.Path)}
		for _, r := range f.Require {
			if strings.HasPrefix(tool.Path+"/", r.Mod.Path+"/") && len(r.Mod.Path) > len(p.module) {
				p.module, p.version = r.Mod.Path, r.Mod.Version
			}
		}
		if p.module == "" {
			return nil, fmt.Errorf("go.mod names the tool %s, but requires no module that holds it: run go get -tool %s@VERSION", tool.Path, tool.Path)
		}
		if p.module == kubernetes {
			if err := checkStaging(f, p.version); err != nil {
				return nil, err
			}
		}
		programs = append(programs, p)
	}
	return programs, nil
}

func checkStaging(f *modfile.File, version string) error {
	staging := "v0" + strings.TrimPrefix(version, semver.Major(version))
	for _, r := range f.Replace {
		if r.New.Version != staging {
			return fmt.Errorf("go.mod replaces %s by %s, but %s %s needs %s: change all replace lines together", r.Old.Path, r.New.Version, kubernetes, version, staging)
		}
	}
	return nil
}

// programName is the name of the file: the last element of the import path, and
// for a main package at the root of a module the name of the project, so that
// go.etcd.io/etcd/server/v3 is etcd.
func programName(pkg string) string {
	if strings.Contains(pkg, "/cmd/") {
		return pkg[strings.LastIndex(pkg, "/")+1:]
	}
	prefix, _, _ := module.SplitPathVersion(pkg)
	return strings.Split(prefix, "/")[1]
}

// ldflags tells the Kubernetes programs their version, which they report to
// clients and which kubectl compares; stripped, as nobody debugs them.
func (p program) ldflags() string {
	flags := []string{"-s", "-w"}
	if p.module == kubernetes {
		majorMinor := strings.TrimPrefix(semver.MajorMinor(p.version), "v")
		major, minor, _ := strings.Cut(majorMinor, ".")
		for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
			flags = append(flags,
				"-X "+pkg+".gitVersion="+p.version,
				"-X "+pkg+".gitMajor="+major,
				"-X "+pkg+".gitMinor="+minor)
		}
	}
	return strings.Join(flags, " ")
}

// missing are the programs that are not in dir in the pinned version, built for
// this platform.
func missing(dir string, programs []program) []program {
	var out []program
	for _, p := range programs {
		if !current(filepath.Join(dir, p.name), p) {
			out = append(out, p)
		}
	}
	return out
}

// current says whether file is the program p, by the build information that the
// linker put into it.
func current(file string, p program) bool {
	info, err := buildinfo.ReadFile(file)
	if err != nil || info.Path != p.pkg || info.Main.Path != p.module || info.Main.Version != p.version {
		return false
	}
	platform := map[string]string{"GOOS": runtime.GOOS, "GOARCH": runtime.GOARCH}
	for _, s := range info.Settings {
		if want, ok := platform[s.Key]; ok && s.Value != want {
			return false
		}
	}
	return true
}
