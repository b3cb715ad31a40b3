package runner

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// binDir is the folder of this program, where `make build` puts the others.
func binDir() (string, error) {
	exe, err := os.Executable()
	if err == nil {
		exe, err = filepath.EvalSymlinks(exe)
	}
	if err != nil {
		return "", fmt.Errorf("find the folder of kitmesh: %w", err)
	}
	return filepath.Dir(exe), nil
}

// binaries checks that every service's program is in dir.
func binaries(dir string) error {
	var missing []string
	for _, service := range Services {
		if !Executable(filepath.Join(dir, service)) {
			missing = append(missing, service)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s not found in %s; run make build", strings.Join(missing, ", "), dir)
	}
	return nil
}

// Executable says whether path is a program.
func Executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// keepDir returns a folder to keep fetched and built tools in: beside kitmesh
// if that can be written to, else in the user's cache.
func keepDir(bin string) (string, error) {
	probe, err := os.CreateTemp(bin, ".kitmesh-*")
	if err == nil {
		_ = probe.Close()
		return bin, os.Remove(probe.Name())
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for tools: %w", err)
	}
	dir := filepath.Join(cache, "kitmesh")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create a folder for tools: %w", err)
	}
	return dir, nil
}

// toolCommand is a helper program (go, mvn, java) that dies with ctx, with
// everything it started, and that down finds by the mesh's mark.
func toolCommand(ctx context.Context, mark, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}
