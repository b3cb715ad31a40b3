package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Faults sets or clears the injected faults of one instance.
func (l *Local) Faults(ctx context.Context, name string, f Faults) error {
	admin, err := l.admin(name)
	if err != nil {
		return err
	}
	return PostFaults(ctx, admin, f)
}

// FaultsOf tells the injected faults of one instance.
func (l *Local) FaultsOf(ctx context.Context, name string) (Faults, error) {
	admin, err := l.admin(name)
	if err != nil {
		return Faults{}, err
	}
	return GetFaults(ctx, admin)
}

func (l *Local) admin(name string) (string, error) {
	r, err := l.load()
	if err != nil {
		return "", err
	}
	for _, i := range r.Instances {
		if i.ID == name {
			return i.Admin, nil
		}
	}
	return "", fmt.Errorf("%s is not an instance; faults are injected into instances only", name)
}

// PostFaults sets, or with the zero value clears, the injected faults of the
// instance whose admin URL is given.
func PostFaults(ctx context.Context, admin string, f Faults) error {
	method := http.MethodPost
	if f == (Faults{}) {
		method = http.MethodDelete
	}
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = askFaults(ctx, method, admin, body)
	return err
}

// GetFaults returns the injected faults of the instance whose admin URL is given.
func GetFaults(ctx context.Context, admin string) (f Faults, err error) {
	text, err := askFaults(ctx, http.MethodGet, admin, nil)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return f, fmt.Errorf("read the faults: %w", err)
	}
	return f, nil
}

func askFaults(ctx context.Context, method, admin string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(admin, "/")+"/faults", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("inject faults: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("inject faults: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return nil, fmt.Errorf("inject faults: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("inject faults: the instance answered %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return text, nil
}
