package nn

// CoalitionHead is a head that predicts many coalitions faster together than
// one by one.
type CoalitionHead[T Float] interface {
	Head[T]
	// Coalitions writes to out[i], b x out, the head's output with the features
	// outside masks[i] zero, in evaluation. Bit m stands for feature m. It works
	// on the parameters as they are. Backward must not follow it.
	Coalitions(features [][]T, b int, masks []uint8, out [][]T)
}

// LinearHead is a head whose output is a sum of one part per feature and a
// constant.
type LinearHead[T Float] interface {
	Head[T]
	// Partial writes the part of feature m, b x out, to dst.
	Partial(f []T, b, m int, dst []T)
	// Constant returns what is left for features of zero.
	Constant() []T
}
