package nn

// Fold prepares Eval: Forward then uses packed weights until the next Fold.
func (h *MLPHead[T]) Fold() {
	h.fold()
}

// Fold prepares Eval: Forward then uses packed weights until the next Fold.
func (h *AttentionHead[T]) Fold() {
	for _, l := range h.layers {
		l.attn.in.fold(nil)
		l.attn.out.fold(nil)
		l.f1.fold(nil)
		l.f2.fold(nil)
	}
	h.fc.fold(nil)
}
