package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Health returns what Consul thinks of every instance registered with it, by
// instance id: "passing", "warning" or "critical", the worst of its checks.
func Health(ctx context.Context, consul string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, consul+"/v1/health/state/any", nil)
	if err != nil {
		return nil, fmt.Errorf("ask Consul for health: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask Consul for health: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask Consul for health: it answered %s", resp.Status)
	}
	var checks []struct{ ServiceID, Status string }
	if err := json.NewDecoder(resp.Body).Decode(&checks); err != nil {
		return nil, fmt.Errorf("read Consul's health: %w", err)
	}
	badness := map[string]int{"passing": 1, "warning": 2, "critical": 3}
	health := map[string]string{}
	for _, c := range checks {
		if c.ServiceID != "" && badness[c.Status] > badness[health[c.ServiceID]] {
			health[c.ServiceID] = c.Status
		}
	}
	return health, nil
}
