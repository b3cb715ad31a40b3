package middleware

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Where half of the answers lack a part that others shed, fewer are admitted;
// where the service does not say that it assembles answers, nothing changes.
func TestIncomplete(t *testing.T) {
	Incomplete(t.Context()) // outside of a ring it does nothing
	for _, assembles := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			shed, n := NewShed(ShedSettings{}), new(atomic.Int64)
			e := ServerRing{Shed: shed, Assembles: assembles}.Wrap("a.B", func(ctx context.Context, request any) (any, error) {
				if n.Add(1)%2 == 0 {
					Incomplete(context.WithValue(ctx, priorityContext{}, Normal))
				}
				return nil, pause(ctx, 10*time.Millisecond)
			})
			drive(t, 10*time.Second, crowd{Normal, 1, e})
			if limit := shed.Report().Limit; assembles && limit > 10 || !assembles && limit < 32 {
				t.Errorf("assembles %t: the limit is %.1f", assembles, limit)
			}
		})
	}
}
