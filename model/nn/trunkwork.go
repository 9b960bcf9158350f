package nn

import "posefuse/model/nn/kernel"

// trunkWork is the working memory that the blocks of one instance's trunk
// share. They run one after the other.
type trunkWork[T Float] struct {
	scratch kernel.Scratch[T]
	bufs    [4][]T
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

// take returns one of the buffers with n values that is none of those in use.
func (w *trunkWork[T]) take(n int, used ...[]T) []T {
	for i := range w.bufs {
		free := true
		for _, u := range used {
			free = free && (len(u) == 0 || cap(w.bufs[i]) == 0 || &u[0] != &w.bufs[i][:1][0])
		}
		if free {
			return grow(&w.bufs[i], n)
		}
	}
	panic("nn: more buffers of the trunk in use than it has")
}
