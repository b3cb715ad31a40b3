//go:build unix && !linux

package runner

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
)

// identify returns the process's start time, which tells it from another with
// its pid, and its state letter.
func identify(pid int) (id string, state byte, err error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", 0, err
	}
	fields := strings.Fields(string(out))
	if len(fields) < 2 {
		return "", 0, errors.New("ps does not know the process")
	}
	return strings.Join(fields[1:], " "), fields[0][0], nil
}

// rssBytes returns the resident memory of a process; 0 if it has gone.
func rssBytes(pid int) int64 {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0
	}
	kib, _ := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return kib * 1024
}

// marked finds nothing here: only Linux shows other processes' environment in
// a form that cannot be mistaken. state.json names the processes.
func marked(string) []process { return nil }

// portOwner cannot tell here.
func portOwner(int) (pid int, name string) { return 0, "" }
