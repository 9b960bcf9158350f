package person

// Region returns where the finder looks.
func (f *Finder) Region() Box { return f.grid.box }
