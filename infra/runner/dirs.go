package runner

import (
	"fmt"
	"os"
	"path/filepath"
)

// dirs are the places of one mesh on disk.
type dirs struct{ root string }

// meshDirs returns the absolute places of the mesh called name: below
// KITMESH_HOME when that is set, else below .kitmesh in the current directory.
func meshDirs(name string) (dirs, error) {
	home := os.Getenv("KITMESH_HOME")
	if home == "" {
		home = ".kitmesh"
	}
	root, err := filepath.Abs(filepath.Join(home, name))
	if err != nil {
		return dirs{}, fmt.Errorf("find the folder of mesh %s: %w", name, err)
	}
	return dirs{root: root}, nil
}

func (d dirs) state() string             { return filepath.Join(d.root, "state.json") }
func (d dirs) lock() string              { return filepath.Join(d.root, "lock") }
func (d dirs) logs() string              { return filepath.Join(d.root, "logs") }
func (d dirs) log(name string) string    { return filepath.Join(d.logs(), name+".log") }
func (d dirs) data(part string) string   { return filepath.Join(d.root, "data", part) }
func (d dirs) config(file string) string { return filepath.Join(d.root, file) }

// mark is the environment entry every child carries, so that a process can be
// found even if its pid was never written down.
func (d dirs) mark() string { return "KITMESH_MESH=" + d.root }

// make creates the folders. They are the owner's alone: state.json holds the
// token of the control API.
func (d dirs) make() error {
	for _, dir := range []string{d.root, d.logs(), d.data("")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create the mesh's folder: %w", err)
		}
	}
	return nil
}

// HistoryDir is the folder of what customers of the mesh called name recorded.
func HistoryDir(name string) (string, error) {
	d, err := meshDirs(name)
	return filepath.Join(d.root, "history"), err
}

// ChaosDir is the folder of the experiments on the mesh called name: their lock,
// undo log and histories.
func ChaosDir(name string) (string, error) {
	d, err := meshDirs(name)
	return filepath.Join(d.root, "chaos"), err
}
