//go:build race

package target

// simRaced says that the race detector watches: a simulation has one goroutine,
// and takes ten times as long.
const simRaced = true
