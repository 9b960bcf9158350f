package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"posefuse/exercise"
	"posefuse/message"
)

const rude = `=P"1/<script>alert(1)</script>`

func sampleSession(id string, median float64) Session {
	return Session{
		ID: id, Room: "room1", Subject: rude, Started: time.Date(2026, 11, 30, 10, 15, 0, 0, time.UTC), Program: "posefuse test",
		Sets: []message.ExerciseSummary{
			{
				ID: "room1-A12-1", Exercise: "A12", Name: "squat", Start: "2026-11-30T10:15:20.5Z", End: "2026-11-30T10:15:50.5Z", Repetitions: 8, TargetRepetitions: 10, Incomplete: 1,
				RangeDeg: message.MedianBest{Median: median, Best: 112.5}, RangeUnit: "deg", TempoS: message.MedianBest{Median: 3.1, Best: 3},
				Faults: []message.Fault{{Key: "trunk_lean", Text: `Keep <b>upright</b>, please.`}},
			},
			{ID: "room1-A26-2", Exercise: "A26", Name: "jumping up", Start: "2026-11-30T10:17:00Z", End: "2026-11-30T10:16:59Z"},
		},
	}
}

// TestSets: a line per set, and no cell that a spreadsheet would compute.
func TestSets(t *testing.T) {
	var b bytes.Buffer
	s := sampleSession("s1", 104)
	if err := WriteSets(&b, &s, Point); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%v, %v", err, rows)
	}
	got := map[string]string{}
	for k, n := range rows[0] {
		got[n] = rows[1][k]
	}
	for n, want := range map[string]string{
		"subject": "'" + rude, "repetitions": "8", "range_median": "104", "range_best": "112.5", "range_unit": "deg", "tempo_median_s": "3.1",
		"faults": "trunk_lean", "symmetry": "", "start": "2026-11-30T10:15:20.5Z",
	} {
		if got[n] != want {
			t.Errorf("%s is %q, want %q", n, got[n], want)
		}
	}
}

// TestDecimalComma: the same sets for a spreadsheet whose numbers have a comma. Times and
// names keep their points.
func TestDecimalComma(t *testing.T) {
	var point, comma bytes.Buffer
	s := sampleSession("s1.5", 104.25)
	s.Sets[0].Name = "squat; 0.5 deep"
	if err := errors.Join(WriteSets(&point, &s, Point), WriteSets(&comma, &s, Comma)); err != nil {
		t.Fatal(err)
	}
	text, marked := strings.CutPrefix(comma.String(), "\ufeff")
	if !marked {
		t.Error("the file does not begin with the mark of UTF-8")
	}
	in := csv.NewReader(strings.NewReader(text))
	in.Comma = ';'
	got, err1 := in.ReadAll()
	want, err2 := csv.NewReader(&point).ReadAll()
	if err := errors.Join(err1, err2); err != nil || len(got) != len(want) {
		t.Fatalf("%v: %d rows, want %d", err, len(got), len(want))
	}
	numbers := 0
	for i, row := range want {
		for k, cell := range row {
			if _, err := strconv.ParseFloat(cell, 64); err == nil && strings.Contains(cell, ".") {
				cell, numbers = strings.Replace(cell, ".", ",", 1), numbers+1
			}
			if got[i][k] != cell {
				t.Errorf("row %d, %s: %q, want %q", i, want[0][k], got[i][k], cell)
			}
		}
	}
	if numbers < 3 {
		t.Errorf("%d numbers with a fraction, want at least 3", numbers)
	}
}

