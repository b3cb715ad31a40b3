package provider

import (
	"os"
	"syscall"
)

// lock keeps a second provider from writing the same ledger; the kernel
// releases it with the process.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
