package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthSentence bounds how much of an answer is shown.
const healthSentence = 300

// newHealthCommand asks one health URL. Container images have neither a shell
// nor curl, so their health check is this command.
func newHealthCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health URL",
		Short: "Ask a health URL; exit 0 when it answers 2xx, else 1",
		Example: `  kitmesh health http://127.0.0.1:7001/readyz
  kitmesh health http://127.0.0.1:8080/v1/products?page_size=1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			u, err := url.Parse(args[0])
			if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
				return usageErrorf("%q is not an http URL such as http://127.0.0.1:7001/readyz", args[0])
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			sentence, err := askHealth(ctx, u.String())
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), sentence)
			return nil
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait for the answer")
	return cmd
}

// askHealth returns what the URL answered, or an error unless it was a 2xx.
func askHealth(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, healthSentence))
	if err != nil {
		return "", fmt.Errorf("read the answer of %s: %w", address, err)
	}
	sentence := strings.TrimSpace(string(body))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", fmt.Errorf("%s answers %s: %s", address, resp.Status, sentence)
	}
	return sentence, nil
}
