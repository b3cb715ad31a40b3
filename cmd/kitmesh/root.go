package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `kitmesh starts a go-kit service mesh on this machine, shows what it does and hurts it.

A mesh is seven services with several instances each, Consul, a broker, Zipkin, a
payment provider, the edge (its front door) and a light load. Its state is in
.kitmesh/<name>/ of the current directory; KITMESH_HOME puts .kitmesh elsewhere.

Exit code: 0 it worked, 1 it failed, 2 the command line is wrong. That of chaos run is the
number of its verdict.`

func newRootCommand(commands []func() *cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:           "kitmesh",
		Short:         "Start, watch and hurt a go-kit service mesh",
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().String("name", "default", "name of the mesh")
	root.PersistentFlags().String("target", "local", "what runs the mesh: local (processes) or compose (containers)")
	for _, newCommand := range commands {
		root.AddCommand(newCommand())
	}
	return root
}

// usageError is a mistake in the command line; it exits with 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usageErrorf makes an error that exits with 2 instead of 1.
func usageErrorf(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

func isUsage(err error) bool {
	var usage usageError
	return errors.As(err, &usage)
}

// markStart wraps every command's RunE so that run can tell a command line
// cobra refused from a command that failed: cobra's own errors (unknown flag,
// wrong number of arguments, missing required flag) all come before RunE.
func markStart(root *cobra.Command) *bool {
	started := new(bool)
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if inner := cmd.RunE; inner != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if err := checkGlobals(cmd); err != nil {
					return err
				}
				*started = true
				return inner(cmd, args)
			}
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(root)
	return started
}

// checkGlobals checks the flags that several commands share.
func checkGlobals(cmd *cobra.Command) error {
	if target := meshTarget(cmd); target != "local" && target != "compose" {
		return usageErrorf("--target is local or compose, not %q", target)
	}
	if name := meshName(cmd); !validName(name) {
		return usageErrorf("--name is letters, digits, - and _, at most 40 of them, not %q", name)
	}
	if flag := cmd.Flags().Lookup("output"); flag != nil {
		if v := flag.Value.String(); v != "text" && v != "json" {
			return usageErrorf("--output is text or json, not %q", v)
		}
	}
	return nil
}

// validName keeps a mesh's name usable as a folder and in process lists.
func validName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return name != "" && len(name) <= 40 && name[0] != '-' && strings.Trim(name, letters) == ""
}

// meshName returns --name.
func meshName(cmd *cobra.Command) string { return stringFlag(cmd, "name") }

// meshTarget returns --target: "local" or "compose".
func meshTarget(cmd *cobra.Command) string { return stringFlag(cmd, "target") }

// addOutput adds -o to a command that answers; wantJSON reads it.
func addOutput(cmd *cobra.Command) {
	cmd.Flags().StringP("output", "o", "text", "how to answer: text or json")
}

func wantJSON(cmd *cobra.Command) bool { return stringFlag(cmd, "output") == "json" }

func stringFlag(cmd *cobra.Command, name string) string {
	flag := cmd.Flags().Lookup(name)
	if flag == nil {
		return ""
	}
	return flag.Value.String()
}

// oneLine folds an error into the single line the user gets.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