// TestFHIR holds the Bundle to the rules of R4 for the resources in it, and to the
// Physical Activity guide: categories, codes, units, references that exist.
func TestFHIR(t *testing.T) {
	var b bytes.Buffer
	s := sampleSession("s1", 104)
	if err := WriteFHIR(&b, &s, ""); err != nil {
		t.Fatal(err)
	}
	again := new(bytes.Buffer)
	if err := WriteFHIR(again, &s, ""); err != nil || !bytes.Equal(again.Bytes(), b.Bytes()) {
		t.Errorf("twice the same session is not twice the same: %v", err)
	}
	type coded struct {
		Coding []struct{ System, Code string }
		Text   string
	}
	type reference struct {
		Reference  string
		Identifier *struct{ System, Value string }
	}
	var got struct {
		ResourceType, Type string
		Entry              []struct {
			FullURL  string
			Request  struct{ Method, URL string }
			Resource struct {
				ResourceType, ID, Status string
				Category                 []coded
				Code                     coded
				Subject, Device          reference
				Performer, HasMember     []reference
				EffectivePeriod          struct{ Start, End time.Time }
				ValueQuantity            *struct {
					Value              float64
					Unit, System, Code string
				}
				ValueCodeableConcept *coded
				Note                 []struct{ Text string }
				Component            []struct{ Code coded }
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.ResourceType != "Bundle" || got.Type != "transaction" {
		t.Fatalf("%v: %s", err, b.Bytes())
	}
	isUUID := regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	known := map[string]bool{}
	for _, e := range got.Entry {
		if !isUUID.MatchString(e.FullURL) || known[e.FullURL] || "urn:uuid:"+e.Resource.ID != e.FullURL {
			t.Errorf("fullUrl %q, id %q", e.FullURL, e.Resource.ID)
		}
		if e.Request.Method != "PUT" || e.Request.URL != e.Resource.ResourceType+"/"+e.Resource.ID {
			t.Errorf("request %+v of %s", e.Request, e.Resource.ID)
		}
		known[e.FullURL] = true
	}
	values := map[string]float64{}
	groups := 0
	for _, e := range got.Entry {
		r := e.Resource
		if r.ResourceType == "Device" {
			continue
		}
		if r.ResourceType != "Observation" || r.Status != "final" || len(r.Code.Coding) == 0 || !known[r.Device.Reference] {
			t.Errorf("%+v", r)
			continue
		}
		if len(r.Category) != 2 || r.Category[0].Coding[0].Code != "activity" || r.Category[1].Coding[0].Code != "PhysicalActivity" {
			t.Errorf("category %+v", r.Category)
		}
		if r.Subject.Identifier == nil || r.Subject.Identifier.Value != rude || len(r.Performer) != 1 {
			t.Errorf("subject %+v", r.Subject)
		}
		if r.EffectivePeriod.End.Before(r.EffectivePeriod.Start) {
			t.Errorf("it ends before it starts: %+v", r.EffectivePeriod)
		}
		hasValue := r.ValueQuantity != nil || r.ValueCodeableConcept != nil
		if r.Code.Coding[0].Code == "PAPanel" {
			groups++
			if hasValue || len(r.HasMember) < 3 {
				t.Errorf("group %+v", r)
			}
			for _, m := range r.HasMember {
				if !known[m.Reference] {
					t.Errorf("no resource %s", m.Reference)
				}
			}
			continue
		}
		if !hasValue {
			t.Errorf("no value: %+v", r)
		}
		if q := r.ValueQuantity; q != nil {
			if q.System != "http://unitsofmeasure.org" || q.Code == "" {
				t.Errorf("unit %+v", q)
			}
			if _, seen := values[r.Code.Coding[0].Code]; !seen {
				values[r.Code.Coding[0].Code] = q.Value
			}
		}
	}
	if groups != 2 {
		t.Errorf("%d groups for 2 sets", groups)
	}
	for code, want := range map[string]float64{"55411-3": 0.5, "repetitions": 8, "range-of-motion": 104, "tempo": 3.1} {
		if values[code] != want {
			t.Errorf("%s is %g, want %g", code, values[code], want)
		}
	}
	b.Reset()
	if err := WriteFHIR(&b, &s, "123-a"); err != nil || strings.Count(b.String(), `"reference": "Patient/123-a"`) != 2*(len(got.Entry)-1) {
		t.Errorf("%v, the patient of the server is named %d times", err, strings.Count(b.String(), "Patient/123-a"))
	}
	for _, bad := range []string{"Patient/1", "a b", "é", strings.Repeat("1", 65)} {
		if err := WriteFHIR(&b, &s, bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("patient %q: %v", bad, err)
		}
	}
	s.Sets[0].Start = "yesterday"
	if err := WriteFHIR(new(bytes.Buffer), &s, ""); err == nil || !strings.Contains(err.Error(), "room1-A12-1") {
		t.Errorf("error %v", err)
	}
}

// TestReport: nothing of a patient code becomes markup, every set is there, and a
// trend only of what was done more than once.
func TestReport(t *testing.T) {
	one, two := sampleSession("s1", 104), sampleSession("s2", 110)
	two.Started = two.Started.AddDate(0, 0, 7)
	for _, c := range []struct {
		sessions []Session
		trends   int
	}{{[]Session{one}, 0}, {[]Session{two, one}, 1}} {
		var b bytes.Buffer
		if err := WriteReport(&b, c.sessions, "en"); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if strings.Contains(text, "<script") || strings.Contains(text, "<b>") || !strings.Contains(text, "&lt;script&gt;") {
			t.Error("the patient code or advice is markup")
		}
		for _, want := range []string{"8 of 10", "104°, 112°", "3.1 s", "size: A4", "Not a medical device", "Keep &lt;b&gt;upright"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in the report", want)
			}
		}
		if n := strings.Count(text, "<polyline"); n != c.trends {
			t.Errorf("%d trends, want %d", n, c.trends)
		}
		if c.trends > 0 && !strings.Contains(text, `points="15,16.4 585,12"`) {
			t.Errorf("trend: %s", text[strings.Index(text, "<figure"):])
		}
	}
	if err := WriteReport(new(bytes.Buffer), nil, "en"); err == nil {
		t.Error("a report of nothing")
	}
}

// TestReportInEachLanguage: nothing of a report stays English, but what a therapist
// wrote; a language that is not there is an error.
func TestReportInEachLanguage(t *testing.T) {
	one, two := sampleSession("s1", 104), sampleSession("s2", 110)
	two.Started = two.Started.AddDate(0, 0, 7)
	one.Sets[0].Exercise, two.Sets[0].Exercise = "A12", "A12"
	one.Sets[0].Faults = append(one.Sets[0].Faults, message.Fault{Key: "shallow", Measured: 62, Limit: 89, Unit: "deg", Text: "Go further: 62°, at least 89° is wanted."}, message.Fault{Key: "my_own", Text: "As I said."})
	for lang, want := range map[string][]string{
		"en": {"Exercise report", "squat", "8 of 10", "Go further: 62°, at least 89°", "As I said."},
		"de": {"Übungsbericht", "Kniebeuge", "8 von 10", "Weiter bewegen: 62°, gewünscht sind mindestens 89°", "As I said.", "Kein Medizinprodukt", " bis "},
		"fr": {"Rapport d&#39;exercice", "8 sur 10", "As I said.", "pas un dispositif médical"},
		"zh": {"训练报告", "8 / 10", "As I said.", "不是医疗器械"},
	} {
		var b bytes.Buffer
		if err := WriteReport(&b, []Session{one, two}, lang); err != nil {
			t.Fatal(err)
		}
		for _, w := range append(want, `<html lang="`+lang+`">`, "<polyline") {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%s: no %q", lang, w)
			}
		}
		for _, english := range []string{"Exercise report", "Patient code", "Repetitions", "Trend", "axis", "squat", "Go further", "medical device"} {
			if lang != "en" && strings.Contains(b.String(), english) {
				t.Errorf("%s has %q", lang, english)
			}
		}
	}
	for _, lang := range exercise.Languages {
		words := reflect.ValueOf(*wordsOf[lang])
		for i := range words.NumField() {
			if words.Field(i).String() == "" {
				t.Errorf("%s has no %s", lang, words.Type().Field(i).Name)
			}
		}
	}
	if err := WriteReport(new(bytes.Buffer), []Session{one}, "xx"); err == nil {
		t.Error("a report in no language")
	}
}
