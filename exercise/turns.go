package exercise

// turns pairs the lifts of two sides to repetitions. For somebody who lifts
// one leg only, each lift is a repetition; a rule finds fault with it.
type turns struct {
	pending *attempt // a lift whose other half is awaited
	alone   Side     // the side that is lifted alone
}

// take takes a lift and returns the repetitions that it completes.
func (u *turns) take(a attempt, restS float64) []attempt {
	first := u.pending
	if first != nil && float64(a.rep.startNS-first.rep.endNS) > restS*1e9 {
		first = nil // not in turn any more
	}
	side := a.side
	a.side = a.run.def.OfSide
	switch {
	case first == nil && u.alone == side:
		return []attempt{a}
	case first == nil:
		waits := a
		waits.side = side
		u.pending, u.alone = &waits, ""
		return nil
	case first.side == side:
		u.pending, u.alone = nil, side
		first.side = a.side
		return []attempt{*first, a}
	}
	u.pending = nil
	a.rep.startNS = first.rep.startNS
	a.rep.notJudged = a.rep.notJudged || first.rep.notJudged
	return []attempt{a}
}
