package middleware

import "context"

// Peer is the instance that one try of a call goes to. The mesh sets it before
// each try; the client span, the logs and the metrics read it.
type Peer struct {
	Service  string // the called service, such as "catalog"
	Instance string // its instance id, such as "catalog-2"
	Addr     string // host:port that the connection goes to
	Zone     string // where it runs
	Version  string // what it runs
	Breaker  string // state of the caller's breaker for it when the try began
	Try      int    // 1 for the first try of a call
	Hedge    bool   // another try of the call was still under way
}

// PeerContext is a context that says which instance a try goes to. A caller
// that makes one per try may embed it and saves an allocation.
type PeerContext struct {
	context.Context
	Peer Peer
}

type peerKey struct{}

// Answers reports whether Value answers for key itself.
func (c *PeerContext) Answers(key any) bool { return key == (peerKey{}) }

// Value answers for the peer and leaves every other key to the parent.
func (c *PeerContext) Value(key any) any {
	if key == (peerKey{}) {
		return &c.Peer
	}
	return c.Context.Value(key)
}

// WithPeer returns a context that says which instance the try goes to.
func WithPeer(ctx context.Context, p Peer) context.Context {
	return &PeerContext{Context: ctx, Peer: p}
}

// PeerFrom returns the instance that the try goes to, and false outside a try.
func PeerFrom(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(*Peer)
	if !ok {
		return Peer{}, false
	}
	return *p, true
}
