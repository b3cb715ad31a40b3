package inventory

import (
	"cmp"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// request asks for one thing to happen to what a key holds in one shard.
type request struct {
	Shard  int    `json:"shard"`
	Kind   Status `json:"kind"` // what shall happen to the hold
	Key    string `json:"key"`
	Lines  []Line `json:"lines"` // in SKU order
	Reason string `json:"reason,omitempty"`
}

// draft is the next event in the making: decisions about several requests, each
// on top of those before. It reads the shard, under its lock, and changes
// nothing there.
type draft struct {
	shard   *shard
	levels  map[string]level
	held    map[place]int // what the draft left of a hold
	settled map[place]outcome
	ops     []op
}

func newDraft(s *shard) *draft {
	return &draft{shard: s, levels: map[string]level{}, held: map[place]int{}, settled: map[place]outcome{}}
}

func (d *draft) event() event {
	return event{At: time.Now().UTC(), Ops: d.ops, Shelves: d.levels}
}

// perform decides on one request. Ops that it adds count even when it fails.
func (d *draft) perform(r request) (Status, error) {
	switch r.Kind {
	case Reserved:
		return d.reserve(r)
	case Committed:
		return r.Kind, d.commit(r)
	case Released:
		return r.Kind, d.release(r.Key, r.Lines, r.Reason)
	}
	return "", fault.New(fault.Invalid, "nothing is known about making a hold %q", r.Kind)
}

// reserve holds units of every line, or of none.
func (d *draft) reserve(r request) (Status, error) {
	status := Reserved
	var ops []op
	var after []level
	for i, line := range r.Lines {
		at := place{line.SKU, r.Key}
		held, was := d.hold(at), d.outcome(at)
		switch {
		case held == line.Quantity:
			continue
		case held > 0:
			return "", fault.New(fault.KeyReused, "%s holds %d of %s already", r.Key, held, line.SKU)
		case was.status == Committed:
			status = Committed
			continue
		}
		var level level
		var restock int
		var err error
		if was.status == Released {
			err = fault.New(fault.Conflict, "%s", cmp.Or(was.reason, "the reservation was released"))
		} else {
			level, restock, err = d.level(line.SKU).reserve(line.SKU, line.Quantity)
		}
		if err != nil {
			// The reason is kept, so that a repeated Reserve gets the same answer.
			if e := d.release(r.Key, r.Lines[:i], fault.MessageOf(err)); e != nil {
				return "", e
			}
			return "", err
		}
		ops = append(ops, op{Kind: Reserved, SKU: line.SKU, Key: r.Key, Quantity: line.Quantity, Restock: restock})
		after = append(after, level)
	}
	for i, o := range ops { // no two are of one SKU
		d.add(o, after[i])
	}
	return status, nil
}

// commit ships what the key holds.
func (d *draft) commit(r request) error {
	for _, line := range r.Lines {
		at := place{line.SKU, r.Key}
		held, was := d.hold(at), d.outcome(at)
		switch {
		case held > 0:
			d.add(op{Kind: Committed, SKU: line.SKU, Key: r.Key, Quantity: held}, d.level(line.SKU).commit(held))
		case was.status == Committed:
		case was.status == Released:
			return fault.New(fault.Conflict, "the hold of %s on %s was released", r.Key, line.SKU)
		default:
			return fault.New(fault.NotFound, "%s holds nothing of %s", r.Key, line.SKU)
		}
	}
	return nil
}

// release puts back what the key holds. Where it holds nothing it leaves a
// tombstone for the Reserve that may still be on its way.
func (d *draft) release(key string, lines []Line, reason string) error {
	for _, line := range lines {
		at := place{line.SKU, key}
		switch d.outcome(at).status {
		case Released:
			continue
		case Committed:
			return fault.New(fault.Conflict, "the hold of %s on %s was committed", key, line.SKU)
		}
		held := d.hold(at)
		d.add(op{Kind: Released, SKU: line.SKU, Key: key, Quantity: held, Reason: reason}, d.level(line.SKU).release(held))
	}
	return nil
}

func (d *draft) add(o op, after level) {
	at := place{o.SKU, o.Key}
	d.ops = append(d.ops, o)
	d.levels[o.SKU] = after
	if o.Kind == Reserved {
		d.held[at] = o.Quantity
		return
	}
	d.held[at] = 0
	d.settled[at] = outcome{o.Kind, o.Reason}
}

func (d *draft) level(sku string) level {
	if l, changed := d.levels[sku]; changed {
		return l
	}
	return d.shard.shelf(sku).level
}

// hold is how many units are held, 0: none.
func (d *draft) hold(at place) int {
	if units, changed := d.held[at]; changed {
		return units
	}
	return d.shard.shelf(at.sku).holds[at.key].Quantity
}

// outcome is what became of a settled hold; zero: none that is remembered.
func (d *draft) outcome(at place) outcome {
	if o, changed := d.settled[at]; changed {
		return o
	}
	return d.shard.memory.outcomes[at]
}
