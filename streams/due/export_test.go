package due

import "belfry/internal/job"

// Out returns how many fires of a route are out, and how many of its records wait.
func (q *Queue) Out(k job.RouteKey) (out, waiting int) {
	g := q.gates[k]
	if g == nil {
		return 0, 0
	}
	return g.out, g.waiting.Len()
}

// Balanced describes the first counter that disagrees with what it counts.
func (q *Queue) Balanced() string {
	loading, loaded := 0, 0
	called, in := map[*gate]int{}, map[*gate]int{}
	for _, n := range q.near {
		if n.stage == isLoading {
			loading++
		} else {
			loaded += n.size
		}
		if n.from != nil {
			called[n.from]++
		}
		if n.in != nil {
			in[n.in]++
		}
	}
	for _, c := range q.firing {
		if c.gate != nil {
			in[c.gate]++
		}
	}
	switch {
	case loading != q.loading:
		return "loading"
	case loaded != q.loaded:
		return "loaded"
	}
	waiting := 0
	for _, g := range q.gates {
		waiting += g.waiting.Len()
		switch {
		case g.called != called[g]:
			return "called"
		case g.out != in[g]:
			return "out"
		}
	}
	if waiting != len(q.parked) {
		return "parked"
	}
	return ""
}
