package main

import (
	"cmp"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/telemetry"
)

// logging is how a part that runs in the foreground logs.
type logging struct{ level, format string }

// addLogging adds --log-level and --log-format. Where they are not given, the
// environment has the say: KITMESH_LOG_LEVEL and KITMESH_LOG_FORMAT.
func addLogging(cmd *cobra.Command) *logging {
	l := &logging{}
	cmd.Flags().StringVar(&l.level, "log-level", cmp.Or(os.Getenv("KITMESH_LOG_LEVEL"), "info"), "debug, info, warn or error; also KITMESH_LOG_LEVEL")
	cmd.Flags().StringVar(&l.format, "log-format", cmp.Or(os.Getenv("KITMESH_LOG_FORMAT"), "logfmt"), "logfmt or json; also KITMESH_LOG_FORMAT")
	return l
}

// logger returns the command's logger, which writes to stderr.
func (l *logging) logger(cmd *cobra.Command) (*slog.Logger, error) {
	log, err := telemetry.NewLogger(cmd.ErrOrStderr(), l.level, l.format)
	if err != nil {
		return nil, usageError{err}
	}
	return log, nil
}
