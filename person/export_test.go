package person

// Labels returns what the points of the newest sweep were taken for, in their
// order. It is valid until the next call of Cloud.
func (f *Finder) Labels() []Label { return f.labels }

// Region returns where the finder looks.
func (f *Finder) Region() Box { return f.grid.box }
