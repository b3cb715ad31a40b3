package inventory

import "context"

// Journal keeps one stream of events per shard, all in one sequence. Append
// fails with fault.Conflict when the shard's last event, of any kind, is not
// after (0: none); fault.Unavailable leaves open whether it was written. Last
// fails with fault.NotFound when the shard has none. Latest calls handle for the
// last event of every shard and kind. Read calls handle for the events of a
// shard that are of one of the kinds (none: any), from a sequence on, and
// returns when there are no more. Follow calls handle for every event from a
// sequence on and each new one, until ctx ends. All hand out events in order and
// wait for the journal until ctx ends.
type Journal interface {
	Append(ctx context.Context, shard, kind string, event []byte, after uint64) (seq uint64, err error)
	Last(ctx context.Context, shard string) (event []byte, seq uint64, err error)
	Latest(ctx context.Context, handle func(shard, kind string, seq uint64, event []byte)) error
	Read(ctx context.Context, shard string, kinds []string, from uint64, handle func(seq uint64, event []byte)) error
	Follow(ctx context.Context, from uint64, handle func(shard string, seq uint64, event []byte)) error
}

// Exchange carries requests between the instances. Listen has handle answer
// those to an address until stop is called, which waits for the answers under
// way. Ask fails with fault.NotFound when nobody listens at the address, with
// fault.Deadline when ctx ended before the answer came, with fault.Overloaded
// when the listener has too much to do, and with fault.Unavailable when this
// instance cannot ask anybody.
type Exchange interface {
	Listen(address string, handle func(ctx context.Context, request []byte) (answer []byte)) (stop func(), err error)
	Ask(ctx context.Context, address string, request []byte) (answer []byte, err error)
}

// Orders knows what holds are for. Abandoned reports whether nobody will ever
// commit or release the hold of an order: because there is no such order, or
// because it ended.
type Orders interface {
	Abandoned(ctx context.Context, key string) (bool, error)
}
