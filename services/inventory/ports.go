package inventory

import (
	"context"
	"time"
)

// Journal keeps one event stream per SKU. Append fails with fault.Conflict when
// the SKU's last event is not after (0: none), Last with fault.NotFound when
// there is none. Latest calls handle for the last event of every SKU and returns
// when the newest was written; it waits for the journal until ctx ends. Follow
// calls handle for every event since a moment and each new one, in order, until
// ctx ends.
type Journal interface {
	Append(ctx context.Context, key, kind string, event []byte, after uint64) (seq uint64, err error)
	Last(ctx context.Context, key string) (event []byte, seq uint64, err error)
	Follow(ctx context.Context, since time.Time, handle func(key string, seq uint64, event []byte)) error
	Latest(ctx context.Context, handle func(key string, seq uint64, event []byte)) (at time.Time, err error)
}
