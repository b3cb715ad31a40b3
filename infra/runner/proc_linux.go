package runner

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// bootID tells this boot's processes from those of an earlier one, whose start
// times could coincide.
var bootID = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(id))
})

// identify returns what tells the process from any other that ever had its
// pid (boot and start time) and its state letter: R, S, D, T, Z, ...
func identify(pid int) (id string, state byte, err error) {
	fields, err := statFields(pid)
	if err != nil {
		return "", 0, err
	}
	return bootID() + "/" + fields[19], fields[0][0], nil
}

// statFields returns /proc/PID/stat from its third field (state) on: the
// second, the command's name, may hold spaces and parentheses.
func statFields(pid int) ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return fields, nil
}

// rssBytes returns the resident memory of a process; 0 if it has gone.
func rssBytes(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// marked lists the living processes that carry mark in their environment,
// this one excepted.
func marked(mark string) []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Identity first: if the pid changes hands in between, it no longer matches.
		id, state, err := identify(pid)
		if err != nil || state == 'Z' || !hasEnv(pid, mark) {
			continue
		}
		found = append(found, process{name: "stray", pid: pid, identity: id})
	}
	return found
}

func hasEnv(pid int, entry string) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	for item := range bytes.SplitSeq(env, []byte{0}) {
		if string(item) == entry {
			return true
		}
	}
	return false
}

// portOwner finds who listens on a TCP port; pid 0 if it cannot be told, as
// for another user's process.
func portOwner(port int) (pid int, name string) {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeners(table, port, inodes)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return pid, strings.TrimSpace(string(comm))
	}
	return 0, ""
}

// listeners adds the sockets that listen on port, in the form in which
// /proc/PID/fd links name them.
func listeners(table string, port int, into map[string]bool) {
	data, err := os.ReadFile(table)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != "0A" { // 0A: LISTEN
			continue
		}
		_, hexPort, _ := strings.Cut(f[1], ":")
		raw, err := hex.DecodeString(hexPort)
		if err == nil && len(raw) == 2 && int(raw[0])<<8|int(raw[1]) == port {
			into["socket:["+f[9]+"]"] = true
		}
	}
}
