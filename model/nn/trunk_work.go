package nn

import "posefuse/model/nn/kernel"

// trunkWork is the working memory that the blocks of one instance's trunk
// share. They run one after the other.
type trunkWork[T Float] struct {
	scratch kernel.Scratch[T]
	direct  directWork[T]
	bufs    [4][]T
	lent    []T // memory of bufs from the second on, in their order
}

// trunkWorkOf returns the working memory of the instance whose context is ctx.
func trunkWorkOf[T Float](ctx *Context) *trunkWork[T] {
	w, ok := ctx.trunk.(*trunkWork[T])
	if !ok {
		w = new(trunkWork[T])
		ctx.trunk = w
	}
	return w
}

// lend gives the trunk memory to work with instead of its own, until its
// backward pass ends. The layers after the trunk have no use for theirs then,
// and the trunk has none for it in a forward pass: that takes the first buffer
// only. nil takes the memory away.
func (w *trunkWork[T]) lend(m []T) {
	if len(m) == len(w.lent) && (len(m) == 0 || &m[0] == &w.lent[0]) {
		return
	}
	w.lent = m
	clear(w.bufs[1:])
}

// take returns one of the buffers with n values that is none of those in use.
func (w *trunkWork[T]) take(n int, used ...[]T) []T {
	for i := range w.bufs {
		free := true
		for _, u := range used {
			free = free && (len(u) == 0 || cap(w.bufs[i]) == 0 || &u[0] != &w.bufs[i][:1][0])
		}
		if free {
			if part := len(w.lent) / (len(w.bufs) - 1); i > 0 && cap(w.bufs[i]) < n && n <= part {
				w.bufs[i] = w.lent[(i-1)*part:][:n:part]
			}
			return grow(&w.bufs[i], n)
		}
	}
	panic("nn: more buffers of the trunk in use than it has")
}
