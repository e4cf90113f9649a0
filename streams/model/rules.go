package model

// rules are departures from the protocol, each a plausible mistake; the zero value has
// none. Each comment says what the departure leads to.
type rules struct {
	// FIRES refuses no publish. A claims and goes to sleep, or its publish is
	// slow; B takes over, does not find the fire, and publishes it; then A's
	// arrives: a double.
	noFence bool

	// A claim of an older owner behind L is left to that owner. Without the fence this is
	// necessary: nothing stops the older owner from publishing it, and publishing it
	// here, too, would fire twice. But if the older owner died after it sent the claim,
	// nobody publishes it: a loss.
	leavesLateClaims bool

	// A claim without an answer counts as not applied. It was applied: the record is
	// firing, and its owner waits for nothing: a loss.
	believesMissing bool

	// A publish without an answer is sent again under the same fence. The
	// first was applied, or still will be: a double.
	publishesAgain bool

	// A publish that is refused while its owner's fence is the newest is sent again, as
	// if it was refused by mistake. An old leader refused it, and the new one has stored
	// the fire: a double.
	believesRefusals bool

	// A takeover reads FIRES from the fence before its own, not from the lowest
	// fires_after. A fire before that fence, whose worker has not finished, is not found
	// and published again: a double.
	readsFromLastFence bool

	// A takeover does not follow the bucket to L, and assumes that every claim that it
	// sees later cannot be in FIRES: a double.
	skipsTail bool

	// An owner stops only when the fence refuses it, not when it sees a newer epoch in
	// the bucket. B, deposed by A, has nothing to publish and keeps the partition. A dies
	// with a claim in hand, which nobody looks for: a loss (until B has something to
	// publish).
	heedsOnlyRefusal bool

	// A claim is a plain write. It overwrites a cancel that was answered with "done": an
	// untruth.
	claimsBlindly bool

	// A job counts as due a little before its time.
	claimsAhead bool

	// A redelivered fire is judged by a replica, too. The worker before has finished the
	// try and died before its ack, but the replica still shows the claim: a post too
	// many, which no crash during a post explains.
	trustsReplicas bool

	// A worker delivers a fire though its claim counts as lost by now. The owner claims
	// the job anew in the middle of the post, and another worker posts the new fire: a
	// double.
	deliversOverdue bool

	// A try that is not made counts as one: a pause can make a job die.
	putsBackCounted bool

	// A fire is acked before it is put back. Its worker dies in between, and
	// nothing comes back to the claim: a loss.
	acksFirst bool

	// The fires of claims in FIRES are looked for only at a takeover. An operator purges
	// FIRES, and nothing comes back to the claim: a loss.
	ignoresPurges bool
}
