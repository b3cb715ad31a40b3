package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func newKillCommand() *cobra.Command {
	var signal string
	var downFor time.Duration
	cmd := &cobra.Command{
		Use:   "kill SERVICE[/N]|PART",
		Short: "Kill an instance or a part; it comes back",
		Long: `Send a signal, SIGKILL unless told otherwise, to an instance or a part. What dies is
started again: after about 250 ms, or after --down-for.

` + targetHelp,
		Example: "  kitmesh kill catalog\n  kitmesh kill orders/2 --signal TERM\n  kitmesh kill consul --down-for 30s",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sig, err := parseSignal(signal)
			if err != nil {
				return err
			}
			if downFor < 0 {
				return usageErrorf("--down-for is not negative")
			}
			return onTarget(cmd, args[0], nil, func(fleet runner.Fleet, name string) (string, error) {
				return kill(cmd, fleet, name, sig, downFor)
			})
		},
	}
	cmd.Flags().StringVar(&signal, "signal", "KILL", "the signal: KILL, TERM, INT, ...")
	cmd.Flags().DurationVar(&downFor, "down-for", 0, "keep it down that long, as 30s; 0 is as short as possible")
	return cmd
}

func kill(cmd *cobra.Command, fleet runner.Fleet, name string, sig syscall.Signal, downFor time.Duration) (string, error) {
	if downFor == 0 {
		return fmt.Sprintf("sent %s to %s", unix.SignalName(sig), name), fleet.Signal(cmd.Context(), name, sig)
	}
	holder, ok := fleet.(runner.Holder)
	if !ok {
		return "", usageErrorf("--down-for does not work with --target %s", meshTarget(cmd))
	}
	return fmt.Sprintf("sent %s to %s; it stays down for %s", unix.SignalName(sig), name, downFor),
		holder.Hold(cmd.Context(), name, sig, downFor)
}

// parseSignal takes KILL, SIGKILL and kill.
func parseSignal(name string) (syscall.Signal, error) {
	full := "SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")
	sig := unix.SignalNum(full)
	if sig == 0 {
		return 0, usageErrorf("--signal: %q is no signal; try KILL, TERM, INT, STOP or CONT", name)
	}
	return sig, nil
}
