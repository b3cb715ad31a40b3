package action

import (
	"testing"
	"time"
)

func TestCheckNamesTheField(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string // the field; "" is fine
	}{
		{Spec{Action: "kill", Target: "v", Signal: "KILL", Every: time.Second}, ""},
		{Spec{Action: "kill", Target: "v", Signal: "sigterm"}, ""},
		{Spec{Action: "smash"}, "action"},
		{Spec{Action: "kill"}, "target"},
		{Spec{Action: "kill", Target: "v", Signal: "BANG"}, "signal"},
		{Spec{Action: "kill", Target: "v", Every: -1}, "every"},
		{Spec{Action: "kill", Target: "v", Latency: time.Second}, "latency"},
		{Spec{Action: "slow", Target: "v"}, "latency"},
		{Spec{Action: "slow", Target: "v", Latency: time.Hour}, "latency"},
		{Spec{Action: "fail", Target: "v", Rate: 1.5}, "rate"},
		{Spec{Action: "fail", Target: "v", Rate: 0.5, Code: "tired"}, "code"},
		{Spec{Action: "fail", Target: "v", Rate: 0.5, Code: "internal", For: time.Second}, ""},
	} {
		problems := c.spec.Check()
		if c.want == "" && len(problems) > 0 || c.want != "" && (len(problems) != 1 || problems[0].Field != c.want) {
			t.Errorf("%+v: %v, want one of %q", c.spec, problems, c.want)
		}
	}
}

func TestTargetCheck(t *testing.T) {
	for _, c := range []struct {
		target Target
		want   string
	}{
		{Target{Service: "catalog", Select: "PERCENT(50)", Pick: "random", MinHealthy: 2}, ""},
		{Target{Part: "consul"}, ""},
		{Target{}, "service"},
		{Target{Service: "catalog", Part: "consul"}, "service"},
		{Target{Service: "catalogue"}, "service"},
		{Target{Part: "supervisor"}, "part"},
		{Target{Service: "catalog", Select: "COUNT(0)"}, "select"},
		{Target{Service: "catalog", Select: "PERCENT(101)"}, "select"},
		{Target{Service: "catalog", Pick: "worst"}, "pick"},
		{Target{Part: "consul", MinHealthy: 1}, "min-healthy"},
	} {
		problems := c.target.Check()
		if c.want == "" && len(problems) > 0 || c.want != "" && (len(problems) != 1 || problems[0].Field != c.want) {
			t.Errorf("%+v: %v, want one of %q", c.target, problems, c.want)
		}
	}
	for text, want := range map[string]int{"": 1, "ALL": 5, "COUNT(2)": 2, "COUNT(9)": 5, "PERCENT(50)": 2, "PERCENT(1)": 1, "PERCENT(100)": 5} {
		count, err := selection(text)
		if err != nil || count(5) != want {
			t.Errorf("%q of 5: %d %v, want %d", text, count(5), err, want)
		}
	}
}
