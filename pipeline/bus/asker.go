package bus

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"posefuse/audit"
)

// readOnly are the ends of requests that change nothing and that programs repeat.
var readOnly = []string{"list", "status", "report"}

// auditRequest notes who asked for what and what came of it.
func (b *Bus) auditRequest(name, reply string, err error) {
	if slices.ContainsFunc(readOnly, func(end string) bool { return name == end || strings.HasSuffix(name, "."+end) }) {
		return
	}
	e := audit.Entry{Event: audit.Asked, What: name}
	e.User, e.Address = b.asker(reply)
	if err != nil {
		e.What += ", refused: " + err.Error()
	}
	b.audit(e)
}

// asker returns the user and address of who waits for an answer on a subject: the
// embedded server knows which connection listens there.
func (b *Bus) asker(reply string) (user, address string) {
	if b.server == nil {
		return "", "an external server's client"
	}
	if reply == "" {
		return "", "not known, no answer was asked for"
	}
	conns, err := b.server.srv.Load().Connz(&server.ConnzOptions{Username: true, Subscriptions: true, Limit: b.cfg.MaxConnections + 1})
	if err != nil {
		return "", "not known"
	}
	var who []string
	for _, c := range conns.Conns {
		if c.AuthorizedUser == internalUser || !slices.ContainsFunc(c.Subs, func(filter string) bool { return listens(filter, reply) }) {
			continue
		}
		if c.AuthorizedUser != anyUser {
			user = c.AuthorizedUser
		}
		at := cmp.Or(c.IP, "page")
		if c.IP != "" {
			at = sameHost(c.IP)
		}
		who = append(who, at)
	}
	if len(who) > 1 { // somebody listens to everybody's answers
		return "", "one of " + strings.Join(slices.Compact(slices.Sorted(slices.Values(who))), ", ")
	}
	return user, strings.Join(who, "")
}

// listens reports whether a subscription's filter takes a subject.
func listens(filter, subject string) bool {
	for {
		f, moreFilter, filterGoes := strings.Cut(filter, ".")
		s, moreSubject, subjectGoes := strings.Cut(subject, ".")
		if f == ">" {
			return true
		}
		if f != "*" && f != s || filterGoes != subjectGoes {
			return false
		}
		if !filterGoes {
			return true
		}
		filter, subject = moreFilter, moreSubject
	}
}
