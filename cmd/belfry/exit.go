package main

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/command"
	"belfry/streams/manifest"
	"belfry/streams/setup"
)

// mistake is an error that the same start makes again: the configuration is not
// accepted.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// serveError gives an error of the service its exit code, by which a service manager
// decides whether to start it again.
func serveError(err error) error {
	switch {
	case err == nil:
		return nil
	case needsPerson(err):
		return command.NeedsPerson(err)
	}
	return command.StartAgain(err)
}

// ending is why the service ended, with what went wrong while it stopped. Only the
// cause decides on the exit code: a service that stops in a hurry leaves errors of
// every kind.
type ending struct{ cause, stopping error }

func (e ending) Error() string   { return errors.Join(e.cause, e.stopping).Error() }
func (e ending) Unwrap() []error { return []error{e.cause, e.stopping} }

// endedBy adds what went wrong while the service stopped to why it did.
func endedBy(cause, stopping error) error {
	if stopping == nil {
		return cause
	}
	return ending{cause, stopping}
}

// needsPerson reports whether the same start fails again until a person has done
// something. In doubt it returns false: a service that is started in vain once a second
// is better than one that stays down for a cause that is gone.
func needsPerson(err error) bool {
	var refusal *setup.Refusal
	var configured mistake
	var ended ending
	switch {
	case errors.As(err, &ended):
		return needsPerson(ended.cause)
	case errors.As(err, &refusal):
		return !saysOfWant(refusal.Reason)
	case isOfWant(err), noNameServer(err): // even inside a mistake
		return false
	case errors.As(err, &configured):
		return true
	}
	for _, stays := range []error{
		errFolderLost, setup.ErrForeign, setup.ErrPartitions, manifest.ErrBad,
		fs.ErrPermission, fs.ErrNotExist, syscall.ENOTDIR, syscall.EISDIR, syscall.EROFS, syscall.ENAMETOOLONG, syscall.ELOOP,
		nats.ErrSecureConnRequired, nats.ErrSecureConnWanted, nats.ErrNkeysNotSupported,
	} {
		if errors.Is(err, stays) {
			return true
		}
	}
	var unknown x509.UnknownAuthorityError
	var otherName x509.HostnameError
	return errors.As(err, &unknown) || errors.As(err, &otherName) || refusedForGood(err)
}

// refusedForGood reports whether JetStream refuses a request for good, for example by a
// limit of the account. Other errors may pass.
func refusedForGood(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.Code >= 400 && refused.Code < 500 && refused.Code != 404 && refused.Code != 408
}

// wants are the errors of a shortage, which pass when there is room again.
var wants = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM}

// isOfWant also looks for the words, since nats-server keeps only the text of an error
// in a file that its configuration includes.
func isOfWant(err error) bool {
	return slices.ContainsFunc(wants, func(want error) bool { return errors.Is(err, want) }) || err != nil && saysOfWant(err.Error())
}

// noNameServer reports whether a name could not be looked up. A name that does not exist
// is a different case.
func noNameServer(err error) bool {
	var lookup *net.DNSError
	return errors.As(err, &lookup) && !lookup.IsNotFound
}

// saysOfWant is isOfWant for the words of nats-server.
func saysOfWant(words string) bool {
	return slices.ContainsFunc(wants, func(want error) bool { return strings.Contains(words, want.Error()) })
}
