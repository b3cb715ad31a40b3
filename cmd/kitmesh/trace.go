package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kitmesh/kitmesh/infra/runner"
	"github.com/kitmesh/kitmesh/infra/zipkin/traceview"
)

// composeZipkin is where docker compose publishes Zipkin.
const composeZipkin = "http://127.0.0.1:9411"

// traceWait is how long a trace that was asked for by id may take to arrive in
// full: spans are reported about a second after the answer they belong to.
const traceWait = 3 * time.Second

// newTraceCommand shows one trace in the terminal.
func newTraceCommand() *cobra.Command {
	var q traceview.Query
	var zipkin string
	cmd := &cobra.Command{
		Use:   "trace [ID]",
		Short: "Show a trace as a tree",
		Long: `Show the newest trace, or the one with that id (an answer's X-Trace-Id), as a tree of
calls: service and method, how long and when, instance, try, breaker and error.

It asks the Zipkin of the mesh, or the one at --zipkin. Colours are left out when the
output is no terminal or NO_COLOR is set. With -o json it prints Zipkin's own spans.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkTrace(args, q, zipkin); err != nil {
				return err
			}
			url, err := zipkinURL(cmd, zipkin)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
			defer cancel()
			raw, spans, err := fetchTrace(ctx, url, args, q)
			if err != nil {
				return err
			}
			if wantJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), raw)
			}
			link := url + "/zipkin/traces/" + spans[0].TraceID
			return traceview.Write(cmd.OutOrStdout(), spans, link, traceStyle(cmd.OutOrStdout()))
		},
	}
	f := cmd.Flags()
	f.BoolVar(&q.Slowest, "slowest", false, "the slowest of the last traces instead of the newest")
	f.BoolVar(&q.Failed, "failed", false, "only traces with an error")
	f.StringVar(&q.Service, "service", "", "only traces that passed through this service")
	f.DurationVar(&q.Lookback, "lookback", time.Hour, "how far back to look")
	f.StringVar(&zipkin, "zipkin", "", "URL of the Zipkin to ask; empty is the mesh's own")
	addOutput(cmd)
	return cmd
}

var traceIDPattern = regexp.MustCompile(`^[0-9a-fA-F]{1,32}$`)

func checkTrace(args []string, q traceview.Query, zipkin string) error {
	switch {
	case len(args) == 1 && !traceIDPattern.MatchString(args[0]):
		return usageErrorf("a trace id is 1 to 32 hexadecimal digits, not %q", args[0])
	case len(args) == 1 && (q.Slowest || q.Failed || q.Service != ""):
		return usageErrorf("--slowest, --failed and --service choose a trace; an ID names one: give one or the other")
	case q.Lookback < time.Millisecond:
		return usageErrorf("--lookback is a positive duration, not %s", q.Lookback)
	case zipkin != "" && !runner.IsURL(zipkin):
		return usageErrorf("--zipkin is a URL, not %q", zipkin)
	}
	return nil
}

// zipkinURL finds the Zipkin to ask.
func zipkinURL(cmd *cobra.Command, given string) (string, error) {
	if given != "" {
		return strings.TrimRight(given, "/"), nil
	}
	fleet, err := openFleet(cmd)
	var state runner.State
	if err == nil {
		state, err = fleet.State(cmd.Context())
	}
	switch {
	case err == nil && state.Zipkin != "":
		return strings.TrimRight(state.Zipkin, "/"), nil
	case meshTarget(cmd) == "compose": // traces need no engine to ask
		return composeZipkin, nil
	case err != nil:
		return "", err
	}
	return "", errors.New("this mesh has no Zipkin; name one with --zipkin URL")
}

// fetchTrace asks for a trace, and waits a little for one that was named.
func fetchTrace(ctx context.Context, url string, args []string, q traceview.Query) (json.RawMessage, []traceview.Span, error) {
	if len(args) == 0 {
		raw, spans, err := traceview.Find(ctx, url, q)
		if errors.Is(err, traceview.ErrNotFound) {
			err = fmt.Errorf("no trace matches at %s in the last %s; look further back with --lookback", url, q.Lookback)
		}
		return raw, spans, err
	}
	id := strings.ToLower(args[0])
	until := time.Now().Add(traceWait)
	for {
		raw, spans, err := traceview.Get(ctx, url, id)
		missing := errors.Is(err, traceview.ErrNotFound)
		if !missing && (err != nil || traceview.Summarise(spans).Settled(time.Now())) {
			return raw, spans, err
		}
		switch late := time.Now().After(until); {
		case late && !missing:
			return raw, spans, nil // what there is of it
		case late:
			return nil, nil, fmt.Errorf("no trace %s at %s: it was not sampled, or had to make room for newer ones", id, url)
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// traceStyle is colourful on a terminal whose user has not said otherwise.
func traceStyle(w io.Writer) traceview.Style {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return traceview.Style{}
	}
	style := traceview.Style{Colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		style.Width = width
	}
	return style
}
