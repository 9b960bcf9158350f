package exercise

import "posefuse/message"

// Wording gives the names and sentences of one of Languages, for what was counted in
// another.
type Wording struct {
	phrases *phrases
	all     []*phrases // of every language
}

// NewWording returns that of a language, "" being English.
func NewWording(lang string) (*Wording, error) {
	p, err := loadPhrases(lang)
	if err != nil {
		return nil, err
	}
	w := &Wording{phrases: p}
	for _, l := range Languages {
		if p, err = loadPhrases(l); err != nil {
			return nil, err
		}
		w.all = append(w.all, p)
	}
	return w, nil
}

// Name is that of an exercise; own is the name that it has if the language knows none.
func (w *Wording) Name(activity, own string) string {
	if n, ok := w.phrases.Exercises[activity]; ok {
		return n
	}
	return own
}

// Advice is the sentence about a fault. One that no language says of it is a
// therapist's own and stays as it came.
func (w *Wording) Advice(f *message.Fault) string {
	ours := f.Text == "" && w.phrases.Faults[f.Key] != ""
	for _, p := range w.all {
		ours = ours || p.say(*f, "").Text == f.Text
	}
	switch {
	case ours:
		return w.phrases.say(*f, "").Text
	case f.Text == "":
		return f.Key
	}
	return f.Text
}
