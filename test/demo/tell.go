package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// chapter is a part of the story: what is shown, and the steps that show it.
type chapter struct {
	title string
	steps []step
}

// step does one thing, and fails if it does not turn out as told.
type step func(context.Context, *stage) error

// tell goes through the story until a step fails.
func (s *stage) tell(ctx context.Context, story []chapter) error {
	for i, c := range story {
		s.say("\n%d. %s", i+1, c.title)
		for _, do := range c.steps {
			if err := do(ctx, s); err != nil {
				return fmt.Errorf("step %d (%s): %w", i+1, c.title, err)
			}
		}
	}
	return nil
}

// kubectl runs a command that is to succeed, with what is given in its output.
func kubectl(command string, wanted ...string) step { return run("kubectl", command, 0, wanted) }

// refused runs a command that the API server is to refuse, with what is given in its output.
func refused(command string, wanted ...string) step { return run("kubectl", command, 1, wanted) }

// portcullis runs a command of the binary that is to end with the exit code, with what is given in its output.
func portcullis(command string, code int, wanted ...string) step {
	return run("bin/portcullis", command, code, wanted)
}

func run(program, command string, code int, wanted []string) step {
	return func(ctx context.Context, s *stage) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		fmt.Println("\n" + s.paint("36", "$ "+program+" "+command))
		var output bytes.Buffer
		child := s.cluster.Kubectl(ctx, strings.Fields(command)...)
		if program != "kubectl" {
			child = exec.CommandContext(ctx, s.binary, strings.Fields(command)...)
			child.Env = append(os.Environ(), "KUBECONFIG="+s.cluster.Admin.Kubeconfig)
		}
		child.Stdout, child.Stderr = &output, &output
		err := child.Run()
		fmt.Print(output.String())
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			return err
		}
		if got := child.ProcessState.ExitCode(); got != code {
			return fmt.Errorf("%s %s: the exit code is %d, and should be %d", program, command, got, code)
		}
		return missing(output.String(), wanted)
	}
}

func missing(output string, wanted []string) error {
	for _, want := range wanted {
		if !strings.Contains(output, want) {
			return fmt.Errorf("the output lacks %q", want)
		}
	}
	return nil
}

// serviceAccount waits for what the controller manager makes in a new namespace, without which no pod is admitted there.
func serviceAccount(namespace string) step {
	return func(ctx context.Context, s *stage) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
			_, err := s.cluster.Client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return err == nil, err
		})
	}
}

// switchMode changes the configuration's file, and waits until it is in force.
func switchMode(mode string) step {
	return func(ctx context.Context, s *stage) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		before, err := s.guard.Metrics(ctx)
		if err != nil {
			return err
		}
		fmt.Println("\n" + s.paint("36", fmt.Sprintf("$ echo 'mode: %s' > %s", mode, s.config)))
		if err := s.configure(mode); err != nil {
			return err
		}
		const reloads = `portcullis_config_reloads_total{result="success"}`
		return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
			now, err := s.guard.Metrics(ctx)
			return err == nil && now.Sum(reloads) > before.Sum(reloads), err
		})
	}
}

// scrape prints the metrics of some names, with what is given among them.
func scrape(names string, wanted ...string) step {
	return func(ctx context.Context, s *stage) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		fmt.Println("\n" + s.paint("36", fmt.Sprintf("$ curl -s http://%s/metrics | grep -E '^(%s)'", s.guard.Addresses.Metrics, names)))
		text, err := s.guard.Metrics(ctx)
		if err != nil {
			return err
		}
		var shown strings.Builder
		for line := range strings.Lines(string(text)) {
			for name := range strings.SplitSeq(names, "|") {
				if strings.HasPrefix(line, name) {
					shown.WriteString(line)
				}
			}
		}
		fmt.Print(shown.String())
		return missing(shown.String(), wanted)
	}
}
