package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client asks a Proxy, or a Toxiproxy, by its API.
type Client struct {
	URL string // "http://127.0.0.1:8474"
}

const askPatience = 5 * time.Second

// ErrNotFound says that there is no line or toxic of that name.
var ErrNotFound = errors.New("not found")

// Lines returns every line by name.
func (c Client) Lines(ctx context.Context) (map[string]Config, error) {
	var lines map[string]Config
	return lines, c.ask(ctx, http.MethodGet, "/proxies", nil, &lines)
}

// Populate makes the lines that are not there and aims those that are.
func (c Client) Populate(ctx context.Context, lines []Config) error {
	return c.ask(ctx, http.MethodPost, "/populate", lines, nil)
}

// Add puts a toxic on a line.
func (c Client) Add(ctx context.Context, line string, t Toxic) error {
	return c.ask(ctx, http.MethodPost, "/proxies/"+url.PathEscape(line)+"/toxics", t, nil)
}

// Remove takes a toxic off a line; ErrNotFound if it is not on it.
func (c Client) Remove(ctx context.Context, line, toxic string) error {
	return c.ask(ctx, http.MethodDelete, "/proxies/"+url.PathEscape(line)+"/toxics/"+url.PathEscape(toxic), nil, nil)
}

func (c Client) ask(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var send io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.URL, "/")+path, send)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	switch {
	case err != nil:
		return fmt.Errorf("ask the proxy: %w", err)
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: %w", path, ErrNotFound)
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("the proxy refuses %s: %s", path, strings.TrimSpace(string(text)))
	case answer != nil:
		return json.Unmarshal(text, answer)
	}
	return nil
}
