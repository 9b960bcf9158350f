package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/nats-io/nats.go"

	"posefuse/pipeline/bus"
	"posefuse/pipeline/foxglove"
	"posefuse/pipeline/web"
	"posefuse/recording/session"
)

// askDaemon lets the page ask the daemon for something. The bus holds its users to
// their roles.
func askDaemon(of func() *bus.Bus) func(ctx context.Context, user, password, name string, request []byte) ([]byte, error) {
	return func(ctx context.Context, user, password, name string, request []byte) ([]byte, error) {
		b := of()
		if b == nil {
			return nil, errors.New("the daemon is still starting, try again")
		}
		reply, err := b.AskAs(ctx, user, password, name, request)
		switch {
		case errors.Is(err, bus.ErrLogin):
			return nil, web.ErrLogin
		case errors.Is(err, bus.ErrRole):
			return nil, web.ErrRole
		}
		return reply, err
	}
}

// showFoxglove serves Foxglove's protocol with the messages of recorded sessions.
func showFoxglove(nc *nats.Conn, room string, origins []string) (http.Handler, error) {
	return foxglove.Handler(nc, room, foxglove.Options{Origins: origins, Schema: session.SchemaText, Cloud: session.AppendCloud, Scene: session.AppendScene})
}

// guardPage lets the users of the bus sign in on the page. Where it can be reached
// from the network, nobody else sees it.
func guardPage(b *bus.Bus, network bool) func(http.Handler) http.Handler {
	if !network && !b.HasUsers() {
		return func(next http.Handler) http.Handler { return next }
	}
	g := web.NewGuard(web.GuardOptions{Required: network, TLS: network,
		SignIn: func(_ context.Context, name, password, address string) (web.Visitor, error) {
			u, err := b.SignIn(name, password, address)
			if err != nil {
				return web.Visitor{}, web.ErrLogin
			}
			return web.Visitor{Name: u.Name, Control: u.Role == bus.Control, Valid: func() bool { return b.Knows(u) }}, nil
		}})
	return g.Wrap
}
