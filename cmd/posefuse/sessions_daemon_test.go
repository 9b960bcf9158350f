package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"posefuse/export"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/recording/session"
)

// replayOverNATS lists the sessions of a running daemon and looks through one, as the
// page does.
func replayOverNATS(t *testing.T, r *room, done sessionBrief) {
	t.Helper()
	nc, err := nats.Connect("nats://" + r.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ask := func(name, request string, into any) string {
		t.Helper()
		reply, rerr := nc.Request("posefuse.room1.ctl.sessions."+name, []byte(request), testenv.Patience)
		if rerr != nil {
			t.Fatal(rerr)
		}
		if text := reply.Header.Get("Nats-Service-Error"); text != "" {
			return text
		}
		if rerr = json.Unmarshal(reply.Data, into); rerr != nil {
			t.Fatal(rerr)
		}
		return ""
	}
	var list sessionsReply
	if text := ask("list", "", &list); text != "" || len(list.Sessions) != 1 || list.Sessions[0].ID != done.ID || list.Sessions[0].State != session.Complete {
		t.Errorf("%s %+v", text, list)
	}
	var all, half posesReply
	if text := ask("poses", `{"session":"`+done.ID+`","from_s":0,"length_s":20}`, &all); text != "" || len(all.Poses) < 10 || all.Subject != "P1" || all.TotalS < done.Seconds-0.01 {
		t.Fatalf("%s %d poses, %+v", text, len(all.Poses), all.TotalS)
	}
	before := -1.0
	for _, p := range all.Poses {
		if p.AtS < before || p.AtS > all.ToS {
			t.Fatalf("a pose at %v s after one at %v s, of %v s", p.AtS, before, all.ToS)
		}
		before = p.AtS
	}
	middle := all.Poses[len(all.Poses)/2]
	from, err := json.Marshal(map[string]any{"session": done.ID, "from_s": middle.AtS - 0.0005, "length_s": 20})
	if err != nil {
		t.Fatal(err)
	}
	if text := ask("poses", string(from), &half); text != "" || len(half.Poses) == 0 || half.Poses[0].AtS != middle.AtS {
		t.Errorf("%s from %v s: %+v", text, middle.AtS, half.Poses)
	}
	for request, want := range map[string]string{
		`{"session":"../` + done.ID + `","from_s":0,"length_s":1}`:  "refused",
		`{"session":"/etc","from_s":0,"length_s":1}`:                "refused",
		`{"session":"none","from_s":0,"length_s":1}`:                "no such session",
		`{"session":"` + done.ID + `","from_s":-1,"length_s":1}`:    "from_s -1",
		`{"session":"` + done.ID + `","from_s":1e300,"length_s":1}`: "from_s 1e+300",
		`{"session":"` + done.ID + `","from_s":0}`:                  "length_s 0",
		`{`: "sessions.poses",
	} {
		if text := ask("poses", request, &posesReply{}); !strings.Contains(text, want) {
			t.Errorf("%s: %q, want %q", request, text, want)
		}
	}
	var late posesReply
	if text := ask("poses", `{"session":"`+done.ID+`","from_s":5000,"length_s":5}`, &late); text != "" || len(late.Poses) != 0 {
		t.Errorf("beyond the end: %s %+v", text, late)
	}
}

// TestPoseRow: a pose without joints and a joint that is not known leave cells empty;
// there is no NaN in a spreadsheet.
func TestPoseRow(t *testing.T) {
	whole, lost := `[1,2,3]`, `null`
	for _, c := range []struct {
		joints string
		empty  int
	}{
		{`[` + strings.Repeat(whole+",", 16) + whole + `]`, 0},
		{`[` + strings.Repeat(whole+",", 16) + lost + `]`, 3},
		{`[` + strings.Repeat(whole+",", 16) + `[1,null,3]]`, 3},
		{`null`, 51},
	} {
		var p message.Pose
		if err := message.UnmarshalPose([]byte(`{"seq":4,"presence":0.5,"joints_m":`+c.joints+`}`), &p); err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		table := export.NewTable(&text, export.Point)
		if err := errors.Join(table.Row(poseRow(&p)...), table.End()); err != nil {
			t.Fatal(err)
		}
		row, empty := strings.Split(strings.TrimSpace(text.String()), ","), 0
		for _, cell := range row[6:] {
			if cell == "" {
				empty++
			} else if v, err := strconv.ParseFloat(cell, 64); err != nil || v != v {
				t.Errorf("%s: a cell is %q", c.joints, cell)
			}
		}
		if len(row) != 57 || empty != c.empty || row[0] != "4" || row[5] != "0.5" {
			t.Errorf("%s: %d empty cells in %q", c.joints, empty, row)
		}
	}
}
