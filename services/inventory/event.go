package inventory

import "time"

// event is one entry of a shard's stream. It has one of four kinds; the part of
// its kind is set.
type event struct {
	By string    `json:"by"` // address of the instance that wrote it
	At time.Time `json:"at"` // before it was stored, by the writer's clock

	// Ops happened together, in this order; Shelves are the levels of every SKU
	// they touched, after the last of them.
	Ops     []op             `json:"ops,omitempty"`
	Shelves map[string]level `json:"shelves,omitempty"`

	Claim      *claim      `json:"claim,omitempty"`
	Checkpoint *checkpoint `json:"checkpoint,omitempty"`
	Settled    *settled    `json:"settled,omitempty"`
}

// The kinds of events, by which readers choose.
const (
	kindBatch      = "batch"
	kindClaim      = "claim"
	kindCheckpoint = "checkpoint"
	kindSettled    = "settled"
)

func (e event) kind() string {
	switch {
	case e.Claim != nil:
		return kindClaim
	case e.Checkpoint != nil:
		return kindCheckpoint
	case e.Settled != nil:
		return kindSettled
	}
	return kindBatch
}

// op is what happened to one key's hold of one SKU.
type op struct {
	Kind     Status `json:"kind"`
	SKU      string `json:"sku"`
	Key      string `json:"key"`
	Quantity int    `json:"quantity"`          // 0 for the release of nothing
	Restock  int    `json:"restock,omitempty"` // units added to the shelf on the way
	Reason   string `json:"reason,omitempty"`  // why a hold was released
}

// claim makes an instance the owner of the shard: nobody else writes to it until
// the next claim. Without an owner the shard waits for whoever needs it.
type claim struct {
	Owner string `json:"owner"`
}

// checkpoint is the shard's whole state, but for what was settled. A reader that
// starts here misses nothing.
type checkpoint struct {
	Owner   string            `json:"owner"`
	Epoch   uint64            `json:"epoch"`   // sequence of the owner's claim
	Settled uint64            `json:"settled"` // sequence of the first list of settled holds that still matters; 0: none
	Shelves map[string]stored `json:"shelves"` // of every SKU with events
}

// stored is a shelf in a checkpoint.
type stored struct {
	level
	Holds map[string]hold `json:"holds,omitempty"` // open ones, by key
}

// settled lists the holds that were settled since the list before. A checkpoint
// never comes between a hold that was settled and its list.
type settled struct {
	Committed map[string][]string          `json:"committed,omitempty"` // keys by SKU
	Released  map[string]map[string]string `json:"released,omitempty"`  // reasons by key by SKU
}
