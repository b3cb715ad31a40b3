// Package zipkin is a Zipkin server in one process without Java: it collects
// spans over Zipkin's v2 HTTP API, keeps the newest of them in memory, answers
// every query of that API, and serves a page to browse them.
//
// What goes in is normalised as Zipkin does it and kept in the very form in
// which it goes out, JSON, beside the few fields that searching needs. Behaviour
// that no document states, error texts included, was read off the real server;
// the contract suite in this package runs against both.
//
// It differs on purpose in these points: memory is bounded by bytes as well as
// by spans; the trace that goes first is the one that arrived first, so that a
// wrong clock pins nothing; names go with the last span that carries them; the
// old v1 and Thrift formats are not spoken.
package zipkin
