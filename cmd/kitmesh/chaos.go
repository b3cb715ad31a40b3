package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/chaos"
	"github.com/kitmesh/kitmesh/infra/chaos/action"
	"github.com/kitmesh/kitmesh/infra/runner"
)

const chaosLong = `Experiments: a hypothesis about what customers see, actions that hurt the mesh, load and
an audit around them, and a verdict. docs/experiments.md explains each and the format.`

func newChaosCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "chaos", Short: "Run experiments that end in a verdict", Long: chaosLong,
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newChaosListCommand(), newChaosRunCommand(), newChaosHealCommand(), newChaosStopCommand())
	return cmd
}

// listed is one line of kitmesh chaos list.
type listed struct {
	Name        string  `json:"name"`
	Title       string  `json:"title"`
	Description string  `json:"description,omitempty"`
	Lasts       float64 `json:"lasts_s"`
	Up          string  `json:"up"` // the flags of the mesh it is for
}

func newChaosListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the experiments", Args: cobra.NoArgs,
		Long: `List the experiments of ./experiments, or of the folder beside kitmesh's bin.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := experimentsDir()
			if err != nil {
				return err
			}
			experiments, wrong := chaos.List(dir)
			list := make([]listed, len(experiments))
			for i, e := range experiments {
				list[i] = listed{e.Name, e.Title, strings.TrimSpace(e.Description), e.Load.Lasts().Seconds(), strings.Join(e.UpArgs(), " ")}
			}
			if err := printList(cmd, list); err != nil {
				return err
			}
			return mistakes(cmd, wrong)
		},
	}
	addOutput(cmd)
	return cmd
}

func printList(cmd *cobra.Command, list []listed) error {
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), list)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, l := range list {
		fmt.Fprintf(t, "%s\t%.0f s\t%s\n", l.Name, l.Lasts, l.Title)
	}
	return t.Flush()
}

// experimentsDir is the folder of experiments here, or the one of the checkout
// that kitmesh was built in.
func experimentsDir() (string, error) {
	dirs := []string{"experiments"}
	if exe, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Join(filepath.Dir(filepath.Dir(exe)), "experiments"))
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir, nil
		}
	}
	return "", fmt.Errorf("there is no folder %s: give the file of an experiment", strings.Join(dirs, " or "))
}

// findExperiments reads what the arguments name: files, names of experiments, or
// all of them.
func findExperiments(cmd *cobra.Command, args []string) ([]chaos.Experiment, error) {
	var found []chaos.Experiment
	for _, arg := range args {
		if arg == "all" {
			dir, err := experimentsDir()
			if err != nil {
				return nil, usageError{err}
			}
			all, err := chaos.List(dir)
			if err != nil {
				return nil, mistakes(cmd, err)
			}
			found = append(found, all...)
			continue
		}
		e, err := chaos.ReadFile(experimentFile(arg))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usageErrorf("there is no experiment %q; kitmesh chaos list names them", arg)
		}
		if err != nil {
			return nil, mistakes(cmd, err)
		}
		found = append(found, e)
	}
	return found, nil
}

// experimentFile is the file that a name or a path means.
func experimentFile(arg string) string {
	if dir, err := experimentsDir(); err == nil && !strings.ContainsAny(arg, "/.") {
		return filepath.Join(dir, arg+".yaml")
	}
	return arg
}

// mistakes prints what is wrong with files, a line each, and returns a usage
// error that counts them; nil if nothing is wrong.
func mistakes(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	problems, ok := errors.AsType[chaos.Problems](err)
	if !ok {
		return usageError{err}
	}
	fmt.Fprintln(cmd.ErrOrStderr(), err)
	return usageErrorf("%d mistakes in %s", len(problems), problems[0].File)
}

// chaosDir is where experiments on the mesh keep their lock and undo log.
func chaosDir(cmd *cobra.Command) (string, error) {
	if meshTarget(cmd) == "compose" {
		return runner.ChaosDir("compose")
	}
	return runner.ChaosDir(meshName(cmd))
}

func newChaosHealCommand() *cobra.Command {
	return &cobra.Command{
		Use: "heal", Short: "Undo what an experiment left behind", Args: cobra.NoArgs,
		Long: `Undo what an experiment did to the mesh and could not undo itself, as after kill -9 of
kitmesh. It reads the undo log, which is written before anything is done. Where nothing
is to be undone it does nothing. An experiment that still runs is ended with
kitmesh chaos stop.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := chaosDir(cmd)
			if err != nil {
				return err
			}
			fleet, err := openFleet(cmd)
			if err != nil {
				return err
			}
			did, err := action.Heal(cmd.Context(), fleet, dir)
			for _, text := range did {
				fmt.Fprintln(cmd.OutOrStdout(), text)
			}
			if err == nil && len(did) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing was to be undone")
			}
			return err
		},
	}
}

// stopPatience is for healing, and for requests under way.
const stopPatience = time.Minute

func newChaosStopCommand() *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "End the experiment that runs on the mesh", Args: cobra.NoArgs,
		Long: `End the experiment that another kitmesh runs on this mesh, as Ctrl-C there would: what it
did is undone, and its verdict is aborted.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := chaosDir(cmd)
			if err != nil {
				return err
			}
			pid := action.Holder(dir)
			if pid == 0 {
				return fmt.Errorf("no experiment runs on mesh %s", cmp.Or(meshName(cmd), meshTarget(cmd)))
			}
			// The holder of the lock lives, so the pid is its.
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
				return fmt.Errorf("end the experiment (pid %d): %w", pid, err)
			}
			for deadline := time.Now().Add(stopPatience); action.Holder(dir) == pid; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(deadline) || cmd.Context().Err() != nil {
					return fmt.Errorf("the experiment (pid %d) has been told, and has not ended yet", pid)
				}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "the experiment was ended, and what it did is undone")
			return nil
		},
	}
}
