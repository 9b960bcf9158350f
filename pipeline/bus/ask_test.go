package bus

import (
	"errors"
	"strings"
	"testing"
)

// TestAskAs: a request goes through for who may control, and for anybody where
// the bus has no users.
func TestAskAs(t *testing.T) {
	users := []User{{Name: "anna", Password: "a", Role: Control}, {Name: "screen", Password: "b", Role: Viewer}}
	for _, c := range []struct {
		users          []User
		user, password string
		want           error
	}{
		{nil, "", "", nil},
		{nil, "anybody", "x", nil},
		{users, "anna", "a", nil},
		{users, "anna", "b", ErrLogin},
		{users, "", "", ErrLogin},
		{users, "screen", "b", ErrRole},
		{users, internalUser, "", ErrLogin},
	} {
		cfg := testConfig()
		cfg.Users = c.users
		b := open(t, cfg)
		err := b.HandleControl("exercise", func(request []byte) ([]byte, error) {
			if string(request) != "squat" {
				return nil, errors.New("no exercise is called " + string(request))
			}
			return []byte("A12"), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err = b.Conn().Flush(); err != nil { // the server knows who answers
			t.Fatal(err)
		}
		reply, err := b.AskAs(t.Context(), c.user, c.password, "exercise", []byte("squat"))
		if !errors.Is(err, c.want) || err == nil && string(reply) != "A12" {
			t.Errorf("%+v: %q, %v", c, reply, err)
		}
		if c.want != nil {
			continue
		}
		if _, err = b.AskAs(t.Context(), c.user, c.password, "exercise", []byte("sit")); err == nil || !strings.Contains(err.Error(), "no exercise is called sit") {
			t.Errorf("%+v: %v", c, err)
		}
		if _, err = b.AskAs(t.Context(), c.user, c.password, "nothing", nil); err == nil {
			t.Errorf("%+v: nobody answers, but an answer came", c)
		}
	}
}
