package main

import "context"

// A server syncs each write before its answer, or at its own pace.
const (
	always  = "always"
	relaxed = "relaxed"
)

// row is one line of the table.
type row struct {
	name    string // for --only
	work    string
	figures string // names the figures
	sync    string
	target  target
	measure func(context.Context, *bench) (outcome, error)
}

func rows() []row {
	var all []row
	add := func(work, figures, sync string, t target, measure func(context.Context, *bench) (outcome, error)) {
		all = append(all, row{work + ", " + sync, work, figures, sync, t, measure})
	}
	const late, burst, create = "lateness p50 / p99 / max, ms", "rate, /s / last lateness, ms", "rate, /s / p50 / p99, ms"
	none := target{}

	for _, sync := range []string{always, relaxed} {
		strict := atMost("p50 ≤ 2, p99 ≤ 6", 2, 6)
		jobs := 20_000
		if sync == relaxed {
			strict, jobs = atMost("p50 ≤ 1, p99 ≤ 3", 1, 3), 100_000
		}
		add("NATS route, 200/s", late, sync, none, measureNATS(sync, plan{600, 200}))
		add("NATS route, 1,000/s", late, sync, strict, measureNATS(sync, plan{5000, 1000}))
		add("NATS route, 20,000/s", late, sync, none, measureNATS(sync, plan{jobs, 20_000}))
	}
	for _, sync := range []string{always, relaxed} {
		strict := none
		if sync == always {
			strict = atMost("p50 ≤ 3, p99 ≤ 8", 3, 8)
		}
		add("webhooks, 200/s", late, sync, strict, measureWebhooks(sync, plan{800, 200}))
		add("webhooks, 2,000/s", late, sync, none, measureWebhooks(sync, plan{8000, 2000}))
	}
	add("burst of 10,000 NATS fires in one millisecond", burst, always, none, measureNATS(always, plan{10_000, 0}))
	add("burst of 100,000 NATS fires in one millisecond", burst, relaxed,
		target{"rate ≥ native", func(o outcome) bool { return o.belfry[0] >= o.native[0] }},
		measureNATS(relaxed, plan{100_000, 0}))
	add("burst of 20,000 webhooks in one millisecond", burst, always, atLeast("rate ≥ 8,000", 8000), measureWebhooks(always, plan{20_000, 0}))
	add("burst of 20,000 webhooks in one millisecond", burst, relaxed, atLeast("rate ≥ 12,000", 12_000), measureWebhooks(relaxed, plan{20_000, 0}))
	add("create over REST, 64 clients", create, always, atLeast("rate ≥ 8,000", 8000), measureCreate(always, 64))
	add("create over REST, 256 clients", create, always, atLeast("rate ≥ 14,000", 14_000), measureCreate(always, 256))
	add("create over REST, 64 clients", create, relaxed, none, measureCreate(relaxed, 64))
	add("create over REST, 256 clients", create, relaxed, none, measureCreate(relaxed, 256))
	add("1,000,000 pending jobs", "heap, B per job / restart after kill -9 to the first fire on time, s", relaxed,
		atMost("heap ≤ 220, restart ≤ 4", 220, 4), measureMillion)
	add("kill -9 of one of two nodes", "lateness p50 / p99 / max, ms", always,
		target{"max ≤ 4,000, none lost or twice", func(o outcome) bool { return o.belfry[2] <= 4000 }}, measureTakeover)
	return all
}
