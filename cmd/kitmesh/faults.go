package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newFaultsCommand is what slow and fail run inside a container: the admin
// port of an instance cannot be reached from every kind of host.
func newFaultsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "faults URL JSON",
		Short:   "Set the injected faults of the instance at an admin URL (runs inside a container)",
		Example: `  kitmesh faults http://127.0.0.1:7001/faults '{"latency":"200ms"}'`,
		Args:    cobra.ExactArgs(2),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			return setFaults(ctx, args[0], args[1])
		},
	}
}

// setFaults replaces the faults of an instance; {} clears them.
func setFaults(ctx context.Context, address, body string) error {
	method := http.MethodPost
	if body == "{}" {
		method = http.MethodDelete
	}
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return usageErrorf("%q is not a URL: %w", address, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("%s answers %s: %s", address, resp.Status, strings.TrimSpace(string(answer)))
	}
	return nil
}
