package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// record is what state.json holds: the public state and what the tool needs
// besides to find, verify and reach the processes.
type record struct {
	State
	Ready    bool              `json:"ready"`
	Token    string            `json:"token"`    // of the control API
	Identity map[string]string `json:"identity"` // by name: what tells the process from a later one with its pid
}

// errNoState says that no mesh of the name is up or was left behind.
var errNoState = errors.New("no state")

// loadRecord reads state.json; errNoState if there is none.
func loadRecord(d dirs) (record, error) {
	var r record
	data, err := os.ReadFile(d.state())
	if errors.Is(err, fs.ErrNotExist) {
		return r, errNoState
	}
	if err != nil {
		return r, fmt.Errorf("read the mesh's state: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%s is damaged; run kitmesh down, then kitmesh up: %w", d.state(), err)
	}
	return r, nil
}

// save replaces state.json in one step, so that a reader, or a crash at any
// moment, finds either the old state or the new one. It survives the death of
// this process, not that of the machine: after that nothing runs anyway.
func (r record) save(d dirs) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the mesh's state: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(d.state()), ".state-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the mesh's state: %w", err)
	}
	_, err = tmp.Write(append(data, '\n'))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), d.state())
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("write the mesh's state: %w", err)
	}
	return nil
}

// processes lists every recorded process that has a pid, the supervisor
// excepted, in the order they are to be stopped.
func (r record) processes() [][]process {
	tiers := make([][]process, tierCount)
	add := func(name, service string, pid int) {
		if pid > 0 && name != supervisorName {
			t := tierOf(name, service)
			tiers[t] = append(tiers[t], process{name: name, pid: pid, identity: r.Identity[name]})
		}
	}
	for _, i := range r.Instances {
		add(i.ID, i.Service, i.PID)
	}
	for _, p := range r.Parts {
		add(p.Name, "", p.PID)
	}
	return tiers
}

const supervisorName = "supervisor"

// The order of stopping: who asks goes before who answers, and Consul last, so
// that everybody can deregister.
const (
	tierLoad  = iota // customers leave before the shop closes
	tierFront        // edge, gateway
	tierService
	tierPart // provider, broker, zipkin, proxy
	tierConsul
	tierCount
)

func tierOf(name, service string) int {
	switch {
	case name == "load":
		return tierLoad
	case name == "edge", service == "gateway":
		return tierFront
	case service != "":
		return tierService
	case name == "consul":
		return tierConsul
	}
	return tierPart
}
