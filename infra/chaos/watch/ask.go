package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// pageLimit bounds what is read of one caller: 1,000 members take 200 KiB.
const pageLimit = 4 << 20

// view is the part of a /mesh page, see target.Report, that is counted here.
type view struct {
	Targets []struct {
		Service string
		Calls   uint64
		Retries uint64
		Members []struct {
			ID, Addr, Breaker, Ejected string
			Picks                      uint64
			Suspect                    bool
			OutMillis                  int64 `json:"out_for_ms"`
		}
	}
}

// ask reads the page of one caller.
func ask(ctx context.Context, client *http.Client, admin string) (*view, error) {
	if admin == "" {
		return nil, errors.New("it has no address now")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(admin, "/")+"/mesh?brief", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", req.URL, resp.Status)
	}
	var v view
	if err := json.NewDecoder(io.LimitReader(resp.Body, pageLimit)).Decode(&v); err != nil {
		return nil, fmt.Errorf("%s: %w", req.URL, err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)) // the end of line, so that the connection is kept
	return &v, nil
}
