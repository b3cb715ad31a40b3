// Package composetest brings the compose stack up for real and uses it: the
// unmodified docker-compose.yml on the Docker Engine of this machine. Its tests
// have the build tag compose; make test-compose runs them.
package composetest
