//go:build !race

package target

const simRaced = false
