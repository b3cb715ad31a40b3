package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/infra/runner"
	"github.com/kitmesh/kitmesh/services/inventory"
)

const auditLong = `Check that nothing was lost or done twice: every order against the journals of orders,
payments, stock and shipments, against the provider's own ledger, and against what
customers were told.

What customers were told is in the histories of kitmesh load. Without --history the audit
takes those that kitmesh load --history auto recorded of this mesh; without any it makes
the checks that need none and says which it skipped.

It waits until every order placed so far has ended, at most --patience. The mesh may go on
working: younger orders are left out. docs/audit.md explains each check.

Containers (--target compose) are asked at their own addresses, which only a Linux host
reaches.

Exit code: 0 nothing was violated, 1 something was, or the audit could not be made.`

const auditExample = `  kitmesh load --rate 200 --duration 1m --history auto
  kitmesh audit
  kitmesh audit --history run.jsonl -o json`

func newAuditCommand() *cobra.Command {
	var files []string
	var patience time.Duration
	cmd := &cobra.Command{
		Use: "audit", Short: "Prove that no order, no money and no stock was lost",
		Long: auditLong, Example: auditExample, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if patience <= 0 {
				return usageErrorf("--patience is a positive duration, not %s", patience)
			}
			return runAudit(cmd, files, patience)
		},
	}
	cmd.Flags().StringArrayVar(&files, "history", nil, "a `file` that kitmesh load --history wrote; may be repeated (default: those of this mesh)")
	cmd.Flags().DurationVar(&patience, "patience", audit.Patience, "how long to wait for orders that have not ended")
	addOutput(cmd)
	return cmd
}

func runAudit(cmd *cobra.Command, files []string, patience time.Duration) error {
	histories, err := readHistories(cmd, files)
	if err != nil {
		return err
	}
	fleet, err := openFleet(cmd)
	if err != nil {
		return err
	}
	state, err := fleet.State(cmd.Context())
	if err != nil {
		return err
	}
	out := newNarrator(cmd.ErrOrStderr())
	evidence, err := collect(cmd.Context(), state, audit.Sources{Histories: histories, Patience: patience, Waiting: out.Progress})
	out.Done()
	if err != nil {
		return err
	}
	report := audit.Run(evidence)
	if wantJSON(cmd) {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = report.WriteText(cmd.OutOrStdout())
	}
	if err == nil && !report.Held() {
		err = fmt.Errorf("the audit found %d violations", report.Violations)
	}
	return err
}

// collect reads the evidence of a running mesh.
func collect(ctx context.Context, state runner.State, s audit.Sources) (audit.Evidence, error) {
	if state.Broker == "" || state.Provider == "" {
		return audit.Evidence{}, errors.New("the mesh's broker or provider does not run: start them, an audit reads both")
	}
	var err error
	if s.Broker, err = broker.Connect(ctx, state.Broker, broker.Options{Name: "audit"}); err != nil {
		return audit.Evidence{}, err
	}
	defer s.Broker.Close()
	if s.Provider, err = provider.NewClient(state.Provider, provider.ClientOptions{}); err != nil {
		return audit.Evidence{}, err
	}
	defer s.Provider.Close()
	if s.Start, err = inventory.InitialStock(); err != nil {
		return audit.Evidence{}, err
	}
	return audit.Collect(ctx, s)
}

// readHistories reads the named files, or else all that were recorded of the
// mesh.
func readHistories(cmd *cobra.Command, files []string) ([]load.History, error) {
	if len(files) == 0 {
		dir, err := historyDir(cmd)
		if err != nil {
			return nil, err
		}
		if files, err = filepath.Glob(filepath.Join(dir, "*.jsonl")); err != nil {
			return nil, err
		}
	}
	var histories []load.History
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return nil, usageErrorf("--history: %w", err)
		}
		h, err := load.ReadHistory(file)
		_ = file.Close() // was only read
		if err != nil {
			return nil, fmt.Errorf("%s is not a history: %w", name, err)
		}
		histories = append(histories, h)
	}
	return histories, nil
}

// historyDir is where load --history auto writes and audit looks.
func historyDir(cmd *cobra.Command) (string, error) {
	if meshTarget(cmd) == "compose" {
		return runner.HistoryDir("compose")
	}
	return runner.HistoryDir(meshName(cmd))
}
