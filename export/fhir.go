package export

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"posefuse/message"
)

// Code systems of the observations. Repetitions, range and tempo have no code in
// LOINC's physical activity, so they have ours.
const (
	loinc       = "http://loinc.org"
	ucum        = "http://unitsofmeasure.org"
	ofCategory  = "http://terminology.hl7.org/CodeSystem/observation-category"
	ofActivity  = "http://hl7.org/fhir/us/physical-activity/CodeSystem/pa-temporary-codes"
	ofPosefuse  = "urn:posefuse:observation"
	ofExercises = "urn:posefuse:exercise"
	ofSubjects  = "urn:posefuse:subject"
)

// resourceID is what R4 allows as the id of a resource.
var resourceID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// object is a part of a FHIR resource.
type object map[string]any

func coding(system, code, display string) object {
	return object{"system": system, "code": code, "display": display}
}

func concept(text string, codings ...object) object {
	return object{"coding": codings, "text": text}
}

func quantity(v float64, unit, code string) object {
	return object{"value": v, "unit": unit, "system": ucum, "code": code}
}

// WriteFHIR writes the sets as a Bundle of FHIR R4: per set an Observation that groups
// those of exercise, duration, repetitions, range of motion and tempo, after the HL7
// Physical Activity guide 1.0.0. The patient is named by the pseudonym alone; ids are
// made of session and set, so that the same session makes the same resources. The Bundle
// is a transaction that puts each resource under its id: a server that takes it twice
// has it once. patient is the id that the server has for the person; "" names the
// pseudonym alone.
func WriteFHIR(w io.Writer, s *Session, patient string) error {
	if patient != "" && !resourceID.MatchString(patient) {
		return fmt.Errorf("patient %q: want the id of a Patient on the server, 1 to 64 letters, digits, points and dashes", patient)
	}
	b := &bundle{session: s, patientID: patient, device: uuid(s.ID, "device")}
	b.add(b.device, object{
		"resourceType": "Device", "deviceName": []object{{"name": "posefuse, room " + s.Room, "type": "user-friendly-name"}},
		"version": []object{{"value": s.Program}}, "note": []object{{"text": "Not a medical device."}},
	})
	for i := range s.Sets {
		if err := b.set(&s.Sets[i]); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(object{"resourceType": "Bundle", "type": "transaction", "timestamp": s.Started.UTC().Format(time.RFC3339), "entry": b.entries})
}

// bundle collects resources.
type bundle struct {
	session   *Session
	patientID string
	device    string
	entries   []object
}

func (b *bundle) add(id string, resource object) {
	resource["id"] = id
	b.entries = append(b.entries, object{"fullUrl": "urn:uuid:" + id, "resource": resource,
		"request": object{"method": "PUT", "url": fmt.Sprintf("%s/%s", resource["resourceType"], id)}})
}

// set adds the observations of one set.
func (b *bundle) set(e *message.ExerciseSummary) error {
	start, err1 := time.Parse(time.RFC3339Nano, e.Start)
	end, err2 := time.Parse(time.RFC3339Nano, e.End)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("set %s: start %q and end %q are no times", e.ID, e.Start, e.End)
	}
	end = end.Add(max(0, start.Sub(end))) // never before the start
	var members []object
	observe := func(what string, code, value object, more object) string {
		id := uuid(b.session.ID, e.ID, what)
		r := object{
			"resourceType": "Observation", "status": "final", "code": code,
			"category": []object{concept("Activity", coding(ofCategory, "activity", "Activity")), concept("Physical Activity", coding(ofActivity, "PhysicalActivity", "Physical Activity"))},
			"subject":  b.patient(), "performer": []object{b.patient()}, "device": object{"reference": "urn:uuid:" + b.device},
			"effectivePeriod": object{"start": fhirTime(start), "end": fhirTime(end)},
		}
		for _, part := range []object{value, more} {
			for k, v := range part {
				r[k] = v
			}
		}
		b.add(id, r)
		return id
	}
	member := func(what string, code, value, more object) {
		members = append(members, object{"reference": "urn:uuid:" + observe(what, code, value, more)})
	}
	member("exercise", concept("Exercise activity", coding(loinc, "73985-4", "Exercise activity")),
		object{"valueCodeableConcept": concept(e.Name, coding(ofExercises, e.Exercise, e.Name))}, nil)
	member("duration", concept("Exercise duration", coding(loinc, "55411-3", "Exercise duration")),
		object{"valueQuantity": quantity(round2(end.Sub(start).Minutes()), "min", "min")}, nil)
	member("repetitions", own("repetitions", "Repetitions"), object{"valueQuantity": quantity(float64(e.Repetitions), "repetitions", "1")}, nil)
	if e.RangeDeg.Best != 0 {
		unit, code := e.RangeUnit, e.RangeUnit
		if unit == "" {
			unit, code = "ratio", "1"
		}
		member("range", own("range-of-motion", "Range of motion, median of the set"), object{"valueQuantity": quantity(e.RangeDeg.Median, unit, code)},
			object{"component": []object{{"code": own("range-of-motion-best", "Best repetition"), "valueQuantity": quantity(e.RangeDeg.Best, unit, code)}}})
	}
	if e.TempoS.Median != 0 {
		member("tempo", own("tempo", "Time for a repetition, median of the set"), object{"valueQuantity": quantity(e.TempoS.Median, "s", "s")}, nil)
	}
	group := object{"hasMember": members}
	var notes []object
	for _, f := range e.Faults {
		notes = append(notes, object{"text": f.Text})
	}
	if len(notes) > 0 {
		group["note"] = notes
	}
	observe("set", concept("Physical activity panel", coding(ofActivity, "PAPanel", "Physical Activity Panel")), nil, group)
	return nil
}

func own(code, text string) object { return concept(text, coding(ofPosefuse, code, text)) }

// patient names the person by the pseudonym, of which the record's keeper knows who
// that is, and by the server's id where it is given.
func (b *bundle) patient() object {
	who := object{"type": "Patient", "identifier": object{"system": ofSubjects, "value": b.session.Subject}}
	if b.patientID != "" {
		who["reference"] = "Patient/" + b.patientID
	}
	return who
}

func fhirTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func round2(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }

// uuid is an identifier that the same words always give.
func uuid(words ...string) string {
	h := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // version 8, variant of RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
