package exercise

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"posefuse/message"
)

//go:embed messages/messages.*.json
var messageFiles embed.FS

// Languages are those that feedback is given in.
var Languages = []string{"en", "de", "fr", "zh"}

// phrases are the sentences of one language, from messages.<lang>.json.
type phrases struct {
	// Faults by key; {measured} and {limit} stand for values with their units.
	Faults map[string]string `json:"faults"`
	// Own is said of a rule that has no sentence, as a therapist's own.
	Own        string            `json:"fault_of_your_own"`
	Incomplete map[string]string `json:"incomplete"` // by reason
	Exercises  map[string]string `json:"exercises"`  // names by activity
	Signals    map[string]string `json:"signals"`    // names of what is counted
}

// loadPhrases reads the sentences of a language, "" being English.
func loadPhrases(lang string) (*phrases, error) {
	if lang == "" {
		lang = "en"
	}
	if !slices.Contains(Languages, lang) {
		return nil, fmt.Errorf("exercise language: %q is not there, choose one of %s", lang, strings.Join(Languages, ", "))
	}
	text, err := messageFiles.ReadFile("messages/messages." + lang + ".json")
	if err != nil {
		return nil, fmt.Errorf("exercise language %s: %w", lang, err)
	}
	p := new(phrases)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("exercise language %s: %w", lang, err)
	}
	return p, nil
}

// say gives a fault its sentence. A definition's own sentences come first.
func (p *phrases) say(f message.Fault, own string) message.Fault {
	text := own
	if text == "" {
		text = p.Faults[f.Key]
	}
	if text == "" {
		text = p.Own
	}
	f.Text = strings.NewReplacer("{measured}", quantityText(f.Measured, f.Unit), "{limit}", quantityText(f.Limit, f.Unit)).Replace(text)
	return f
}

// name is the exercise's name in the language.
func (p *phrases) name(d *Definition) string {
	if n, ok := p.Exercises[d.Activity]; ok {
		return n
	}
	return d.Name
}

// signal is what is counted, in words.
func (p *phrases) signal(d *Definition) string {
	if n, ok := p.Signals[d.Count.Name]; ok {
		return n
	}
	return d.Count.Name
}

// quantityText writes a value as people read it.
func quantityText(v float64, unit string) string {
	switch unit {
	case "deg":
		return strconv.FormatFloat(v, 'f', 0, 64) + "°"
	case "m":
		return strconv.FormatFloat(100*v, 'f', 0, 64) + " cm"
	case "s":
		return strconv.FormatFloat(v, 'f', 1, 64) + " s"
	}
	return strconv.FormatFloat(100*v, 'f', 0, 64) + " %"
}

// say gives a fault of a set its sentence.
func (t *Tracker) say(s *set, f message.Fault) message.Fault {
	lang, own := t.cfg.Language, ""
	if lang == "" {
		lang = "en"
	}
	for _, r := range s.run.def.Rules {
		if r.Key == f.Key {
			own = r.Say[lang]
		}
	}
	return t.phrases.say(f, own)
}
