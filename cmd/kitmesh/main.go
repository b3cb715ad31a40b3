// Command kitmesh is the operator's tool: it starts, watches and hurts a mesh.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// commands lists every subcommand, in the order of the help text. Each lives
// in the file of its name.
var commands = []func() *cobra.Command{
	newUpCommand,
	newDownCommand,
	newStatusCommand,
	newLogsCommand,
	newOpenCommand,
	newTraceCommand,
	newKillCommand,
	newPauseCommand,
	newResumeCommand,
	newRestartCommand,
	newSlowCommand,
	newFailCommand,
	newScaleCommand,
	newBrokerCommand,
	newProviderCommand,
	newZipkinCommand,
	newEdgeCommand,
	newProxyCommand,
	newLoadCommand,
	newAuditCommand,
	newChaosCommand,
	newHealthCommand,
	newFaultsCommand,
	newBurnCommand,
	newSuperviseCommand,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code: 0 it worked,
// 1 it failed, 2 the command line is wrong; of chaos run, the number of the
// verdict. A failure is one line on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand(commands)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := markStart(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	fmt.Fprintln(stderr, "kitmesh:", oneLine(err))
	if !*started || isUsage(err) {
		return 2
	}
	if v, ok := errors.AsType[verdictError](err); ok {
		return int(v.verdict)
	}
	return 1
}
