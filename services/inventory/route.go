package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Waits between instances.
const (
	patience = 100 * time.Millisecond // without an answer an owner is asked whether it lives
	alive    = 800 * time.Millisecond // and has so long to say so
	again    = 500 * time.Millisecond // it is asked again so much later
	modesty  = 20 * time.Millisecond  // about so long a bidder looks whether somebody else is faster
	hearsay  = 20 * time.Millisecond  // until news of a new owner should have come
)

// Why a shard needs another owner.
var (
	errNobody = errors.New("nobody owns the shard")            // or nobody listens at the owner's address
	errSilent = errors.New("the owner of the shard is silent") // paused, for example
)

// reply is an owner's answer to a request.
type reply struct {
	Status  Status     `json:"status,omitempty"`
	Code    fault.Code `json:"code,omitempty"` // of the fault
	Message string     `json:"message,omitempty"`
	Origin  string     `json:"origin,omitempty"`
	Moved   bool       `json:"moved,omitempty"` // not the owner; nothing happened
}

// do has the shard's owner perform a request. When the owner is gone this
// instance becomes the owner. An error without a verdict (fault.Unavailable and
// the like) leaves the outcome open; repeating the call finds out.
func (l *Ledger) do(ctx context.Context, r request) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, maxWrite) // for callers without a deadline
	defer cancel()
	s := l.shards[r.Shard]
	for {
		owner, epoch := s.ownership()
		var status Status
		var err error
		switch owner {
		case l.address:
			status, err = l.submit(ctx, s, r)
		case "":
			err = errNobody
		default:
			l.stats.Forwarded.Add(1)
			status, err = l.forward(ctx, owner, r)
		}
		switch {
		case errors.Is(err, errMoved):
			news, cancel := context.WithTimeout(ctx, hearsay)
			s.awaitClaim(news, epoch)
			cancel()
		case errors.Is(err, errNobody), errors.Is(err, errSilent):
			if err := l.bid(ctx, s, owner, epoch, err); err != nil {
				return "", err
			}
		default:
			return status, err
		}
		if ctx.Err() != nil {
			return "", fault.Wrap(fault.CodeOf(ctx.Err()), ctx.Err(), "the ledger found no owner of the shelf in time")
		}
	}
}

// submit queues a request here and waits for the verdict.
func (l *Ledger) submit(ctx context.Context, s *shard, r request) (Status, error) {
	t := &task{ctx: ctx, request: r, done: make(chan struct{})}
	select {
	case <-s.done:
		return "", errMoved
	default:
	}
	select {
	case s.work <- t:
	default:
		l.stats.Refused.Add(1)
		return "", &fault.Error{Code: fault.Overloaded, Message: "too many orders wait for these goods", RetryAfter: time.Second}
	}
	select {
	case <-t.done:
		return t.status, t.err
	case <-s.done:
	case <-ctx.Done():
		return "", fault.Wrap(fault.CodeOf(ctx.Err()), ctx.Err(), "the ledger did not answer in time")
	}
	select { // answered at the last moment?
	case <-t.done:
		return t.status, t.err
	default:
		return "", errMoved
	}
}

// forward asks the owner, and meanwhile whether it lives. A slow owner is waited
// for, a silent one is not.
func (l *Ledger) forward(ctx context.Context, owner string, r request) (Status, error) {
	question, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		answer []byte
		err    error
	}
	results := make(chan result, 1)
	go func() {
		answer, err := l.exchange.Ask(ctx, owner, question)
		results <- result{answer, err}
	}()
	wait := time.NewTimer(patience)
	defer wait.Stop()
	for {
		select {
		case got := <-results:
			if got.err != nil {
				if fault.CodeOf(got.err) == fault.NotFound {
					return "", errNobody
				}
				return "", got.err
			}
			return decodeReply(got.answer)
		case <-wait.C:
			if err := l.ping(ctx, owner); err != nil && len(results) == 0 {
				return "", err
			}
			wait.Reset(again)
		}
	}
}

func decodeReply(answer []byte) (Status, error) {
	var a reply
	switch err := json.Unmarshal(answer, &a); {
	case err != nil:
		return "", fault.Wrap(fault.Internal, err, "the owner of the shelf gave no proper answer")
	case a.Moved:
		return "", errMoved
	case a.Code != "":
		return "", &fault.Error{Code: a.Code, Message: a.Message, Origin: a.Origin}
	}
	return a.Status, nil
}

// ping asks an instance an empty question, which takes it no time. It fails with
// errNobody or errSilent. When this instance cannot ask, it knows nothing
// against the other.
func (l *Ledger) ping(ctx context.Context, owner string) error {
	brief, cancel := context.WithTimeout(ctx, alive)
	defer cancel()
	_, err := l.exchange.Ask(brief, owner, nil)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		return errNobody
	case fault.CodeOf(err) == fault.Deadline && ctx.Err() == nil:
		return errSilent
	}
	return nil
}

// answer is what other instances get.
func (l *Ledger) answer(ctx context.Context, question []byte) []byte {
	if len(question) == 0 {
		return nil
	}
	var r request
	var a reply
	err := json.Unmarshal(question, &r)
	switch {
	case err != nil || r.Shard < 0 || r.Shard >= shards:
		err = fault.Wrap(fault.Invalid, err, "no request to a shard")
	default:
		bounded, cancel := context.WithTimeout(ctx, maxWrite)
		defer cancel()
		a.Status, err = l.submitAsOwner(bounded, r)
	}
	switch {
	case errors.Is(err, errMoved):
		a = reply{Moved: true}
	case err != nil:
		a = reply{Code: fault.CodeOf(err), Message: fault.MessageOf(err), Origin: fault.OriginOf(err)}
	}
	data, err := json.Marshal(a)
	if err != nil {
		l.opts.Logger.Error("an answer cannot be written", "err", err)
	}
	return data
}

func (l *Ledger) submitAsOwner(ctx context.Context, r request) (Status, error) {
	s := l.shards[r.Shard]
	if owner, _ := s.ownership(); owner != l.address {
		return "", errMoved
	}
	return l.submit(ctx, s, r)
}

// bid makes this instance the owner of a shard whose owner since epoch seems to
// be gone, unless it shows up again or somebody else is faster. After a restart
// of the broker an owner may not be listening yet, so nobody is asked twice.
func (l *Ledger) bid(ctx context.Context, s *shard, owner string, epoch uint64, why error) error {
	news, cancel := context.WithTimeout(ctx, modesty/2+rand.N(modesty))
	s.awaitClaim(news, epoch)
	cancel()
	if _, now := s.ownership(); now != epoch {
		return nil
	}
	if owner != "" && errors.Is(why, errNobody) && l.ping(ctx, owner) == nil {
		return nil
	}
	return l.claim(ctx, s, epoch)
}

// claim has the shard's writer claim it.
func (l *Ledger) claim(ctx context.Context, s *shard, epoch uint64) error {
	b := &bid{epoch: epoch, done: make(chan struct{})}
	select {
	case s.bids <- b:
		<-b.done // a write, which has a deadline of its own
		return b.err
	case <-s.done:
		return fault.New(fault.Unavailable, "this instance is leaving")
	case <-ctx.Done():
		return fault.Wrap(fault.CodeOf(ctx.Err()), ctx.Err(), "the ledger did not answer in time")
	}
}
