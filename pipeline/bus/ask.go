package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// Errors of AskAs.
var (
	// ErrLogin says that the bus does not know the name with this password.
	ErrLogin = errors.New("the bus does not know this user and password")
	// ErrRole says that the user's role does not allow the request.
	ErrRole = errors.New("the user's role does not allow this; it takes the role control")
)

// askAsLimit is how long a request of a user may take.
const askAsLimit = 5 * time.Second

// AskAs sends a request to posefuse.<room>.ctl.<name> as a user of the bus, whom
// the server lets do what the user's role allows, and returns the reply. Where the
// bus has no users, it takes none. An error that is neither ErrLogin nor ErrRole is
// what the service answers, or that it does not.
func (b *Bus) AskAs(ctx context.Context, user, password, name string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askAsLimit, fmt.Errorf("no answer to ctl.%s within %v", name, askAsLimit))
	defer cancel()
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	opts := []nats.Option{nats.Name("posefuse page " + b.room), nats.NoReconnect(), nats.Timeout(askAsLimit),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				refuse(ErrRole)
			}
		})}
	if user != "" {
		opts = append(opts, nats.UserInfo(user, password))
	}
	url := withoutLogin(b.cfg.NATS.URL)
	if b.server != nil {
		opts = append(opts, nats.InProcessServer(b.server))
	} else if external, err := clientTLS(&b.cfg.TLS); err != nil {
		return nil, err
	} else if external != nil {
		opts = append(opts, nats.Secure(external))
	}
	nc, err := nats.Connect(url, opts...)
	// The server's word may not get through the pipe before it is closed.
	closed := b.server != nil && (errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.EOF))
	if errors.Is(err, nats.ErrAuthorization) || closed && len(b.cfg.Users) > 0 {
		return nil, ErrLogin
	}
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	defer nc.Close()
	reply, err := nc.RequestWithContext(ctx, b.subject+"ctl."+name, request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("ctl.%s: %w", name, err)
	}
	if text := reply.Header.Get(micro.ErrorHeader); text != "" {
		return nil, errors.New(text)
	}
	return reply.Data, nil
}
