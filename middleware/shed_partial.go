package middleware

import (
	"context"
	"sync/atomic"
)

// mindContext carries word of an overload further down back up to the Shed. It
// is one allocation per request, for those who assemble answers only.
type mindContext struct {
	context.Context
	shed atomic.Bool
}

type mindKey struct{}

// Value answers for the word and leaves every other key to the parent.
func (c *mindContext) Value(key any) any {
	if key == (mindKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// Incomplete notes that the request of ctx goes without a part that another
// service shed. One such answer is better than none; but where many are, it is
// better to answer fewer requests in full, and the Shed of ServerRing.Assembles
// admits fewer. A part that is missing for another reason, such as an outage,
// must not be noted: fewer requests would not bring it back.
func Incomplete(ctx context.Context) {
	if c, ok := ctx.Value(mindKey{}).(*mindContext); ok {
		c.shed.Store(true)
	}
}
