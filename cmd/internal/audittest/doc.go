// Package audittest checks the checker: it puts one deliberate bug at a time
// into the shop and expects the audit to find it, every time.
package audittest
