package main

import (
	"context"
	"errors"

	"posefuse/pipeline/bus"
	"posefuse/pipeline/web"
)

// chooseExercise lets the page have the daemon look for other exercises. The bus
// holds its users to their roles.
func chooseExercise(of func() *bus.Bus) func(ctx context.Context, user, password string, order []byte) ([]byte, error) {
	return func(ctx context.Context, user, password string, order []byte) ([]byte, error) {
		b := of()
		if b == nil {
			return nil, errors.New("the daemon is still starting, try again")
		}
		reply, err := b.AskAs(ctx, user, password, "exercise", order)
		switch {
		case errors.Is(err, bus.ErrLogin):
			return nil, web.ErrLogin
		case errors.Is(err, bus.ErrRole):
			return nil, web.ErrRole
		}
		return reply, err
	}
}
