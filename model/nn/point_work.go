package nn

// pointWork is the memory that the blocks on one pyramid share in training.
// They run one after the other, and none of it outlives a pass of a block: what
// the backward pass needs and the forward pass can give cheaply is computed
// again.
type pointWork[T Float] struct {
	a, b, c       []T // [b, N, k, C]
	att, hidden   []T // [b, N, k, C/8]
	pos           []T // [b, N, k, 3]
	q, k, v, y, o []T // [b, N, C]
}
