package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// viewTime bounds how long an instance may take to tell its view.
const viewTime = 2 * time.Second

// view is how one instance sees those it calls.
type view struct {
	Caller  string          `json:"caller"`
	Targets []target.Report `json:"targets"`
	Trouble string          `json:"trouble,omitempty"` // why it did not say
}

// askViews asks all instances at once, in their order.
func askViews(ctx context.Context, instances []runner.Instance) []view {
	ctx, cancel := context.WithTimeout(ctx, viewTime)
	defer cancel()
	views := make([]view, len(instances))
	var wg sync.WaitGroup
	for i, in := range instances {
		wg.Go(func() {
			views[i] = view{Caller: in.ID}
			if err := askView(ctx, in.Admin, &views[i]); err != nil {
				views[i].Trouble = oneLine(err)
			}
		})
	}
	wg.Wait()
	return views
}

func askView(ctx context.Context, admin string, v *view) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(admin, "/")+"/mesh", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", req.URL, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// writeViews writes a line per caller and called service.
func writeViews(w io.Writer, views []view) error {
	usual := usualSettings(views)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "\nCALLER\tCALLS\tPOLICY\tZONE\tINSTANCES\tOUT\tRETRIES\tUNUSUAL SETTINGS")
	for _, v := range views {
		if v.Trouble != "" {
			fmt.Fprintf(t, "%s\t- %s\t\t\t\t\t\t\n", v.Caller, v.Trouble)
		}
		for _, r := range v.Targets {
			settings := flatten("", r.Settings)
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d of %d\t%s\t%d\t%s\n", v.Caller, r.Service,
				settings["balance.policy"], cmp.Or(settings["balance.zone"], "-"), len(r.Members), r.Known,
				cmp.Or(outOf(r.Members), "-"), r.Retries, cmp.Or(unusual(settings, usual), "-"))
		}
	}
	return t.Flush()
}

// outOf names the members that are out of rotation.
func outOf(members []target.MemberReport) string {
	var out []string
	for _, m := range members {
		switch {
		case m.Ejected != "":
			out = append(out, m.ID+" ("+m.Ejected+")")
		case m.Suspect:
			out = append(out, m.ID+" (silent)")
		}
	}
	return strings.Join(out, ", ")
}

// own are the settings with a column, or that differ by nature.
var own = []string{"service", "balance.policy", "balance.zone", "balance.caller"}

// usualSettings finds the value that most callers have of each setting.
func usualSettings(views []view) map[string]string {
	votes := map[string]map[string]int{}
	for _, v := range views {
		for _, r := range v.Targets {
			for name, value := range flatten("", r.Settings) {
				if votes[name] == nil {
					votes[name] = map[string]int{}
				}
				votes[name][value]++
			}
		}
	}
	usual := map[string]string{}
	for name, values := range votes {
		for value, n := range values {
			if best, ok := usual[name]; !ok || n > values[best] || n == values[best] && value < best {
				usual[name] = value
			}
		}
	}
	return usual
}

// unusual lists what differs from usual.
func unusual(settings, usual map[string]string) string {
	var out []string
	for name, value := range settings {
		if value != usual[name] && !slices.Contains(own, name) {
			out = append(out, name+"="+value)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// flatten turns settings within settings into names like retry.max.
func flatten(prefix string, settings map[string]any) map[string]string {
	out := map[string]string{}
	for name, value := range settings {
		if inner, ok := value.(map[string]any); ok {
			maps.Copy(out, flatten(prefix+name+".", inner))
			continue
		}
		out[prefix+name] = fmt.Sprint(value)
	}
	return out
}
