package consultest

import "syscall"

// dieWithParent ends Consul even when a test times out and no cleanup runs.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
